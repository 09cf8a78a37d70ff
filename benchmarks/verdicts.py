"""Targets, and whether the numbers of a run meet them."""


class Verdicts:
    """Targets and whether they are met."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def at_least(self, what: str, value: float, target: float) -> None:
        """Note a number that should be `target` or more."""
        self._note(what, f"{value:,.2f}", f">= {target:,}", value >= target)

    def at_most(self, what: str, value: float, target: float) -> None:
        """Note a number that should be `target` or less."""
        self._note(what, f"{value:,.2f}", f"<= {target:,}", value <= target)

    def _note(self, what: str, value: str, target: str, met: bool) -> None:
        self._lines.append(f"  {'met   ' if met else 'MISSED'} {what:<58} {value:>10}  {target}")

    def show(self) -> None:
        """Print every target."""
        print("\ntargets")
        print("\n".join(self._lines))
