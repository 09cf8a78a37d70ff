"""Single bars of an instrument: read around a place, and laid out as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cli.candles import words

if TYPE_CHECKING:
    from storage.candles import Bars, CandleStore, Known
    from storage.candles.records import Int64

NAMES = ("open", "high", "low", "close", "volume")
MOST_DIGITS, NO_DIGIT = 8, 0.5e-8


@dataclass(frozen=True, slots=True)
class Some:
    """Bars that follow each other, apart from those that are not there, each `step_ms` long."""

    bars: "Bars"
    step_ms: int

    @classmethod
    def read(
        cls, store: "CandleStore", name: tuple[int, str], known: "Known", opens: "Int64"
    ) -> "Some":
        """Read the bars that open at int64[N >= 1], all there are between the first and last."""
        step = known.timeframe_ms
        first, last = int(opens[0]), int(opens[-1])
        return cls(store.bars(*name, first, last + 1, step), step)

    def document(self) -> list[dict[str, Any]]:
        """Return them as JSON."""
        return [
            {"time": words.iso(int(time))} | dict(zip(NAMES, map(float, values), strict=True))
            for time, *values in zip(self.bars.ts_open, *self.bars.values(), strict=True)
        ]


def table(parts: list[Some], marked_ms: int | None = None) -> Table:
    """Lay out bars with what is between them; what there is at the time `marked_ms` stands out."""
    laid_out = Table(box=None, header_style="bold", pad_edge=False)
    laid_out.add_column("opens (UTC)", no_wrap=True)
    for name in NAMES:
        laid_out.add_column(name, justify="right", no_wrap=True)
    columns = [part.bars.values() for part in parts]
    prices, volume = (
        _digits([value for part in columns for column in part[which] for value in column.tolist()])
        for which in (slice(4), slice(4, None))
    )
    digits = (*[prices] * 4, volume)
    for number_of_part, part in enumerate(parts):
        end_ms: int | None = None
        if number_of_part:
            laid_out.add_row("  …", style="dim")
        for number, opens in enumerate(part.bars.ts_open.tolist()):
            if end_ms is not None and opens > end_ms:
                between = marked_ms is not None and end_ms <= marked_ms < opens
                text = f"  no bar for {words.length(opens - end_ms)}"
                laid_out.add_row(Text(text, "bold" if between else "dim"))
            end_ms = opens + part.step_ms
            here = marked_ms is not None and opens <= marked_ms < end_ms
            values = (column[number] for column in part.bars.values())
            laid_out.add_row(
                words.at(opens),
                *(f"{value:,.{places}f}" for value, places in zip(values, digits, strict=True)),
                style="bold" if here else "",
            )
    return laid_out


def _digits(values: Sequence[float]) -> int:
    """Return how many decimals tell all values apart, up to 8."""
    for places in range(MOST_DIGITS):
        if all(abs(value - round(value, places)) < NO_DIGIT for value in values):
            return places
    return MOST_DIGITS
