"""Reading candle files piece by piece: CSV (plain or gzip), exchange kline dumps, Parquet.

The kind of a file is taken from its first bytes, not from its name.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from storage.candles.csv_file import CsvFile
from storage.candles.parquet_file import parquet_rows
from storage.candles.rows import CandleFileError, Rows

# Other formats that people try: first bytes, and what to do instead.
FOREIGN = {
    b"PK\x03\x04": "a .zip archive: unpack it and import the file inside",
    b"ARROW1": "a Feather/Arrow file: write it as Parquet or CSV",
    b"BZh": "a .bz2 file: unpack it first",
    b"\x28\xb5\x2f\xfd": "a .zst file: unpack it first",
    b"\xfd7zXZ": "an .xz file: unpack it first",
    b"SQLite format 3": "a SQLite database: export the candles as CSV",
}


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
                yield from parquet_rows(path, file, symbol)
            elif magic.startswith(b"\x1f\x8b"):
                with gzip.open(file, "rb") as text:
                    yield from CsvFile(path, symbol, file, cast(IO[bytes], text)).rows()
            else:
                yield from CsvFile(path, symbol, file, file).rows()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CandleFileError(
            f"{path}: the compressed file is damaged or cut off; download it again"
        ) from error
    except OSError as error:
        raise CandleFileError(
            f"{path}: the file cannot be read: {error.strerror or error}"
        ) from error
