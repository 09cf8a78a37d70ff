"""All checks, beside each other: one that waits holds up no other, and none waits for long."""

import time
from collections.abc import Callable, Iterable, Mapping
from threading import Thread

from cli import running_stack
from cli.doctor import disks, machine, postgres, redis_server, services
from cli.doctor.findings import Finding, Grade
from cli.errors import UNREACHABLE, USAGE, CommandError, understood
from configs.one_line import one_line

LONGEST_SECONDS = 8.0
"""How long an examination takes at most, whatever does not answer, unless it is told otherwise."""

Check = Callable[[Mapping[str, str]], Iterable[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", machine.python),
    ("stack", machine.stack),
    ("embedded", machine.packages),
    ("configuration", machine.configuration),
    ("Postgres", postgres.programs),
    ("migrations", postgres.migrations),
    ("Redis", redis_server.examine),
    ("candles", services.candles),
    ("API", services.api),
    ("memory", machine.memory),
    ("disks", disks.examine),
    ("metrics", machine.ports),
    ("kernels", machine.kernels),
)


def examine(within: float = LONGEST_SECONDS) -> list[Finding]:
    """Check everything within so many seconds; never raises."""
    variables = {"ROEHUB_ENV": "dev"} | running_stack.environment()
    runs = [_Run(subject, check, variables) for subject, check in CHECKS]
    overdue_at = time.monotonic() + within
    return [finding for run in runs for finding in run.findings(overdue_at, within)]


def verdict(findings: Iterable[Finding]) -> int:
    """Return the exit code that sums the findings up."""
    grades = {finding.grade for finding in findings}
    if "wrong" in grades:
        return USAGE
    return UNREACHABLE if "unreachable" in grades else 0


class _Run:
    """A check in a thread of its own, which may be left behind where it does not end."""

    def __init__(self, subject: str, check: Check, variables: Mapping[str, str]) -> None:
        self._subject = subject
        self._check = check
        self._variables = variables
        self._found: list[Finding] = []
        self._thread = Thread(target=self._work, name=f"doctor-{subject}", daemon=True)
        self._thread.start()

    def findings(self, overdue_at: float, within: float) -> list[Finding]:
        """Return what was found until then."""
        self._thread.join(max(0.0, overdue_at - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            said = f"no answer within {within:g} s"
            advice = "see whether it runs, and whether a firewall swallows what is sent to it"
            found.append(Finding(self._subject, "unreachable", said, advice))
        return found

    def _work(self) -> None:
        try:
            for finding in self._check(self._variables):
                self._found.append(finding)
        except Exception as error:  # whatever is broken is a finding
            said = error if isinstance(error, CommandError) else understood(error)
            unreachable = said is not None and said.code == UNREACHABLE
            grade: Grade = "unreachable" if unreachable else "wrong"
            self._found.append(Finding(self._subject, grade, one_line(said or error)))
