"""Which column is which: by names where there are some, by what stands in them where not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError, Learnt
from storage.candles.importing.numbers import is_number
from storage.candles.importing.times import Clock, is_time, is_time_of_day
from storage.candles.importing.volumes import best_volume
from storage.candles.records import PRICES

# Best first where several are equally fine, such as an open time in two notations.
TIME_NAMES = (
    *("ts_open", "open_time", "opentime", "start_time", "timestamp", "datetime", "date_time"),
    *("gmt_time", "local_time", "utc_time", "time", "date", "unix", "unix_timestamp", "start_at"),
    *("starttime", "start", "ts", "t", "dtyyyymmdd", "__index_level_0__", "index", "level_0", ""),
    "unnamed:_0",
)
DAY_NAMES, TIME_OF_DAY_NAMES = ("date", "dtyyyymmdd", "day"), ("time", "timestamp")
PRICE_SUFFIXES = ("", "_price")
VOLUME_NAMES = ("volume_base", "base_volume", "basevolume", "base_asset_volume", "volume")
LATER_VOLUME_NAMES = ("vol", "v", "volccy", "tickvol", "tick_volume", "tickvolume")
QUOTE_NAMES = (
    *("volccyquote", "quote_volume", "quote_asset_volume", "quotevolume", "volume_quote"),
    *("turnover", "quote_av", "amount_quote"),
)
INSTRUMENT = re.compile(
    r"symbol|ticker|pair|instrument|instrument_?(?:name|id)|inst_?id|s|coin|market|product_id"
)
MARKET_NAMES = ("market_id",)

KLINE_HEADER = ("open_time", *PRICES, "volume", "close_time", "quote_volume", "trades")
EXAMPLE = "time,open,high,low,close,volume"


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of the columns in a file; None where there is none.

    `quote` holds the volume in the quote currency and proves the unit of `volume`. `unused` is a
    volume that was set aside because it was 0, and is taken after all if it is not.
    """

    time: int
    time_of_day: int | None
    prices: tuple[int, int, int, int]
    volume: int | None
    quote: int | None = None
    unused: int | None = None
    instruments: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


class UnknownColumns(ValueError):
    """A column that is needed is missing or ambiguous; the message names it and those found."""


def without_header(fields: Sequence[str]) -> tuple[str, ...] | None:
    """Name the columns of a file without a header by its first line; None if they are unknown."""
    if len(fields) == 12 and is_number(fields[0]):
        return (*KLINE_HEADER, "taker_base", "taker_quote", "ignore")
    prices = ("open", "high", "low", "close", "volume")
    if len(fields) == 7 and re.match(r"\d{4}\D\d\d\D\d\d$|\d{8}$", fields[0].strip()):
        return ("date", "time", *prices) if is_time_of_day(fields[1]) else None
    if len(fields) in (6, 7) and is_time(fields[0]) and all(map(is_number, fields[1:])):
        # Trades are counted; a seventh number with a fraction may be any of several volumes.
        counted = len(fields) == 6 or float(fields[6]).is_integer()
        return ("time", *prices, "trades")[: len(fields)] if counted else None
    return None


def choose(
    names: Sequence[str], sample: Sequence[Any], symbol: str, choices: Choices, learnt: Learnt
) -> Layout:
    """Find the columns; `sample` are the first rows of each, as Arrow columns.

    `symbol` decides between volumes such as `Volume BTC` and `Volume USDT`: the base comes first in
    a symbol. Raises `UnknownColumns`.
    """
    return _Choice(names, sample, symbol, choices, learnt).layout()


class _Choice:
    """The columns of one file: how they are called, and how they begin."""

    def __init__(
        self,
        names: Sequence[str],
        sample: Sequence[Any],
        symbol: str,
        choices: Choices,
        learnt: Learnt,
    ) -> None:
        self._written = [name.strip() for name in names]
        self._names = [_plain(name) for name in names]
        self._sample, self._symbol = sample, symbol
        self._choices, self._learnt = choices, learnt
        self._notes: list[str] = []

    def layout(self) -> Layout:
        """See `choose`."""
        prices = [self._price(name) for name in PRICES]
        time, time_of_day = self._time()
        quote = self._position(QUOTE_NAMES)
        volume, unused = self._volume(prices, quote)
        used = {time, time_of_day, *prices, volume, quote}
        texts = [i for i in range(len(self._names)) if i not in used and self._is_label(i)]
        instruments = [
            i
            for i, name in enumerate(self._names)
            if i not in used and (INSTRUMENT.fullmatch(name) or name in MARKET_NAMES)
        ]
        return Layout(
            time=time,
            time_of_day=time_of_day,
            prices=(prices[0], prices[1], prices[2], prices[3]),
            volume=volume,
            quote=quote if quote != volume else None,
            unused=unused,
            instruments=tuple(instruments),
            labels=tuple(i for i in texts if i not in instruments),
            notes=tuple(self._notes),
        )

    def _found(self) -> str:
        return ", ".join(self._written) or "none"

    def _position(self, wanted: Sequence[str]) -> int | None:
        for name in wanted:
            if self._names.count(name) > 1:
                raise UnknownColumns(
                    f"there are {self._names.count(name)} columns {name!r}; "
                    f"keep one, or name all with --columns {EXAMPLE}"
                )
            if name in self._names:
                return self._names.index(name)
        return None

    def _price(self, name: str) -> int:
        wanted = [*(name + suffix for suffix in PRICE_SUFFIXES), name[0]]
        found = self._position(wanted)
        if found is None:
            raise UnknownColumns(
                f"no column for the {name} price: name it {name!r}, or name all columns with "
                f"--columns {EXAMPLE} (columns found: {self._found()})"
            )
        return found

    def _time(self) -> tuple[int, int | None]:
        """Take the finest of the times; a date and a time of day are one."""
        positions = [i for name in TIME_NAMES for i in self._named(name)]
        if not positions:
            raise UnknownColumns(
                f"no column for the time: name it 'timestamp', or name all columns with "
                f"--columns {EXAMPLE} (columns found: {self._found()})"
            )
        days = [i for i in positions if self._names[i] in DAY_NAMES]
        clocks = [
            i
            for i in positions
            if self._names[i] in TIME_OF_DAY_NAMES and i not in days and self._is_time_of_day(i)
        ]
        if days and clocks:
            return days[0], clocks[0]
        fineness = {i: self._distinct_times(i) for i in positions}
        best = max(positions, key=lambda i: fineness[i])
        if best != positions[0] or (len(positions) > 1 and min(fineness.values()) < fineness[best]):
            coarser = [self._written[i] for i in positions if fineness[i] < fineness[best]]
            self._notes.append(
                f"times are those of column {self._written[best]!r}, "
                f"which is finer than {', '.join(map(repr, coarser))}"
            )
        return best, None

    def _named(self, name: str) -> list[int]:
        """Positions of a time's name; of `t` and `T` the small one is the open time."""
        found = [i for i, given in enumerate(self._names) if given == name]
        if name == "":
            # An index stands first; other columns without a name are remains of delimiters.
            return [i for i in found if i == 0]
        if len(found) > 1:
            exact = [i for i in found if self._written[i].strip("\"'<>") == name]
            if len(exact) != 1:
                raise UnknownColumns(
                    f"there are {len(found)} columns {name!r}; keep one, or name all with "
                    f"--columns {EXAMPLE}"
                )
            return exact
        return found

    def _is_time_of_day(self, position: int) -> bool:
        column = self._sample[position]
        if pa.types.is_time(column.type):
            return True
        first = next((value.as_py() for value in column if value.is_valid), None)
        return isinstance(first, str) and is_time_of_day(first)

    def _distinct_times(self, position: int) -> int:
        try:
            clock = Clock(date_order=self._learnt.date_order or self._choices.date_order or "dmy")
            times = clock.read(self._sample[position])
        except pa.ArrowInvalid:
            return 0
        return len(np.unique(times[~np.isnan(times)]))

    def _volume(self, prices: list[int], quote: int | None) -> tuple[int | None, int | None]:
        if self._choices.no_volume:
            return None, None
        base = [
            name
            for name in self._names
            if name.startswith("volume_") and _is_base(name[7:], self._symbol)
        ]
        wanted = (*VOLUME_NAMES, *base, *LATER_VOLUME_NAMES)
        positions = [self._position([name]) for name in wanted if name in self._names]
        found = list(dict.fromkeys(i for i in positions if i is not None))
        if not found:
            raise UnknownColumns(
                "no column for the volume: name it 'volume', or type --no-volume if there is none "
                f"(columns found: {self._found()})"
            )
        if self._learnt.volume is not None:
            return self._learnt.volume, None
        if len(found) == 1:
            return found[0], None
        taken, unused, note = best_volume(
            found, self._written, self._sample, close=prices[3], quote=quote
        )
        self._notes += [note] if note else []
        return taken, unused

    def _is_label(self, position: int) -> bool:
        column = self._sample[position]
        if pa.types.is_dictionary(column.type):
            return True
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return False
        present = pc.drop_null(column)
        return (
            len(present) > 0
            and not is_number(present[0].as_py())
            and (not is_time(present[0].as_py()) and not is_time_of_day(present[0].as_py()))
        )


def _plain(name: str) -> str:
    return re.sub(r"[\s\-.]+", "_", name.strip().strip("\"'<>").lower())


def _is_base(suffix: str, symbol: str) -> bool:
    return bool(suffix) and symbol.lower().startswith(suffix.strip("()_"))


def position_of(names: Sequence[str], wanted: str, file: str) -> int:
    """Return where the column of a condition is; raises `CandleFileError` naming all columns."""
    plain = [_plain(name) for name in names]
    if _plain(wanted) not in plain:
        raise CandleFileError(
            f"{file}: --where: there is no column {wanted!r} "
            f"(columns found: {', '.join(name.strip() for name in names)})"
        )
    return plain.index(_plain(wanted))
