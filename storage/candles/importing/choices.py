"""What a user may say about candle files; everything unsaid is judged by the files themselves."""

import math
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from storage.candles.importing.errors import CandleFileError
from storage.candles.records import MINUTE_MS

TIMEFRAMES = {
    **{f"{minutes}m": minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * 60 * MINUTE_MS for hours in (1, 2, 4, 6, 12)},
    "1d": 1440 * MINUTE_MS,
}
DATE_ORDERS = ("dmy", "mdy")
DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}


def timeframe_name(ms: int) -> str:
    """Return `5m`, `1h`, `2d`, or seconds for what is no whole minute."""
    for unit, size in (("d", 1440 * MINUTE_MS), ("h", 60 * MINUTE_MS), ("m", MINUTE_MS)):
        if ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms / 1000:g}s"


@dataclass(frozen=True, slots=True)
class Choices:
    """Options of an import. `None` and empty values leave the decision to the evidence.

    `zone` is that of times without one (UTC otherwise), `columns` the names of the columns from
    left to right (`-` is no name), `where` the values that rows must have, `max_bad_rows` how many
    rows of each file may be dropped, `price_scale` what prices are divided by. `sessions` means
    that the market closes daily or weekly, `align_opens` that of bars which a change of the clock
    moves the ones that open up to an hour earlier are stored as if they opened with the others.
    """

    zone: str | None = None
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    timeframe: str | None = None
    no_volume: bool = False
    where: Mapping[str, str] = field(default_factory=dict)
    max_bad_rows: int | None = None
    price_scale: float = 1.0
    date_order: str | None = None
    sessions: bool = False
    align_opens: bool = False

    def __post_init__(self) -> None:
        if self.zone is not None and not _is_zone(self.zone):
            raise CandleFileError(
                f"--tz: {self.zone!r} is no time zone; type a name such as UTC, Europe/Berlin, "
                "America/New_York or Etc/GMT+5 (that is UTC-5)"
            )
        if self.timeframe is not None and self.timeframe not in TIMEFRAMES:
            raise CandleFileError(
                f"--timeframe: {self.timeframe!r} is none of {', '.join(TIMEFRAMES)}"
            )
        if self.date_order is not None and self.date_order not in DATE_ORDERS:
            raise CandleFileError(f"--date-order: {self.date_order!r} is neither dmy nor mdy")
        if self.delimiter is not None and (
            len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '\r\n"'
        ):
            raise CandleFileError(
                f"--delimiter: {self.delimiter!r} is not one character; type it in quotes, "
                "or one of tab, space, comma, semicolon"
            )
        if self.max_bad_rows is not None and self.max_bad_rows < 0:
            raise CandleFileError(f"--max-bad-rows: {self.max_bad_rows} is negative; 0 allows none")
        if not (math.isfinite(self.price_scale) and self.price_scale > 0):
            raise CandleFileError(
                f"--price-scale: {self.price_scale} is not a positive number; "
                "prices are divided by it, e.g. 10000"
            )

    @classmethod
    def typed(
        cls,
        *,
        columns: str | None = None,
        delimiter: str | None = None,
        where: Iterable[str] = (),
        **others: object,
    ) -> Self:
        """Read the options as they are typed; raises `CandleFileError` naming the option."""
        conditions = {}
        for condition in where:
            name, equals, value = condition.partition("=")
            if not equals or not name.strip():
                raise CandleFileError(
                    f"--where: {condition!r} is not COLUMN=VALUE, such as symbol=BTCUSDT"
                )
            conditions[name.strip()] = value.strip()
        return cls(
            columns=tuple(name.strip() for name in columns.split(",")) if columns else (),
            delimiter=DELIMITERS.get(delimiter, delimiter) if delimiter else None,
            where=conditions,
            **others,  # type: ignore[arg-type]
        )


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True
