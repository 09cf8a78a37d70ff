"""The beginning of a CSV file: what precedes the candles, and how the columns are called."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.layout import EXAMPLE, without_header
from storage.candles.importing.numbers import is_number

MARKS = "\t;|,"
COMMENTS = (b"#", b"//")
# Time and four prices.
LEAST_FIELDS = 5
BANNER_LINES = 30
DECIMAL_COMMA = re.compile(r"-?\d+,\d+$")
# Longer than any line of candles.
LINE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Head:
    """How a file is written. `skipped` lines and bytes precede the candles."""

    names: tuple[str, ...]
    delimiter: str
    decimal_point: str
    skipped_lines: int
    skipped_bytes: int
    symbol: str | None = None
    headless: bool = False


def read_head(file: str, text: bytes, choices: Choices) -> Head:
    """Look at the first lines of a file; raises `CandleFileError`."""
    lines = text.split(b"\n")
    first = _first(file, lines, choices)
    fields, delimiter = split_line(lines[first], choices.delimiter)
    following = [line for line in lines[first + 1 : first + BANNER_LINES] if _is_filled(line)]
    data = split_line(following[0], delimiter)[0] if following else []
    if fields[0].strip() == "Price" and data and data[0].strip() == "Ticker":
        return _of_yfinance(lines, first, fields, delimiter)
    named = 2 * sum(map(is_number, map(_pointed, fields))) < len(fields)
    if not named:
        data = fields
    decimal_point = _decimal_point(data, delimiter)
    names = _names(file, first + 1, fields, data, named, choices)
    skipped = first + named
    return Head(
        names=names,
        delimiter=delimiter,
        decimal_point=decimal_point,
        skipped_lines=skipped,
        skipped_bytes=sum(len(line) + 1 for line in lines[:skipped]),
        headless=not named,
    )


def split_line(line: bytes, delimiter: str | None) -> tuple[list[str], str]:
    """Return the fields of a line, and what parts them."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if delimiter is None:
        enough = [mark for mark in MARKS if text.count(mark) >= LEAST_FIELDS - 1]
        delimiter = enough[0] if enough else max(MARKS, key=text.count)
    try:
        return next(csv.reader([text], delimiter=delimiter), [""]), delimiter
    except csv.Error:
        return text.split(delimiter), delimiter


def _first(file: str, lines: Sequence[bytes], choices: Choices) -> int:
    """Find the line that names the columns, or the first candle: what is above is a banner."""
    filled = [i for i, line in enumerate(lines[: 4 * BANNER_LINES]) if _is_filled(line)]
    if not filled:
        raise CandleFileError(f"{file}: the file holds no candles")
    for i in filled[:BANNER_LINES]:
        if len(lines[i]) > LINE_BYTES or b"\0" in lines[i]:
            break
        if len(split_line(lines[i], choices.delimiter)[0]) >= LEAST_FIELDS:
            return i
    return filled[0]


def _is_filled(line: bytes) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(COMMENTS)


def _names(
    file: str,
    line: int,
    fields: list[str],
    data: list[str],
    named: bool,
    choices: Choices,
) -> tuple[str, ...]:
    width = len(data) if abs(len(data) - len(fields)) == 1 else len(fields)
    if choices.columns:
        if len(choices.columns) != width:
            raise CandleFileError(
                f"{file}: --columns names {len(choices.columns)} columns, but line {line} has "
                f"{width}; write - for those that are not needed"
            )
        return choices.columns
    if not named:
        known = without_header(fields)
        if known is None:
            raise CandleFileError(
                f"{file}: line {line} has no column names and {len(fields)} columns, which are "
                f"not recognised. Name them from left to right with --columns {EXAMPLE} "
                "(- for those that are not needed)"
            )
        return known
    if len(data) == len(fields) + 1:
        # Either each line of candles ends with a delimiter, or the index has no name.
        return (*fields, "-") if not data[-1].strip() else ("", *fields)
    return tuple(fields)


def _of_yfinance(lines: Sequence[bytes], first: int, fields: list[str], delimiter: str) -> Head:
    """Read the three lines of names that yfinance writes: prices, tickers, and the index."""
    rows = [i for i in range(first, len(lines)) if lines[i].strip()][:3]
    tickers = split_line(lines[rows[1]], delimiter)[0]
    index = split_line(lines[rows[-1]], delimiter)[0]
    titled = not any(field.strip() for field in index[1:])
    skipped = rows[-1 if titled else 1] + 1
    several = len(set(tickers[1:])) > 1
    names = (
        [f"{name} {ticker}" for name, ticker in zip(fields[1:], tickers[1:], strict=False)]
        if several
        else fields[1:]
    )
    return Head(
        names=(index[0] if titled else "datetime", *names),
        delimiter=delimiter,
        decimal_point=".",
        skipped_lines=skipped,
        skipped_bytes=sum(len(line) + 1 for line in lines[:skipped]),
        symbol=None if several or len(tickers) < 2 else tickers[1].strip(),
    )


def _decimal_point(data: Sequence[str], delimiter: str) -> str:
    commas = sum(DECIMAL_COMMA.match(field.strip()) is not None for field in data)
    return "," if delimiter != "," and commas else "."


def _pointed(field: str) -> str:
    return field.strip().replace(",", ".") if DECIMAL_COMMA.match(field.strip()) else field
