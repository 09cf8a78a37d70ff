"""Candles from Parquet and Feather (Arrow) files with any usual types of columns."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.pieces import Extractor, Piece, times_unreadable

BATCH_ROWS = 65_536


class TableFile:
    """A Parquet or an Arrow file; `names` are those of its columns."""

    def __init__(self, file: str, content: IO[bytes]) -> None:
        self.file = file
        self._parquet: pq.ParquetFile | None = None
        self._arrow: Any = None
        magic = content.read(6)
        content.seek(0)
        with _faults(file):
            if magic.startswith(b"PAR1"):
                self._parquet = pq.ParquetFile(content)
                self.names = tuple(self._parquet.schema_arrow.names)
            else:
                self._arrow = pa.ipc.open_file(content)
                self.names = tuple(self._arrow.schema.names)

    def sample(self) -> list[Any]:
        """Return the first rows of every column."""
        with _faults(self.file):
            batch = next(self._batches(list(self.names), 1000), None)
        if batch is None:
            raise CandleFileError(f"{self.file}: the file holds no candles")
        return [batch.column(i).slice(0, 1000) for i in range(len(self.names))]

    def pieces(self, extractor: Extractor) -> Iterator[Piece]:
        """Read batch by batch; raises `CandleFileError` naming the column."""
        wanted = extractor.wanted()
        names = [self.names[i] for i in wanted]
        read = 0
        batches = self._batches(names, BATCH_ROWS)
        while True:
            with _faults(self.file):
                batch = next(batches, None)
            if batch is None:
                return
            first = read + 1
            read += batch.num_rows
            # Columns come in the order of the file, not in the order asked for.
            columns = {i: batch.column(batch.schema.get_field_index(self.names[i])) for i in wanted}
            try:
                yield extractor.piece(
                    columns,
                    lambda row, first=first: f"row {first + row}",  # type: ignore[misc]
                )
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                time = extractor.layout.time
                raise times_unreadable(self.file, self.names[time], columns[time].type) from error

    def _batches(self, names: list[str], rows: int) -> Iterator[Any]:
        if self._parquet is not None:
            yield from self._parquet.iter_batches(rows, columns=names, use_threads=False)
            return
        for number in range(self._arrow.num_record_batches):
            batch = self._arrow.get_batch(number)
            for begin in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(begin, BATCH_ROWS)


@contextmanager
def _faults(file: str) -> Iterator[None]:
    """Turn what Arrow says of a broken file into `CandleFileError`."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise CandleFileError(
            f"{file}: the Parquet or Feather file is damaged or cut off; write or download it again"
        ) from error
