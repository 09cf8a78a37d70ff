"""Small pictures made of characters: how much is there, and how prices went."""

from collections.abc import Sequence
from itertools import groupby, pairwise

from rich.console import Console
from rich.text import Text

STEPS, NOTHING, CLOSED = "▁▂▃▄▅▆▇█", "·", " "
PLAIN_STEPS, PLAIN_NOTHING = "123456789#", "."
"""For terminals that know ASCII alone."""


def coverage(present: Sequence[int], expected: Sequence[int], width: int, console: Console) -> Text:
    """Draw how many of the expected bars are present in each of equal parts of the time.

    The full block stands for all of them and for nothing less; where none is expected, nothing is
    drawn. Both are of as many parts as are drawn, or of more.
    """
    width = min(width, len(expected))
    borders = [number * len(expected) // width for number in range(width + 1)]
    steps, nothing = _signs(console)

    def sign(there: int, all_: int) -> tuple[str, str]:
        if not all_:
            return CLOSED, ""
        if not there:
            return nothing, "red"
        if there >= all_:
            return steps[-1], "green"
        return steps[there * (len(steps) - 1) // all_], "yellow"

    signs = [
        sign(sum(present[begin:end]), sum(expected[begin:end])) for begin, end in pairwise(borders)
    ]
    text = Text()
    for style, run in groupby(signs, key=lambda one: one[1]):
        text.append("".join(character for character, _ in run), style or None)
    return text


def sparkline(values: Sequence[float | None], console: Console) -> str:
    """Draw values from the lowest to the highest; None is nothing."""
    steps, _ = _signs(console)
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(steps) - 1) / (high - low) if high > low else 0.0
    return "".join(
        " " if value is None else steps[round((value - low) * scale)] for value in values
    )


def legend(console: Console) -> str:
    """Explain the picture of the coverage."""
    steps, nothing = _signs(console)
    return (
        f"coverage, from the first to the last bar: {steps[-1]} all bars are there, {nothing} none"
    )


def _signs(console: Console) -> tuple[str, str]:
    if "utf" in console.encoding.lower():
        return STEPS, NOTHING
    return PLAIN_STEPS, PLAIN_NOTHING
