"""Which column is which, and what a time is: the conventions of the files people have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.candles.records import PRICES

# Best first: a file may have several, such as an open and a close time.
TIME_NAMES = (
    *("ts_open", "open_time", "opentime", "start_time", "timestamp", "datetime", "date_time"),
    *("time", "date", "unix", "unix_timestamp", "start_at", "start", "ts", "t"),
    *("__index_level_0__", "index"),
)
VOLUME_NAMES = ("volume_base", "base_volume", "basevolume", "volume")
INSTRUMENT_NAMES = ("symbol", "ticker", "pair", "instrument", "market_id")

# Exchange kline dumps have no header; their twelve columns start with these.
KLINE_COLUMNS = 12
KLINE_HEADER = ("open_time", *PRICES, "volume", "close_time", "quote_volume", "trades")

# Unit of an integer time, by magnitude: seconds reach these figures in the year 5138,
# milliseconds before 1973, and so on.
SECONDS_BELOW, MILLISECONDS_BELOW, MICROSECONDS_BELOW = 10**11, 10**14, 10**17

ZONE_SUFFIX = r"\s*(?:UTC|GMT)$"
TIME_EXAMPLES = "2024-01-31 23:59:00, 2024-01-31T23:59:00Z or an epoch in s, ms or µs"


class UnknownColumns(ValueError):
    """A column that is needed is missing or ambiguous; the message names it and those found."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions of the columns in a file; `instrument` is None where no column names one."""

    time: int
    prices: tuple[int, int, int, int]
    volume: int
    instrument: int | None


def detect(header: Sequence[str], symbol: str) -> Layout:
    """Find the columns by their names; raises `UnknownColumns`.

    `symbol` decides between volumes such as `Volume BTC` and `Volume USDT`: the base comes first in
    a symbol.
    """
    names = [_plain(name) for name in header]
    found = ", ".join(name.strip() for name in header) or "none"

    def position(wanted: Sequence[str], what: str) -> int:
        for name in wanted:
            if names.count(name) > 1:
                raise UnknownColumns(f"there are {names.count(name)} columns {name!r}; keep one")
            if name in names:
                return names.index(name)
        raise UnknownColumns(
            f"no column for the {what}: name it {wanted[0]!r} (columns found: {found})"
        )

    prices = [position((name, name[0]), f"{name} price") for name in PRICES]
    quoted = [name for name in names if name.startswith("volume_") and _is_base(name[7:], symbol)]
    volumes = [name for name in (*VOLUME_NAMES, *quoted, "vol", "v") if name in names]
    times = [name for name in TIME_NAMES if name in names]
    return Layout(
        time=position(times or ["timestamp"], "time"),
        prices=(prices[0], prices[1], prices[2], prices[3]),
        volume=position(volumes or ["volume"], "volume"),
        instrument=next((names.index(name) for name in INSTRUMENT_NAMES if name in names), None),
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s\-.]+", "_", name.strip().strip("\"'<>").lower())


def _is_base(suffix: str, symbol: str) -> bool:
    return bool(suffix) and symbol.lower().startswith(suffix.strip("()_"))


def epoch_ms(values: pa.Array) -> NDArray[np.float64]:
    """Return times as float64 milliseconds since the epoch; NaN where there is none.

    Takes Arrow timestamps (naive ones are UTC), integers and floats in s, ms, µs or ns by
    magnitude, and strings of either kind. Raises `pa.ArrowInvalid` for anything else.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = _parse(pc.utf8_trim_whitespace(values))
        kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        nanoseconds = values.cast(pa.timestamp("ns", getattr(kind, "tz", None))).cast(pa.int64())
        return _float(nanoseconds) / 1e6
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _scaled(_float(values))
    raise pa.ArrowInvalid(f"times cannot be of type {kind}")


def _parse(texts: pa.Array) -> pa.Array:
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts.cast(pa.string()))
    present = texts.drop_null()
    if len(present) == 0:
        return pa.nulls(len(texts), pa.int64())
    if re.fullmatch(r"-?\d+", present[0].as_py()):
        return texts.cast(pa.int64())
    if re.fullmatch(r"-?\d+\.\d*(?:[eE]\+?\d+)?", present[0].as_py()):
        return texts.cast(pa.float64())
    texts = pc.replace_substring_regex(texts, ZONE_SUFFIX, "")
    try:
        return texts.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return texts.cast(pa.timestamp("ns", "UTC"))


def _float(values: pa.Array) -> NDArray[np.float64]:
    # Microseconds of today are below 2^53; nanoseconds of whole milliseconds lose nothing that
    # matters either: they are multiples of 10^6, a float64 step is 256.
    return np.asarray(
        pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
    )


def _scaled(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.abs(numbers)
    return np.select(
        [size < SECONDS_BELOW, size < MILLISECONDS_BELOW, size < MICROSECONDS_BELOW],
        [numbers * 1e3, numbers, numbers / 1e3],
        default=numbers / 1e6,
    )
