"""Judging stored bars: what cannot be right, with the evidence."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.candles.known import Known
from storage.candles.records import Bars, Float64, Int64

Share = Callable[[float], None]
"""Is told which share of the work is done."""

TOLD = 20
"""So many flaws are told, the others counted."""


class Flaw(NamedTuple):
    """What is wrong, where: a file or table; which of its rows, from 1 on; when the bar opens.

    None: it is about all rows, or the place has no order of rows.
    """

    place: str
    row: int | None
    ts_ms: int | None
    what: str


class Verified(NamedTuple):
    """What reading everything has found: how many bars there are, and what is wrong with them.

    `sha256` is of the bars as readers get them, whatever holds them: None where they cannot be
    read. `flawed` is how many flaws there are, `flaws` are the first of them.
    """

    bars: int
    sha256: str | None
    flawed: int
    flaws: tuple[Flaw, ...]


class Verifying:
    """What has been found so far."""

    def __init__(self) -> None:
        self.flawed = 0
        self.unreadable = False
        self._flaws: list[Flaw] = []
        self._bars = 0
        self._digest = hashlib.sha256()

    def add(self, count: int, flaws: Iterable[Flaw]) -> None:
        """Count flaws and keep the first of them."""
        self.flawed += count
        for flaw, _ in zip(flaws, range(TOLD - len(self._flaws)), strict=False):
            self._flaws.append(flaw)

    def judge(self, place: str, bars: Bars, known: Known) -> None:
        """Find what is wrong with bars of a place whose rows have no order."""
        wrong = doubtful(bars.values()) | (off_beat(bars.ts_open, known))
        at = np.flatnonzero(wrong)
        self.add(len(at), (_flaw(place, None, bars, int(n), known) for n in at))

    def read(self, bars: Bars) -> None:
        """Count bars as readers get them, in the order of time."""
        self._bars += len(bars)
        columns = [bars.ts_open, *(column.view(np.int64) for column in bars.values())]
        # Bar by bar: in whatever pieces they come.
        self._digest.update(np.column_stack(columns).tobytes())

    def verified(self) -> Verified:
        """Return what was found."""
        sha256 = None if self.unreadable else self._digest.hexdigest()
        return Verified(self._bars, sha256, self.flawed, tuple(self._flaws))


def doubtful(values: tuple[Float64, Float64, Float64, Float64, Float64]) -> NDArray[np.bool_]:
    """Return which bars cannot be right: bool[N] of open, high, low, close, volume float64[N]."""
    open_, high, low, close, volume = values
    with np.errstate(invalid="ignore"):
        right = (volume >= 0) & (volume < np.inf)
        for price in values[:4]:
            right &= (price > 0) & (price < np.inf)
        right &= (high >= np.maximum(open_, close)) & (low <= np.minimum(open_, close))
    return ~right


def off_beat(ts_open: Int64, known: Known) -> NDArray[np.bool_]:
    """Return which bars open at a time at which none of theirs does: bool[N]."""
    return np.not_equal(ts_open % known.timeframe_ms, known.phase_ms)


def flaws_of(place: str, rows: Int64, bars: Bars, known: Known) -> Iterator[Flaw]:
    """Say what is wrong with bars that are, `rows` are their numbers in the place, from 1 on."""
    for number in range(len(bars)):
        yield _flaw(place, int(rows[number]), bars, number, known)


def _flaw(place: str, row: int | None, bars: Bars, number: int, known: Known) -> Flaw:
    ts_ms = int(bars.ts_open[number])
    values = [float(column[number]) for column in bars.values()]
    off = (
        ["it opens at a time that is no whole bar"]
        if ts_ms % known.timeframe_ms != known.phase_ms
        else []
    )
    return Flaw(place, row, ts_ms, ", ".join([*_said(*values), *off]))


def _said(open_: float, high: float, low: float, close: float, volume: float) -> Iterator[str]:
    prices = {"open": open_, "high": high, "low": low, "close": close}
    for name, price in prices.items():
        if not 0 < price < np.inf:
            yield f"{name} is {price:.12g}, which is no price"
    if not 0 <= volume < np.inf:
        yield f"volume is {volume:.12g}, which is no volume"
    for name in ("open", "close"):
        if high < prices[name]:
            yield f"high {high:.12g} is below {name} {prices[name]:.12g}"
        if low > prices[name]:
            yield f"low {low:.12g} is above {name} {prices[name]:.12g}"
