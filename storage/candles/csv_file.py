"""Candles from CSV text: with a header of any order, or an exchange's kline dump without one."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv

from storage.candles import columns
from storage.candles.columns import KLINE_COLUMNS, KLINE_HEADER, TIME_EXAMPLES, Layout
from storage.candles.rows import CandleFileError, Rows, matrix, several_instruments

# How much text is parsed at a time, and how long a line of candles can be.
BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16
DELIMITERS = ",;\t|"
NO_VALUE = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "-")


class CsvFile:
    """One CSV file: `text` is its content, `raw` the file on disk that tells how far we are."""

    def __init__(self, path: Path, symbol: str, raw: IO[bytes], text: IO[bytes]) -> None:
        self._path, self._symbol, self._raw, self._text = path, symbol, raw, text
        self._line = 1  # number of the next line
        self._instrument: str | None = None

    def rows(self) -> Iterator[Rows]:
        """Read it block by block; raises `CandleFileError` naming the line."""
        pending = self._text.read(BLOCK_BYTES)
        pending = self._read_header(pending)
        while pending:
            end = pending.rfind(b"\n") + 1
            more = self._text.read(BLOCK_BYTES)
            if not more:
                end = len(pending)
            elif end == 0:
                raise self._not_text()
            if end:
                yield self._parse(pending[:end])
            pending = pending[end:] + more

    def _read_header(self, text: bytes) -> bytes:
        """Learn delimiter and columns from the first lines; returns what follows the header."""
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise CandleFileError(f"{self._path}: this is UTF-16 text; save it as UTF-8")
        text = text.removeprefix(b"\xef\xbb\xbf")
        while True:
            line, newline, rest = text.partition(b"\n")
            if len(line) > LINE_BYTES or b"\0" in line:
                raise self._not_text()
            if line.strip() and not self._is_banner(line, rest):
                break
            if not newline:
                raise CandleFileError(f"{self._path}: the file holds no candles")
            text, self._line = rest, self._line + 1
        fields = self._split(line, self._find_delimiter(line))
        self._delimiter, self._width = self._find_delimiter(line), len(fields)
        if 2 * sum(map(_is_number, fields)) < len(fields):
            self._layout = self._detect(fields)
            self._line += 1
            return rest
        if len(fields) != KLINE_COLUMNS:
            raise CandleFileError(
                f"{self._path}: line {self._line} has no column names and {len(fields)} columns. "
                "Add a first line such as timestamp,open,high,low,close,volume "
                f"(only exchange kline dumps of {KLINE_COLUMNS} columns need none)"
            )
        self._layout = self._detect(KLINE_HEADER)
        return text

    def _parse(self, block: bytes) -> Rows:
        first_line = self._line
        self._line += block.count(b"\n") + (not block.endswith(b"\n"))
        layout = self._layout
        names = [f"c{i}" for i in range(self._width)]
        wanted = [layout.time, *layout.prices, layout.volume]
        types = {names[i]: pa.float64() for i in wanted[1:]} | {names[layout.time]: pa.string()}
        if layout.instrument is not None:
            wanted.append(layout.instrument)
            types[names[layout.instrument]] = pa.string()
        if not block.strip():
            return Rows(np.empty(0), np.empty((0, 5)), str, self._raw.tell())
        try:
            table = pyarrow.csv.read_csv(
                io.BytesIO(block),
                read_options=pa.csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=len(block) + 1
                ),
                parse_options=pa.csv.ParseOptions(delimiter=self._delimiter),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=[names[i] for i in wanted],
                    column_types=types,
                    null_values=NO_VALUE,
                    strings_can_be_null=True,
                ),
            ).combine_chunks()
            time_ms = columns.epoch_ms(_whole(table.column(0)))
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise self._locate(block, first_line) from error
        if layout.instrument is not None:
            self._check_instrument(table.column(6))
        return Rows(
            time_ms,
            matrix([table.column(i) for i in range(1, 6)]),
            lambda row: f"line {_line_of(block, row) + first_line}",
            self._raw.tell(),
        )

    def _locate(self, block: bytes, first_line: int) -> CandleFileError:
        """Find the line that could not be parsed, the slow way."""
        layout = self._layout
        for offset, line in enumerate(block.splitlines()):
            if not line.strip():
                continue
            where = f"{self._path}: line {first_line + offset}"
            fields = self._split(line, self._delimiter)
            if len(fields) != self._width:
                return CandleFileError(
                    f"{where} has {len(fields)} columns instead of {self._width}; "
                    "repair the line, or get the file again if it was cut off"
                )
            for column in (*layout.prices, layout.volume):
                if fields[column].strip() not in NO_VALUE and not _is_number(fields[column]):
                    return CandleFileError(
                        f"{where}, column {column + 1}: {fields[column]!r} is not a number "
                        "(write 1234.5, without thousands separators)"
                    )
            if not _is_time(fields[layout.time]):
                return CandleFileError(
                    f"{where}, column {layout.time + 1}: {fields[layout.time]!r} is not a time; "
                    f"write {TIME_EXAMPLES}"
                )
        return CandleFileError(
            f"{self._path}: lines {first_line} to {self._line - 1} cannot be read as CSV, or mix "
            "different ways to write times; use one way throughout"
        )

    def _check_instrument(self, column: pa.ChunkedArray) -> None:
        for name in column.unique().drop_null().to_pylist():
            if self._instrument is None:
                self._instrument = name
            if name != self._instrument:
                raise several_instruments(self._path, self._instrument, name)

    def _detect(self, header: Sequence[str]) -> Layout:
        try:
            return columns.detect(header, self._symbol)
        except columns.UnknownColumns as error:
            raise CandleFileError(f"{self._path}: line {self._line}: {error}") from error

    def _find_delimiter(self, line: bytes) -> str:
        return max(DELIMITERS, key=lambda mark: line.count(mark.encode()))

    def _is_banner(self, line: bytes, rest: bytes) -> bool:
        """Say whether this is a title: a line without a delimiter above one with several."""
        following = rest.partition(b"\n")[0]
        return not any(m.encode() in line for m in DELIMITERS) and any(
            following.count(mark.encode()) >= 5 for mark in DELIMITERS
        )

    def _split(self, line: bytes, delimiter: str) -> list[str]:
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise self._not_text() from error
        return next(csv.reader([text], delimiter=delimiter), [""])

    def _not_text(self) -> CandleFileError:
        return CandleFileError(
            f"{self._path}: this is neither CSV text in UTF-8 nor Parquet; "
            "export the candles as .csv, .csv.gz or .parquet"
        )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_time(text: str) -> bool:
    try:
        columns.epoch_ms(pa.array([text]))
    except pa.ArrowInvalid:
        return False
    return True


def _line_of(block: bytes, row: int) -> int:
    """Offset of the line that holds row `row` of a block, which may have blank lines."""
    filled = [offset for offset, line in enumerate(block.splitlines()) if line.strip()]
    return filled[row]
