"""Which tests share a process, where several processes share the tests; `make test` has four.

Where a suite starts a stack for all of its tests, a process that runs any of them starts one. A
file stays in one process, so that what its tests share is made once.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

TESTS = Path(__file__).parent
STACKS = {"faults": 2, "browser": 1, "tasks": 1, "api": 1}
"""Suites with a stack of their own, and how many are started: those with the most begin first.

One process for all fault tests would be busy with them until after everything else has ended.
"""


class BySuite(LoadFileScheduling):  # type: ignore[misc]  # xdist tells nothing of its types
    """Hands out file by file, but several files at once of a suite that has a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return handed_out_with(_file(nodeid))


@cache
def handed_out_with(file: str) -> str:
    """Return the name of all the work that goes to a process together with a file of tests."""
    path = TESTS.parent / file
    suite = path.relative_to(TESTS).parts[0]
    if suite not in STACKS:
        return file
    place = sorted(path.parent.glob("test_*.py")).index(path)
    return f"{suite} {place % STACKS[suite]}"


def in_turn(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which they are handed out: work of each suite in turn.

    So tests that wait for other processes run beside tests that compute. Suites with files of a
    minute have few files and begin early; the many short files of the engine come last, and keep
    every process busy until the end.
    """
    suites: dict[str, dict[str, int]] = {}
    turns = {}
    for item in items:
        file = _file(item.nodeid)
        suite = item.path.relative_to(TESTS).parts[0]
        work = suites.setdefault(suite, {})
        turn = work.setdefault(handed_out_with(file), len(work))
        turns[item] = (-STACKS.get(suite, 0), turn)
    return sorted(items, key=turns.__getitem__)


def _file(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]
