"""The Parquet files of one instrument, read row group by row group without an engine.

What the footers say decides what is read at all: only row groups that reach into the range, and
only by this module if everything there is as an import writes it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.candles.arrow import as_numpy
from storage.candles.faults import reading_faults
from storage.candles.minutes import COARSE_SCHEMA, SCHEMA
from storage.candles.records import MINUTE_MS
from storage.candles.roll_up import Rows

VALUES = ("open", "high", "low", "close", "volume_base")
MARKET, SYMBOL, TIME, INGESTED = (
    SCHEMA.names.index(name) for name in ("market_id", "symbol", "ts_open", "ingested_at")
)
TIMEFRAME = COARSE_SCHEMA.names.index("timeframe_ms")
SUFFIX, COARSE_SUFFIX = ".parquet", ".bars"
"""Of files of minutes, and of longer bars: Parquet as well, which none takes for minutes."""


class ForeignFile(Exception):
    """A Parquet file that no import wrote: where it lies, or what is in it, is not as ours."""


class _Group(NamedTuple):
    """A row group: its number in the file, and the times between which its rows are."""

    number: int
    first_ms: int
    last_ms: int
    ingested_at: int | None
    """The version of all its rows; None where they differ."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    metadata: pq.FileMetaData
    groups: tuple[_Group, ...]

    def reaching(self, from_ms: int, to_ms: int) -> list[_Group]:
        """List the row groups that may have rows of `[from_ms, to_ms)`."""
        return [g for g in self.groups if g.first_ms < to_ms and g.last_ms >= from_ms]


class InstrumentFiles:
    """What is stored of one instrument now; later imports are not seen.

    No file is kept open, so their number has no limit.
    """

    def __init__(self, files: tuple[_File, ...]) -> None:
        self._files = files

    @classmethod
    def found(cls, store: Path, folder: Path, market_id: int, symbol: str) -> Self:
        """Read the footers of the files in `folder`, which is the instrument's in `store`.

        Raises `ForeignFile` if an engine has to read, and `CandleSourceUnavailable`.
        """
        with reading_faults(store):
            _refuse_misplaced(store)
            paths = _imports(folder)
        ours = {MARKET: market_id, SYMBOL: symbol.encode()}
        return cls(tuple(_footer(path, SCHEMA, ours) for path in paths))

    @classmethod
    def coarse(cls, store: Path, folder: Path, market_id: int, symbol: str, base_ms: int) -> Self:
        """Do the same with the files of bars that are `base_ms` long."""
        with reading_faults(store):
            paths = imports(folder, base_ms)
        ours = {MARKET: market_id, SYMBOL: symbol.encode(), TIMEFRAME: base_ms}
        return cls(tuple(_footer(path, COARSE_SCHEMA, ours) for path in paths))

    def extent(self, from_ms: int, to_ms: int) -> tuple[int, int] | None:
        """First and last time (ms) of the row groups that reach into the range, None without."""
        groups = [group for file in self._files for group in file.reaching(from_ms, to_ms)]
        if not groups:
            return None
        return min(group.first_ms for group in groups), max(group.last_ms for group in groups)

    def rows(self, from_ms: int, to_ms: int) -> Rows:
        """All rows of `[from_ms, to_ms)`, file by file.

        Raises `CandleSourceUnavailable`, and `MemoryError` when there is not enough.
        """
        parts = []
        for file in self._files:
            groups = file.reaching(from_ms, to_ms)
            if groups:
                with reading_faults(file.path):
                    parts.append(_read(file, groups, from_ms, to_ms))
        return Rows.joined(parts or [_NOTHING])


_TYPES: list[type[np.generic]] = [np.int64, *[np.float64] * len(VALUES), np.int64]
_NOTHING = Rows(*(np.empty(0, kind) for kind in _TYPES))


def _refuse_misplaced(store: Path) -> None:
    """Raise `ForeignFile` if there are Parquet files outside of the instruments' folders.

    Those folders are not looked into: there may be thousands.
    """
    for entry in _entries(store):
        if not (entry.is_dir() and _is_number(entry.name)):
            _refuse(entry)
            continue
        for below in _entries(Path(entry.path)):
            if not below.is_dir():
                _refuse(below)


def imports(folder: Path, timeframe_ms: int) -> list[Path]:
    """List an instrument's files of minutes, or of longer bars, in the order of their import."""
    suffix = SUFFIX if timeframe_ms == MINUTE_MS else COARSE_SUFFIX
    return sorted(path for path in folder.glob(f"*{suffix}") if path.stem.isdecimal())


def imported_names(store: Path) -> Iterator[tuple[int, str]]:
    """List the instruments that imports have written bars of; raises `ForeignFile`."""
    with reading_faults(store):
        _refuse_misplaced(store)
        for market in _entries(store):
            if not (market.is_dir() and _is_number(market.name)):
                continue
            for below in _entries(Path(market.path)):
                folder = Path(below.path)
                if below.is_dir() and (_imports(folder) or imports(folder, 2 * MINUTE_MS)):
                    yield int(market.name), unquote(below.name)


def _imports(folder: Path) -> list[Path]:
    """List the files of minutes in the order of their import; raises `ForeignFile`."""
    found = []
    for entry in _entries(folder):
        path = Path(entry.path)
        if path.suffix == SUFFIX and path.stem.isdecimal() and entry.is_file():
            found.append(path)
        else:
            _refuse(entry)
    return sorted(found)


def _is_number(name: str) -> bool:
    return name.isdecimal() and str(int(name)) == name


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _refuse(entry: "os.DirEntry[str]") -> None:
    """Raise `ForeignFile` if the entry is a Parquet file, or a folder with one in it."""
    names = [entry.name]
    if entry.is_dir():
        names = [name for _, _, files in os.walk(entry.path) for name in files]
    if any(name.endswith(SUFFIX) for name in names):
        raise ForeignFile(entry.path)


def _footer(path: Path, form: pa.Schema, ours: dict[int, Any]) -> _File:
    """Read a footer; `ours` are the values of columns that every row must have."""
    with reading_faults(path), _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
    if schema.names != form.names or schema.types != form.types:
        raise ForeignFile(path)
    for position in (TIME, INGESTED):
        # Statistics are in the unit of the file, which may be another than that of its schema.
        if metadata.schema.column(position).converted_type != "TIMESTAMP_MILLIS":
            raise ForeignFile(path)
    nullable = [i for i in range(len(form)) if metadata.schema.column(i).max_definition_level]
    groups = tuple(
        _group(path, number, metadata.row_group(number), nullable, ours)
        for number in range(metadata.num_row_groups)
        if metadata.row_group(number).num_rows
    )
    return _File(path, metadata, groups)


def _group(
    path: Path, number: int, group: Any, nullable: list[int], ours: dict[int, Any]
) -> _Group:
    def limits(position: int) -> tuple[Any, Any]:
        statistics = group.column(position).statistics
        if statistics is None or not statistics.has_min_max:
            raise ForeignFile(path)
        return statistics.min_raw, statistics.max_raw

    for position in nullable:
        statistics = group.column(position).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            raise ForeignFile(path)
    for position, value in ours.items():
        if limits(position) != (value, value):
            raise ForeignFile(path)
    oldest, newest = limits(INGESTED)
    return _Group(number, *limits(TIME), oldest if oldest == newest else None)


def _read(file: _File, groups: list[_Group], from_ms: int, to_ms: int) -> Rows:
    numbers = [group.number for group in groups]
    with _opened(file.path, file.metadata) as opened:

        def column(name: str) -> NDArray[Any]:
            # Column by column: only one is in memory twice. Not `read_table`, and nothing in
            # threads: the first imports pandas, which takes longer than everything else here, and
            # the second starts Arrow's pools.
            table = opened.read_row_groups(numbers, columns=[name], use_threads=False)
            return as_numpy(table.column(0))

        ts_open, *values = (column(name) for name in ("ts_open", *VALUES))
        if all(group.ingested_at is not None for group in groups):
            sizes = [file.metadata.row_group(number).num_rows for number in numbers]
            ingested_at = np.repeat(np.array([group.ingested_at for group in groups]), sizes)
        else:
            ingested_at = column("ingested_at")
    rows = Rows(*[ts_open, *values, ingested_at])
    if all(group.first_ms >= from_ms and group.last_ms < to_ms for group in groups):
        return rows
    return rows.take((ts_open >= from_ms) & (ts_open < to_ms))


@contextmanager
def _opened(path: Path, metadata: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
    # Reading ahead would be done by Arrow's threads.
    with (
        pa.OSFile(str(path)) as source,
        pq.ParquetFile(source, metadata=metadata, pre_buffer=False) as file,
    ):
        yield file
