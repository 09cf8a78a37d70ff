"""Candles from CSV text, block by block."""

import io
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv

from storage.candles.importing.choices import Choices
from storage.candles.importing.csv_head import COMMENTS, LINE_BYTES, Head, read_head, split_line
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.numbers import NO_VALUE, is_number
from storage.candles.importing.pieces import Extractor, Piece
from storage.candles.importing.text import whole_lines
from storage.candles.importing.times import TIME_EXAMPLES, is_time, is_time_of_day

# How many lines tell what the columns are.
SAMPLE_LINES = 1000
EPOCH = re.compile(r"\d{9,11}|\d{13}|\d{16}|\d{19}")


class CsvFile:
    """One CSV file, `text` is its content. `bad` lines were left out, the first is told."""

    def __init__(self, file: str, text: IO[bytes], choices: Choices) -> None:
        self.file = file
        self.bad = 0
        self.first_bad = ""
        self._choices = choices
        self._blocks = whole_lines(text)
        self._pending = next(self._blocks, b"")
        if not self._pending:
            raise CandleFileError(f"{file}: the file holds no candles")
        self._check_lines(self._pending[: 2 * LINE_BYTES], 1)
        self.head: Head = read_head(file, self._pending, choices)
        self._line = 1 + self.head.skipped_lines  # number of the next line
        self._pending = self._pending[self.head.skipped_bytes :]
        self._epoch = False
        self._example: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, from left to right."""
        return self.head.names

    def sample(self) -> list[Any]:
        """Return the first rows of every column as texts."""
        width = len(self.head.names)
        lines = self._pending.split(b"\n", SAMPLE_LINES)[:SAMPLE_LINES]
        rows = [
            fields
            for fields in (split_line(line, self.head.delimiter)[0] for line in lines)
            if len(fields) == width
        ]
        if self.head.decimal_point == ",":
            rows = [[field.replace(",", ".") for field in row] for row in rows]
        return [
            pa.array([None if f.strip() in NO_VALUE else f.strip() for f in column], pa.string())
            for column in (zip(*rows, strict=True) if rows else [()] * width)
        ]

    def pieces(self, extractor: Extractor) -> Iterator[Piece]:
        """Read the candles; raises `CandleFileError` naming the line."""
        first = extractor.clock.day_ms is None and extractor.layout.time_of_day is None
        samples = self.sample()[extractor.layout.time].drop_null()
        self._example = samples[0].as_py() if len(samples) else None
        self._epoch = first and EPOCH.fullmatch(self._example or "") is not None
        block: bytes | None = self._pending
        self._pending = b""
        while block is not None:
            if block.strip():
                yield self._parse(block, extractor)
            block = next(self._blocks, None)

    def _parse(self, block: bytes, extractor: Extractor) -> Piece:
        first_line = self._line
        self._line += self._check_lines(block, first_line)
        # Looking for one byte is much faster than for two.
        if b"#" in block or (b"/" in block and b"//" in block):
            block = _without_comments(block)
        try:
            return self._piece(block, first_line, extractor, epoch=self._epoch)
        except pa.ArrowInvalid:
            pass
        try:
            return self._piece(block, first_line, extractor, epoch=False)
        except pa.ArrowInvalid as error:
            block = self._repaired(block, first_line, extractor, error)
        try:
            return self._piece(block, first_line, extractor, epoch=False)
        except pa.ArrowInvalid as error:
            raise self._unreadable(first_line) from error

    def _piece(self, block: bytes, first_line: int, extractor: Extractor, *, epoch: bool) -> Piece:
        names = [f"c{i}" for i in range(len(self.head.names))]
        wanted = extractor.wanted()
        types: dict[str, Any] = {names[i]: pa.string() for i in wanted}
        types |= {names[i]: pa.float64() for i in extractor.numbers()}
        types |= {names[i]: pa.dictionary(pa.int32(), pa.string()) for i in extractor.texts()}
        if epoch:
            types[names[extractor.layout.time]] = pa.int64()
        columns: Mapping[int, Any] = {i: pa.array([], types[names[i]]) for i in wanted}
        if block.strip():
            table = pyarrow.csv.read_csv(
                io.BytesIO(block),
                read_options=pa.csv.ReadOptions(
                    column_names=names, use_threads=False, block_size=len(block) + 1
                ),
                parse_options=pa.csv.ParseOptions(delimiter=self.head.delimiter),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=[names[i] for i in wanted],
                    column_types=types,
                    null_values=NO_VALUE,
                    strings_can_be_null=True,
                    decimal_point=self.head.decimal_point,
                ),
            )
            columns = {i: table.column(n).combine_chunks() for n, i in enumerate(wanted)}
        return extractor.piece(columns, lambda row: f"line {first_line + _line_of(block, row)}")

    def _repaired(
        self, block: bytes, first_line: int, extractor: Extractor, error: pa.ArrowInvalid
    ) -> bytes:
        """Leave out the lines that cannot be read, if that was allowed, else raise the first."""
        lines = block.split(b"\n")
        before = self.bad
        for offset, line in enumerate(lines):
            if not line.strip():
                lines[offset] = b""
                continue
            problem = self._problem(line, extractor)
            if problem is None:
                continue
            told = f"line {first_line + offset}{problem}"
            if self._choices.max_bad_rows is None:
                raise CandleFileError(
                    f"{self.file}: {told}. If the line can be left out, type --max-bad-rows 1"
                ) from error
            self.bad += 1
            self.first_bad = self.first_bad or told
            lines[offset] = b""
        if self.bad == before:
            raise self._unreadable(first_line) from error
        return b"\n".join(lines)

    def _problem(self, line: bytes, extractor: Extractor) -> str | None:
        """Say what is wrong with a line, to be put after its number."""
        layout, width = extractor.layout, len(self.head.names)
        fields, _ = split_line(line, self.head.delimiter)
        if len(fields) != width:
            return (
                f" has {len(fields)} columns instead of {width}; "
                "repair the line, or get the file again if it was cut off"
            )
        for column in extractor.numbers():
            field = fields[column].strip()
            if self.head.decimal_point == ",":
                field = field.replace(".", "x").replace(",", ".")
            if field not in NO_VALUE and not is_number(field):
                return (
                    f", column {column + 1}: {_short(fields[column])} is not a number "
                    "(write 1234.5, without thousands separators)"
                )
        if layout.time_of_day is not None:
            clock = fields[layout.time_of_day]
            if not is_time_of_day(clock):
                return f", column {layout.time_of_day + 1}: {_short(clock)} is not a time of day"
        time = fields[layout.time].strip()
        if time not in NO_VALUE and not is_time(time, self._example):
            known = f" written as {self._example}" if is_time(time) else f"; write {TIME_EXAMPLES}"
            return f", column {layout.time + 1}: {_short(time)} is not a time{known}"
        return None

    def _unreadable(self, first_line: int) -> CandleFileError:
        return CandleFileError(
            f"{self.file}: lines {first_line} to {self._line - 1} cannot be read as CSV, or mix "
            "different ways to write times; use one way throughout"
        )

    def _check_lines(self, block: bytes, first_line: int) -> int:
        """Return the number of lines; raises for what cannot be lines of candles."""
        at = 0
        while len(block) - at > LINE_BYTES:
            end = block.rfind(b"\n", at, at + LINE_BYTES + 1)
            if end < 0:
                line = first_line + block.count(b"\n", 0, at)
                if line == 1:
                    raise _not_text(self.file)
                raise CandleFileError(
                    f"{self.file}: line {line} is longer than {LINE_BYTES:,} bytes, which no line "
                    "of candles is; repair it, or get the file again"
                )
            at = end + 1
        if b"\0" in block:
            raise _not_text(self.file)
        return block.count(b"\n") + (not block.endswith(b"\n"))


def _without_comments(block: bytes) -> bytes:
    lines = block.split(b"\n")
    return b"\n".join(b"" if line.lstrip().startswith(COMMENTS) else line for line in lines)


def _line_of(block: bytes, row: int) -> int:
    """Offset of the line that holds row `row` of a block, which may have blank lines."""
    filled = [offset for offset, line in enumerate(block.split(b"\n")) if line.strip()]
    return filled[row]


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _not_text(file: str) -> CandleFileError:
    return CandleFileError(
        f"{file}: this is neither CSV text in UTF-8 nor another kind of candle file that is known; "
        "export the candles as .csv, .csv.gz or .parquet"
    )
