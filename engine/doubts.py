"""What was found out about a search itself, as sentences of a verdict."""

from engine.phrases import Json, count_of, moved, number_of, percent, whole

LUCKY_P = 0.1
"""Above it, what was found is what a search like it finds in nothing."""


class Neighbours:
    """How the variants did that are one step from the winner."""

    def __init__(self, figures: Json) -> None:
        self.number = count_of(figures.get("number")) or 0
        self.twins = count_of(figures.get("twins")) or 0
        self.median = number_of(figures.get("median_return"))
        self.worst = number_of(figures.get("worst_return"))

    def lost_money(self) -> bool:
        """Whether half of them lost money, or more."""
        return self.number > 0 and self.median is not None and self.median < 0.0

    def said(self) -> str | None:
        """Say how they did; and that most of them prove nothing, where that is so."""
        if not self.number or self.median is None or self.worst is None:
            return None
        if self.number == 1:
            same = "trades exactly as it does" if self.twins else moved(self.median)
            return f"The only neighbour of the winner {same}."
        if self.twins >= self.number:
            return f"All {whole(self.number)} neighbours of the winner trade exactly as it does."
        said = f"Neighbours of the winner: median {percent(self.median)}"
        said += f", worst {percent(self.worst)}"
        if 2 * self.twins > self.number:
            said += f"; {whole(self.twins)} of {whole(self.number)} trade exactly as it does"
        return f"{said}."


class Search:
    """How often as much was found where there was nothing to find."""

    def __init__(self, figures: Json) -> None:
        self.draws = count_of(figures.get("draws")) or 0
        self.as_good = count_of(figures.get("as_good"))
        self.p = number_of(figures.get("p"))

    def is_luck(self) -> bool:
        """Whether that was often."""
        return self.said() is not None and self.p is not None and self.p > LUCKY_P

    def said(self) -> str | None:
        """Say how often it was, and of how many."""
        if not self.draws or self.as_good is None or self.as_good > self.draws or self.p is None:
            return None
        if not self.as_good:
            often = f"none of {whole(self.draws)} searches like this"
        else:
            often = f"{whole(self.as_good)} of {whole(self.draws)} searches like this"
        return f"In data without an edge, {often} found as much (p = {self.p:.2g})."
