"""What longs have paid shorts while they were held: a stored series, and how whole it is.

All times are int64 ms since the epoch. A rate is in percent of a position's notional; where it is
negative, shorts pay.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

DAY_MS = 24 * 3_600_000


class Payments(Protocol):
    """Payments of an instrument in the order of time; the candle store's own type fits."""

    @property
    def times(self) -> Int64:
        """When they are due."""

    @property
    def rates(self) -> Float64:
        """Percent."""


@dataclass(frozen=True, slots=True, eq=False)
class Funding:
    """P payments: `times` int64[P] in ms, ascending, `rates` float64[P] in percent."""

    times: Int64
    rates: Float64

    @classmethod
    def within(cls, payments: Payments, start_ms: int, end_ms: int) -> Self:
        """Take those that a position can meet which is held in `[start_ms, end_ms]`."""
        kept = slice(*np.searchsorted(payments.times, (start_ms, end_ms), side="right").tolist())
        return cls(
            np.ascontiguousarray(payments.times[kept], np.int64),
            np.ascontiguousarray(payments.rates[kept], np.float64),
        )

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class FundingCoverage:
    """How many rates there are in a traded range, and the longest time in it without any.

    `gaps` is how many times longer than a day have none, begin and end of the range included.
    `first_ms` and `last_ms` are None where there are no rates.
    """

    rates: int
    first_ms: int | None
    last_ms: int | None
    gap_start_ms: int
    gap_end_ms: int
    gaps: int

    @classmethod
    def of(cls, funding: Funding, start_ms: int, end_ms: int) -> Self:
        """Compare a series with the range that is traded."""
        edges = np.concatenate(([start_ms], funding.times, [end_ms]))
        steps = np.diff(edges)
        widest = int(np.argmax(steps))
        return cls(
            rates=len(funding),
            first_ms=int(funding.times[0]) if len(funding) else None,
            last_ms=int(funding.times[-1]) if len(funding) else None,
            gap_start_ms=int(edges[widest]),
            gap_end_ms=int(edges[widest + 1]),
            gaps=int((steps > DAY_MS).sum()),
        )

    def document(self, written: Any) -> dict[str, Any]:
        """Return it as JSON; `written` writes a time."""
        return {
            "rates": self.rates,
            "first": None if self.first_ms is None else written(self.first_ms),
            "last": None if self.last_ms is None else written(self.last_ms),
            "longest_gap_start": written(self.gap_start_ms),
            "longest_gap_end": written(self.gap_end_ms),
        }
