"""Everything at once and at random, for a short while; `make chaos` does it for longer."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos.harm import Harm
from tests.faults.chaos.plan import KINDS, plan

SHORT = ("--seed", "4", "--minutes", "0.2", "--workers", "2", "--pause", "0.6")


@pytest.mark.timeout(600)
def test_a_short_chaos_leaves_every_job_with_the_end_that_it_deserves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.chaos", *SHORT, "--keep", str(tmp_path / "logs")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong: 0" in done.stdout


def test_the_same_seed_plans_the_same_faults() -> None:
    first, again, other = (list(plan(seed, 600, 6.0, 2.0)) for seed in (1, 1, 2))
    assert first == again != other
    long = plan(1, 36_000, 6.0, 2.0)
    assert {planned.kind for planned in long} == set(KINDS)
    assert [planned.at for planned in first] == sorted(planned.at for planned in first)


def test_every_planned_fault_can_be_done() -> None:
    for kind in KINDS:
        assert callable(getattr(Harm, Harm.method_of(kind)))
