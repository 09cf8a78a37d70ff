"""Rates of funding as people have them: dumps and answers of exchanges, and plain CSV.

Files are found, unpacked and their times read as those of candles are. They are small: a rate each
eight hours. A time is rounded to the minute, for exchanges stamp payments a few milliseconds late.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from storage.candles.funding import LARGEST_PCT, FundingRates
from storage.candles.importing import sources
from storage.candles.importing.csv_head import COMMENTS, split_line
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.numbers import is_number
from storage.candles.importing.text import whole_lines
from storage.candles.importing.times import TIME_EXAMPLES, Clock, is_time
from storage.candles.known import normalised
from storage.candles.records import MINUTE_MS, utc
from storage.candles.windows import EARLIEST_MS, LATEST_MS

UNITS: Mapping[str, float] = {"fraction": 100.0, "percent": 1.0}
"""Percent in one of each."""

# Names of columns and keys, in small letters and without marks.
TIMES = (
    *("calctime", "fundingtime", "fundingratetimestamp", "fundingtimestamp"),
    *("timestamp", "datetime", "time", "date", "ts"),
)
# What exchanges call it tells the unit; a name that anybody may choose does not.
FRACTIONS = {"last_funding_rate", "fundingRate", "rate_fraction", "funding_rate_fraction"}
PERCENTS = {
    *("rate_pct", "funding_rate_pct", "funding_pct", "rate_percent", "funding_rate_percent"),
    *("rate %", "rate_%", "funding rate %"),
}
UNSAID = {"rate", "funding_rate", "funding", "funding rate", "fundingrate", "value"}
# An object that holds no other one: a payment in the answer of an API, or a line of its own.
OBJECT = re.compile(rb"\{[^{}]*\}")
WHAT_TO_WRITE = (
    "the time and the rate need columns of their own, such as time,rate_pct or Binance's "
    "calc_time,funding_interval_hours,last_funding_rate"
)


@dataclass(frozen=True, slots=True)
class _Row:
    where: str  # file and line, or payment
    time: str
    rate: str
    symbol: str = ""


def read_funding(paths: Sequence[Path], unit: str | None = None) -> FundingRates:
    """Read all files, which may overlap; raises `CandleFileError`.

    `unit` is that of rates whose column does not tell, a key of `UNITS`; typed, it counts.
    """
    if unit is not None and unit not in UNITS:
        raise CandleFileError(f"--unit: {unit!r} is neither {' nor '.join(UNITS)}")
    found: dict[int, tuple[float, str]] = {}
    symbols: dict[str, str] = {}
    taken, _ = sources.expand(paths)
    for path in taken:
        with (
            sources.opened(path) as source,
            sources.reading(source.name),
            source.path.open("rb") as raw,
        ):
            for member in sources.members(source, raw):
                _take(found, symbols, *_rows(member), unit)
    if not found:
        raise CandleFileError("there are no rates of funding in these files")
    if len(symbols) > 1:
        (one, there), (other, here), *_ = symbols.items()
        raise CandleFileError(
            f"{here}: this is {other}, and {there} is {one}: import one instrument at a time"
        )
    times = np.array(sorted(found), np.int64)
    return FundingRates(times, np.array([found[int(time)][0] for time in times], np.float64))


def _take(
    found: dict[int, tuple[float, str]],
    symbols: dict[str, str],
    rows: list[_Row],
    column: str,
    unit: str | None,
) -> None:
    """Add the rows of one file to what is `found`: time → percent, and where that stood."""
    if not rows:
        return
    times, factor = _times(rows), UNITS[_unit(rows[0], column, unit)]
    for row, time in zip(rows, times, strict=True):
        if row.symbol:
            symbols.setdefault(normalised(row.symbol), row.where)
        rate = _percent(row, factor)
        before = found.setdefault(time, (rate, row.where))
        if before[0] != rate:
            raise CandleFileError(
                f"{row.where}: {utc(time):%Y-%m-%d %H:%M} UTC has a rate of {rate:g} %, and "
                f"{before[0]:g} % in {before[1]}: take one of them away"
            )


def _unit(row: _Row, column: str, typed: str | None) -> str:
    if typed is not None:
        return typed
    if column in FRACTIONS:
        return "fraction"
    if column.lower() in PERCENTS:
        return "percent"
    raise CandleFileError(
        f"{row.where}: is {row.rate} in the column {column} a fraction (0.0001 is 0.01 %) or in "
        "percent? Type --unit fraction or --unit percent, or call the column rate_pct"
    )


def _percent(row: _Row, factor: float) -> float:
    if not is_number(row.rate) or not math.isfinite(float(row.rate)):
        raise CandleFileError(f"{row.where}: {row.rate[:60]!r} is no rate; write 0.0001")
    # Decimals of a fraction stay what they were: 0.00007 is 0.007 %, not 0.006999999999999999.
    rate = round(float(row.rate) * factor, 14)
    if abs(rate) > LARGEST_PCT:
        advice = "" if factor == 1.0 else "; if it is in percent already, type --unit percent"
        raise CandleFileError(
            f"{row.where}: a rate of {rate:g} % is beyond {LARGEST_PCT:g} %, as no exchange pays"
            f"{advice}"
        )
    return rate


def _times(rows: list[_Row]) -> list[int]:
    """Return when payments are due, in ms, rounded to the minute."""
    try:
        read = Clock().read(pa.array([row.time or None for row in rows], pa.string()))
    except pa.ArrowInvalid:
        read = np.full(len(rows), np.nan)
    for row, time in zip(rows, read, strict=True):
        known = bool(row.time) and is_time(row.time, rows[0].time) if np.isnan(time) else True
        if not known or time < EARLIEST_MS or time > LATEST_MS:
            raise CandleFileError(
                f"{row.where}: {row.time[:60]!r} is not a time; write {TIME_EXAMPLES}"
            )
    if np.isnan(read).any():
        raise CandleFileError(f"{rows[0].where}: times are written in different ways; use one")
    return [round(time / MINUTE_MS) * MINUTE_MS for time in read.tolist()]


def _rows(member: sources.Member) -> tuple[list[_Row], str]:
    """Return the payments of a file, and what the column of their rates is called."""
    if member.start.startswith(sources.SEEKING):
        raise CandleFileError(f"{member.name}: write the rates as CSV: {WHAT_TO_WRITE}")
    if member.start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")):
        return _of_json(member)
    return _of_csv(member)


def _of_csv(member: sources.Member) -> tuple[list[_Row], str]:
    lines = _lines(member)
    number, head = next(lines, (0, b""))
    names, delimiter = split_line(head, None)
    time, rate, symbol = _columns(f"{member.name}, line {number}", names)
    rows = []
    for number, line in lines:
        fields, where = split_line(line, delimiter)[0], f"{member.name}, line {number}"
        if len(fields) != len(names):
            raise CandleFileError(
                f"{where}: {len(fields)} columns instead of {len(names)}; repair the line"
            )
        named = fields[symbol].strip() if symbol is not None else ""
        rows.append(_Row(where, fields[time].strip(), fields[rate].strip(), named))
    return rows, names[rate].strip()


def _lines(member: sources.Member) -> Iterator[tuple[int, bytes]]:
    """Yield lines with something in them, and their numbers."""
    number = 0
    for block in whole_lines(member.content):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if line.strip() and not line.lstrip().startswith(COMMENTS):
                yield number, line


def _of_json(member: sources.Member) -> tuple[list[_Row], str]:
    rows: list[_Row] = []
    column = ""
    for number, text in enumerate(OBJECT.findall(member.content.read()), start=1):
        where = f"{member.name}, payment {number}"
        try:
            payment: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise CandleFileError(f"{where}: this is no JSON: {error}") from error
        names = list(payment)
        if not any(map(_is_rate, names)):
            continue  # what an answer says of itself
        time, rate, symbol = _columns(where, names)
        column = column or names[rate]
        texts = ["" if value is None else str(value) for value in payment.values()]
        rows.append(_Row(where, texts[time], texts[rate], "" if symbol is None else texts[symbol]))
    return rows, column


def _is_rate(name: str) -> bool:
    return name in FRACTIONS or name.lower() in PERCENTS | UNSAID


def _columns(where: str, names: Sequence[str]) -> tuple[int, int, int | None]:
    """Return the positions of time, rate and symbol."""
    named = [name.strip() for name in names]
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in named]
    times = [plain.index(name) for name in TIMES if name in plain]
    rates = [i for i, name in enumerate(named) if _is_rate(name)]
    if not times or len(rates) != 1:
        raise CandleFileError(f"{where}: the columns are {', '.join(named)[:200]}; {WHAT_TO_WRITE}")
    return times[0], rates[0], plain.index("symbol") if "symbol" in plain else None
