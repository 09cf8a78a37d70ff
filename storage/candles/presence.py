"""Which bars of an instrument exist, found without loading them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Presence:
    """Which bars of one timeframe have a valid minute, around and in an asked range.

    Times are opens of bars in ms since the epoch. `earliest_ms` and `latest_ms` are of all bars
    that were looked at and end in time, the rest is of those that lie in the range whole: how many
    there are, the first and the last, how many are missing in a row at most, from where on (the
    first such gap between two bars), the extremes of their prices. None: there are no such bars.
    """

    bars: int
    first_ms: int | None
    last_ms: int | None
    gap_bars: int
    gap_start_ms: int | None
    earliest_ms: int | None
    latest_ms: int | None
    lowest: float | None
    highest: float | None


def joined(rows: Iterable[Mapping[str, Any]], timeframe_ms: int) -> Presence:
    """Join answers of the statement `presence` about windows that follow each other in time."""
    rows = list(rows)

    def known(name: str) -> list[Any]:
        return [row[name] for row in rows if row[name] is not None]

    firsts, lasts = known("first_ms"), known("last_ms")
    gaps = [
        *zip(known("gap_after_ms"), known("gap_before_ms"), strict=True),
        *zip(lasts, firsts[1:], strict=False),
    ]
    # Bars missing in a row, and where: the widest gap, of several the first.
    missing, start = min(
        ((after + timeframe_ms - before, after + timeframe_ms) for after, before in gaps),
        default=(0, 0),
    )
    return Presence(
        bars=sum(known("bars")),
        first_ms=min(firsts, default=None),
        last_ms=max(lasts, default=None),
        gap_bars=-missing // timeframe_ms,
        gap_start_ms=start if missing else None,
        earliest_ms=min(known("earliest_ms"), default=None),
        latest_ms=max(known("latest_ms"), default=None),
        lowest=min(known("lowest"), default=None),
        highest=max(known("highest"), default=None),
    )
