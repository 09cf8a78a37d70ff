"""How the prices of an instrument went: extremes, the last close, a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cli.candles import pictures, words

if TYPE_CHECKING:
    from cli.candles.summary import Summary
    from storage.candles import Bars, CandleStore

FEW = 2_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars of an instrument rolled up to a few, each `step_ms` long; its last bar ends `end_ms`."""

    bars: "Bars"
    step_ms: int
    end_ms: int

    @classmethod
    def of(cls, store: "CandleStore", summary: "Summary") -> "Prices":
        """Read all bars, put together to few enough to look at."""
        from engine.timeframes import TIMEFRAMES

        base = summary.known.timeframe_ms
        end = summary.last_ms + base
        fitting = [base, *(step for step in TIMEFRAMES.values() if step > base and not step % base)]
        step = next(
            (step for step in fitting if (end - summary.first_ms) // step <= FEW), fitting[-1]
        )
        name = summary.market_id, summary.symbol
        return cls(store.bars(*name, summary.first_ms, end, step), step, end)

    def document(self) -> dict[str, Any]:
        """Return it as JSON: the extremes with the bar they are in, and the last close."""
        bars = self.bars
        low, high = int(bars.low.argmin()), int(bars.high.argmax())
        return {
            "low": {"price": float(bars.low[low]), "at": words.iso(int(bars.ts_open[low]))},
            "high": {"price": float(bars.high[high]), "at": words.iso(int(bars.ts_open[high]))},
            "close": float(bars.close[-1]),
        }

    def lines(self, console: Console, width: int) -> Iterator[tuple[str, str]]:
        """Yield labels and texts: the extremes and a picture of at most `width` characters."""
        bars = self.bars
        low, high = int(bars.low.argmin()), int(bars.high.argmax())
        yield (
            "prices",
            f"{_price(bars.low[low])} ({words.day(int(bars.ts_open[low]))}) to "
            f"{_price(bars.high[high])} ({words.day(int(bars.ts_open[high]))}), "
            f"the last {_price(bars.close[-1])}",
        )
        yield "closes", pictures.sparkline(self._closes(width), console)

    def _closes(self, width: int) -> list[float | None]:
        """Return the last close in each of equal parts of the time; None where there is none."""
        first = int(self.bars.ts_open[0])
        slots = max(1, -(-(self.end_ms - first) // self.step_ms))
        parts = min(width, slots)
        closes: list[float | None] = [None] * parts
        numbers = (self.bars.ts_open - first) // self.step_ms * parts // slots
        for number, close in zip(numbers.tolist(), self.bars.close.tolist(), strict=True):
            closes[number] = close
        return closes


def _price(value: float) -> str:
    return f"{value:,.10g}"
