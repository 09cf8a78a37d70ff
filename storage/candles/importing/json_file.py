"""Candles from JSON as exchanges answer: arrays of arrays (CCXT), or of objects, or lines of them.

A file is read block by block: a candle is a bracket that holds no other bracket.
"""

import re
from collections.abc import Iterator
from typing import IO, Any

import orjson
import pyarrow as pa

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.layout import EXAMPLE, without_header
from storage.candles.importing.pieces import Extractor, Piece, times_unreadable

BLOCK_BYTES = 1 << 20
# What a candle looks like.
CANDLE = re.compile(rb"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}")
OPENING, CLOSING = (b"[", b"{"), (b"]", b"}")


class JsonFile:
    """One JSON file; `names` are the keys of its objects, or what arrays of their length hold."""

    def __init__(self, file: str, content: IO[bytes], choices: Choices) -> None:
        self.file = file
        self._blocks = self._read(content)
        self._read_ahead = next(self._blocks, [])
        if not self._read_ahead:
            raise CandleFileError(f"{file}: the file holds no candles")
        first = self._read_ahead[0]
        if choices.columns:
            self.names = choices.columns
        elif isinstance(first, dict):
            self.names = tuple(first)
        else:
            known = without_header([str(value) for value in first])
            if known is None:
                raise CandleFileError(
                    f"{file}: its arrays have {len(first)} values, which are not recognised. "
                    f"Name them from left to right with --columns {EXAMPLE}"
                )
            self.names = known
        if len(first) != len(self.names):
            raise CandleFileError(
                f"{file}: --columns names {len(self.names)} columns, but a candle has {len(first)} "
                "values; write - for those that are not needed"
            )

    def sample(self) -> list[Any]:
        """Return the first rows of every column as texts."""
        rows = self._read_ahead[:1000]
        return [self._column(rows, 1, i) for i in range(len(self.names))]

    def pieces(self, extractor: Extractor) -> Iterator[Piece]:
        """Read the candles; raises `CandleFileError` naming the candle."""
        rows, read = self._read_ahead, 0
        self._read_ahead = []
        while rows:
            first = read + 1
            read += len(rows)
            columns = {i: self._column(rows, first, i) for i in extractor.wanted()}
            try:
                yield extractor.piece(
                    columns,
                    lambda row, first=first: f"candle {first + row}",  # type: ignore[misc]
                )
            except pa.ArrowInvalid as error:
                time = extractor.layout.time
                raise times_unreadable(self.file, self.names[time], "text") from error
            rows = next(self._blocks, [])

    def _column(self, rows: list[Any], first: int, position: int) -> Any:
        name = self.names[position]
        values = []
        for offset, row in enumerate(rows):
            if len(row) != len(self.names):
                raise CandleFileError(
                    f"{self.file}: candle {first + offset} has {len(row)} values "
                    f"instead of {len(self.names)}"
                )
            value = row.get(name) if isinstance(row, dict) else row[position]
            values.append(None if value is None else str(value))
        return pa.array(values, pa.string())

    def _read(self, content: IO[bytes]) -> Iterator[list[Any]]:
        pending, unclosed = b"", 0
        for block in iter(lambda: content.read(BLOCK_BYTES), b""):
            pending += block
            unclosed += sum(map(block.count, OPENING)) - sum(map(block.count, CLOSING))
            found = list(CANDLE.finditer(pending))
            if found:
                yield self._parsed([match[0] for match in found])
                pending = pending[found[-1].end() :]
            if len(pending) > BLOCK_BYTES:
                raise CandleFileError(
                    f"{self.file}: this JSON holds no candles: arrays such as "
                    "[1704067200000, 1, 2, 0.5, 1.5, 10], or objects with such values, are read"
                )

        if unclosed > 0:
            raise CandleFileError(
                f"{self.file}: the JSON ends before its brackets do; get the file again"
            )

    def _parsed(self, candles: list[bytes]) -> list[Any]:
        try:
            rows = orjson.loads(b"[" + b",".join(candles) + b"]")
        except orjson.JSONDecodeError as error:
            raise CandleFileError(f"{self.file}: this is no JSON: {error}") from error
        return [row for row in rows if len(row) >= 5]  # not the parameters of the answer
