"""Candles from Parquet files with any usual types of columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.candles import columns
from storage.candles.columns import TIME_EXAMPLES
from storage.candles.rows import CandleFileError, Rows, matrix, several_instruments

PARQUET_ROWS = 131_072


def parquet_rows(path: Path, file: IO[bytes], symbol: str) -> Iterator[Rows]:
    """Read batch by batch; raises `CandleFileError` naming the column."""
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
                raise several_instruments(path, *sorted(instruments)[:2])
            first = read + 1
            read += batch.num_rows
            yield Rows(
                _parquet_times(path, names[layout.time], time),
                matrix(
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
