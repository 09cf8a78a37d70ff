"""What there is of an instrument: range, number of bars, what is missing, and when."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from storage.candles import CandleStore, Known
    from storage.candles.records import Int64

LONG_MS, MUCH, MOSTLY = 21 * 86_400_000, 0.15, 0.5
"""What makes a market seem to close: its bars cover 3 weeks, 15 % lack, half of those recur."""

PARTS = 1_200
"""Of the time from the first to the last bar: more than a terminal has columns."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Opens of the first and the last bar in ms; how many there are, and are missing between them.

    `present` and `expected` count bars in equal parts of this time. Closed hours of a
    market with sessions are not expected.
    """

    market_id: int
    symbol: str
    known: "Known"
    first_ms: int
    last_ms: int
    bars: int
    missing: int
    present: list[int]
    expected: list[int]

    @classmethod
    def of(cls, store: "CandleStore", market_id: int, symbol: str) -> Self | None:
        """Read when the bars of an instrument open; None: it has none."""
        known = store.known(market_id, symbol)
        opens = store.opens(market_id, symbol)
        return cls.of_opens(market_id, symbol, known, opens) if len(opens) else None

    @classmethod
    def of_opens(cls, market_id: int, symbol: str, known: "Known", opens: "Int64") -> Self:
        """Say it of bars that open at int64[N >= 1]."""
        import numpy as np

        from engine.sessions import missing

        step = known.timeframe_ms
        first, last = int(opens[0]), int(opens[-1])
        slots = (last - first) // step + 1
        parts = min(PARTS, slots)

        def counted(numbers: "Int64") -> "Int64":
            return np.bincount(numbers * parts // slots, minlength=parts).astype(np.int64)

        present = counted((opens - first) // step)
        if known.sessions:
            lacking = missing(opens, step, first, last + step)
            expected = present + counted((lacking - first) // step)
        else:
            borders = -(-np.arange(parts + 1) * slots // parts)
            expected = np.diff(borders)
        return cls(
            market_id,
            symbol,
            known,
            first,
            last,
            len(opens),
            int(expected.sum()) - len(opens),
            present.tolist(),
            expected.tolist(),
        )

    def recurring(self, opens: "Int64") -> int:
        """Count missing bars that recur as those of a market that closes; 0 unless it seems to.

        It does if much is missing, most of it at the same times, and over some weeks: by chance
        minutes without a trade recur as well.
        """
        from engine.gaps import gaps

        enough = self.last_ms - self.first_ms >= LONG_MS
        much = self.missing >= MUCH * (self.missing + self.bars)
        if self.known.sessions or not (enough and much):
            return 0
        outages = gaps(opens, self.known.timeframe_ms, sessions=True)
        recurring = self.missing - int(outages.bars.sum())
        return recurring if recurring > MOSTLY * self.missing else 0

    def document(self) -> dict[str, object]:
        """Return it as JSON."""
        from cli.candles.words import iso
        from storage.candles import length

        return {
            "market_id": self.market_id,
            "symbol": self.symbol,
            "timeframe": length(self.known.timeframe_ms),
            "first": iso(self.first_ms),
            "last": iso(self.last_ms),
            "bars": self.bars,
            "minutes": self.bars * self.known.timeframe_ms // 60_000,
            "missing": self.missing,
            "has_volume": self.known.has_volume,
            "sessions": self.known.sessions,
        }
