"""What an examination found, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Grade = Literal["ok", "note", "wrong", "unreachable"]

MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "wrong": ("FAIL", "bold red"),
    "unreachable": ("FAIL", "bold red"),
}
MARK_WIDTH = 4
GAP = 2


@dataclass(frozen=True)
class Finding:
    """One checked thing: its value, the limit where it has one, what to do and what to type."""

    subject: str
    grade: Grade
    found: str
    advice: str = ""
    limit: str = ""
    commands: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "subject": self.subject,
            "grade": self.grade,
            "found": self.found,
            "limit": self.limit,
            "advice": self.advice,
            "commands": list(self.commands),
        }


def print_all(console: Console, findings: Iterable[Finding]) -> None:
    """Print findings one below the other, each with its advice and what to type under it.

    What is to be typed is never broken into lines: the terminal wraps it, and a copy is whole.
    """
    found = list(findings)
    width = max((len(finding.subject) for finding in found), default=0)
    indent = " " * (MARK_WIDTH + GAP)
    for finding in found:
        console.print(_row(finding, width))
        for command in finding.commands:
            console.print(Text(f"{indent}{command}", style="bold"), soft_wrap=True)
    console.print(_sum(found))


def _sum(findings: list[Finding]) -> Text:
    failed = sum(MARKS[finding.grade][0] == "FAIL" for finding in findings)
    notes = sum(finding.grade == "note" for finding in findings)
    if failed:
        return Text(f"{failed} to mend, {counted(notes, 'note')}", style="bold red")
    return Text(f"nothing to mend, {counted(notes, 'note')}", style="bold green")


def _row(finding: Finding, subject_width: int) -> Table:
    mark, style = MARKS[finding.grade]
    text = Text(finding.found)
    if finding.limit:
        text.append(f" ({finding.limit})", style="dim")
    if finding.advice:
        text.append(f"\n-> {finding.advice}")
    row = Table.grid(padding=(0, GAP, 0, 0))
    row.add_column(no_wrap=True, width=MARK_WIDTH)
    row.add_column(no_wrap=True, width=subject_width)
    row.add_column(overflow="fold")
    row.add_row(Text(mark, style), finding.subject, text)
    return row


def gigabytes(count: float) -> str:
    """Return a number of bytes as people read it: `12 GiB`, `1.5 GiB`, `200 MiB`, `64 KiB`."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            digits = 1 if count < 10 * size and unit == "GiB" else 0
            return f"{count / size:.{digits}f} {unit}"
    return f"{count / 1024:.0f} KiB"


def counted(number: int, what: str) -> str:
    """Return `1 key`, `2 keys`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def not_named(subject: str, variable: str, assumed: str | None = None) -> Finding:
    """Return that the environment names no such service; `assumed` is what programs take then."""
    advice = "backtest up starts an embedded one"
    if assumed is not None:
        advice += f"; scheduler and worker take {assumed}"
    return Finding(subject, "note", f"{variable} is not set", advice)
