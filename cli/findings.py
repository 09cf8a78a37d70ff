"""What an examination found: one line, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

from rich.text import Text

Grade = Literal["ok", "note", "wrong", "unreachable"]

MARKS = {
    "ok": ("ok  ", "green"),
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

    def line(self) -> Text:
        """Return it as a line for the terminal."""
        mark, style = MARKS[self.grade]
        text = Text.assemble((mark, style), f"  {self.subject:<13} {self.found}")
        if self.advice:
            text.append(f"\n{'':>20}-> {self.advice}", style="dim")
        return text

    def plain(self) -> dict[str, str]:
        """Return it in JSON types."""
        return {
            "subject": self.subject,
            "grade": self.grade,
            "found": self.found,
            "advice": self.advice,
        }
