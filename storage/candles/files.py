"""Reading candle files piece by piece: CSV (plain or gzip), exchange kline dumps, Parquet.

The kind of a file is taken from its first bytes, not from its name.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.candles import columns
from storage.candles.columns import KLINE_COLUMNS, KLINE_HEADER, TIME_EXAMPLES, Layout

# How much text is parsed at a time, and how long a line of candles can be.
BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16
PARQUET_ROWS = 131_072
DELIMITERS = ",;\t|"
NO_VALUE = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "-")
# Other formats that people try: first bytes, and what to do instead.
FOREIGN = {
    b"PK\x03\x04": "a .zip archive: unpack it and import the file inside",
    b"ARROW1": "a Feather/Arrow file: write it as Parquet or CSV",
    b"BZh": "a .bz2 file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a .zst file: unpack it first",
    b"\xfd7zXZ": "an .xz file: unpack it first",
    b"SQLite format 3": "a SQLite database: export the candles as CSV",
}


class CandleFileError(ValueError):
    """The file cannot be imported; the message names file, line or column and what to do."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A piece of a file as it stands there: unchecked, unsorted, with duplicates.

    `time_ms` is float64[n] milliseconds since the epoch (NaN where there is no time), `values`
    float64[n, 5] open, high, low, close, volume (NaN where there is no number). `place(i)` says
    where row i is in the file, `done` how many bytes of the file have been read.
    """

    time_ms: NDArray[np.float64]
    values: NDArray[np.float64]
    place: Callable[[int], str]
    done: int


def read(path: Path, symbol: str) -> Iterator[Rows]:
    """Read a candle file; raises `CandleFileError` for anything that is not one."""
    try:
        with path.open("rb") as file:
            magic = file.read(16)
            file.seek(0)
            if not magic:
                raise CandleFileError(f"{path}: the file is empty")
            for start, advice in FOREIGN.items():
                if magic.startswith(start):
                    raise CandleFileError(f"{path}: this is {advice}")
            if magic.startswith(b"PAR1"):
                yield from _parquet(path, file, symbol)
            elif magic.startswith(b"\x1f\x8b"):
                with gzip.open(file, "rb") as text:
                    yield from _Csv(path, symbol, file, cast(IO[bytes], text)).rows()
            else:
                yield from _Csv(path, symbol, file, file).rows()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CandleFileError(
            f"{path}: the compressed file is damaged or cut off; download it again"
        ) from error
    except OSError as error:
        raise CandleFileError(
            f"{path}: the file cannot be read: {error.strerror or error}"
        ) from error


class _Csv:
    """One CSV file: `text` is its content, `raw` the file on disk that tells how far we are."""

    def __init__(self, path: Path, symbol: str, raw: IO[bytes], text: IO[bytes]) -> None:
        self._path, self._symbol, self._raw, self._text = path, symbol, raw, text
        self._line = 1  # number of the next line
        self._instrument: str | None = None

    def rows(self) -> Iterator[Rows]:
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
            _matrix([table.column(i) for i in range(1, 6)]),
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
                raise _several_instruments(self._path, self._instrument, name)

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


def _parquet(path: Path, file: IO[bytes], symbol: str) -> Iterator[Rows]:
    size, read, instruments = path.stat().st_size, 0, set[Any]()
    try:
        source = pq.ParquetFile(file)
        names = source.schema_arrow.names
        layout = columns.detect(names, symbol)
        wanted = [layout.time, *layout.prices, layout.volume]
        if layout.instrument is not None:
            wanted.append(layout.instrument)
        for batch in source.iter_batches(PARQUET_ROWS, columns=[names[i] for i in wanted]):
            # Columns come in the order of the file, not in the order asked for.
            time, *numbers = (batch.column(names[i]) for i in wanted)
            if layout.instrument is not None:
                instruments.update(numbers.pop().unique().drop_null().to_pylist())
            if len(instruments) > 1:
                raise _several_instruments(path, *sorted(instruments)[:2])
            first = read + 1
            read += batch.num_rows
            yield Rows(
                _parquet_times(path, names[layout.time], time),
                _matrix(
                    [_numbers(path, names[i], c) for i, c in zip(wanted[1:], numbers, strict=False)]
                ),
                lambda row, first=first: f"row {first + row}",  # type: ignore[misc]
                size * read // source.metadata.num_rows,
            )
    except columns.UnknownColumns as error:
        raise CandleFileError(f"{path}: {error}") from error
    except (pa.ArrowException, OSError) as error:
        raise CandleFileError(
            f"{path}: the Parquet file is damaged or cut off; write or download it again"
        ) from error


def _parquet_times(path: Path, name: str, column: pa.Array) -> NDArray[np.float64]:
    try:
        return columns.epoch_ms(column)
    except pa.ArrowInvalid as error:
        raise CandleFileError(
            f"{path}: column {name!r} of type {column.type} holds no times; write {TIME_EXAMPLES}"
        ) from error


def _numbers(path: Path, name: str, column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CandleFileError(
            f"{path}: column {name!r} of type {column.type} holds no numbers"
        ) from error


def _several_instruments(path: Path, one: Any, other: Any) -> CandleFileError:
    return CandleFileError(
        f"{path}: the file mixes instruments ({one} and {other}); split it into one file for each"
    )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _matrix(numbers: Sequence[Any]) -> NDArray[np.float64]:
    return np.column_stack([column.to_numpy(zero_copy_only=False) for column in numbers])


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
