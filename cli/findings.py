"""What an examination found, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.table import Table
from rich.text import Text

Grade = Literal["ok", "note", "wrong", "unreachable"]

MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "wrong": ("FAIL", "bold red"),
    "unreachable": ("FAIL", "bold red"),
}


@dataclass(frozen=True)
class Finding:
    """One checked dependency."""

    subject: str
    grade: Grade
    found: str
    advice: str = ""

    def plain(self) -> dict[str, str]:
        """Return it in JSON types."""
        return {
            "subject": self.subject,
            "grade": self.grade,
            "found": self.found,
            "advice": self.advice,
        }


def table(findings: Iterable[Finding]) -> Table:
    """Lay findings out one below the other, each with its advice under it."""
    found = Table.grid(padding=(0, 2))
    found.add_column(no_wrap=True)
    found.add_column(no_wrap=True)
    found.add_column(overflow="fold")
    for finding in findings:
        mark, style = MARKS[finding.grade]
        text = Text(finding.found)
        if finding.advice:
            text.append(f"\n-> {finding.advice}", style="dim")
        found.add_row(Text(mark, style), finding.subject, text)
    return found
