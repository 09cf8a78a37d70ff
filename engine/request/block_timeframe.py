"""Reading the timeframe of a block: the template's, or a multiple of it."""

from engine.request.members import Members
from engine.timeframes import TIMEFRAMES


def read_timeframe(block: Members, timeframe: str | None) -> str | None:
    """Return the larger timeframe of a block; None for that of the template, or once refused.

    `timeframe` is that of the template, None where it was refused. A block that names the
    template's own is the same as one that names none, and is stored as such.
    """
    if "timeframe" not in block.members:
        return None
    own: str | None = block.read("timeframe")
    if own is None or timeframe is None or own == timeframe:
        return None
    if own not in larger_timeframes(timeframe):
        wrong = "shorter than" if TIMEFRAMES[own] < TIMEFRAMES[timeframe] else "no multiple of"
        possible = ", ".join(larger_timeframes(timeframe))
        remedy = f"choose one of {possible}, or leave it out" if possible else "leave it out"
        block.members["timeframe"].refuse(
            f"is {own}, {wrong} template.timeframe ({timeframe}): {remedy}"
        )
        return None
    return own


def larger_timeframes(timeframe: str) -> list[str]:
    """Return the timeframes whose bars consist of several whole ones of this timeframe."""
    step = TIMEFRAMES[timeframe]
    return [name for name, ms in TIMEFRAMES.items() if ms > step and ms % step == 0]
