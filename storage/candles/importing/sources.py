"""Where candle files lie: paths, folders, patterns, archives, compressed files, standard input.

The kind of a file is taken from its first bytes, not from its name.
"""

import bz2
import glob
import gzip
import hashlib
import io
import lzma
import re
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from storage.candles.importing.errors import CandleFileError

STANDARD_INPUT = "-"
TABLES = ("csv", "txt", "tsv", "json", "jsonl", "parquet", "feather", "arrow", "ftr")
PACKED = ("gz", "zst", "zstd", "bz2", "xz", "zip")
# Texts beside candles are mostly notes.
NOTES = ("txt",)
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BZ2, XZ = b"BZh", b"\xfd7zXZ"
# Formats that need more than a stream, and those that nobody here reads.
SEEKING = (b"PAR1", b"ARROW1", *ZIP)
FOREIGN = {
    b"SQLite format 3": "a SQLite database: export the candles as CSV",
    b"7z\xbc\xaf": "a .7z archive: unpack it first",
    b"Rar!": "a .rar archive: unpack it first",
    b"\xd0\xcf\x11\xe0": "an Excel file: save it as CSV",
    b"\x89HDF": "an HDF5 file: write the candles as Parquet or CSV",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file on disk, or what came by standard input; `name` is what messages call it."""

    path: Path
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Member:
    """One file of candles that can be read: the source itself, or one that it contains.

    `start` are the first bytes of `content`, which can be read from its beginning.
    """

    name: str
    start: bytes
    content: IO[bytes]


def expand(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files that the paths mean, and the files of folders that were passed over.

    Raises `CandleFileError` for a path that names nothing.
    """
    taken: list[Path] = []
    passed: list[Path] = []
    for path in paths:
        if str(path) == STANDARD_INPUT:
            taken.append(path)
        elif path.is_dir():
            files = sorted(
                p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path).parts)
            )
            candles = _candles(files)
            if not candles:
                raise CandleFileError(
                    f"{path}: no file in this folder is called like candles "
                    f"(.{', .'.join(TABLES)}, also .{', .'.join(PACKED)})"
                )
            taken += candles
            passed += [file for file in files if file not in set(candles)]
        elif not path.exists() and glob.has_magic(str(path)):
            found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
            files = [file for file in found if file.is_file()]
            if not files:
                raise CandleFileError(f"{path}: no file matches this pattern")
            taken += files
        else:
            taken.append(path)
    return list(dict.fromkeys(taken)), passed


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Find out what a file is; standard input is copied, for it can be read only once."""
    if str(path) != STANDARD_INPUT:
        with reading(path.name if not path.parent.parts else str(path)):
            yield Source(path, str(path), path.stat().st_size, _sha256(path))
        return
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        copied = Path(copy.name)
        yield Source(copied, "standard input", copied.stat().st_size, _sha256(copied))


def members(source: Source, raw: IO[bytes]) -> Iterator[Member]:
    """Give each file of candles in an opened source, unpacked."""
    yield from _unpacked(source.name, raw)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into `CandleFileError`."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise CandleFileError(
            f"{name}: the compressed file is damaged or cut off; download it again"
        ) from error
    except (RuntimeError, NotImplementedError) as error:
        if not isinstance(error, NotImplementedError) and "password" not in str(error):
            raise
        raise CandleFileError(
            f"{name}: the archive is encrypted or packed in an unusual way; unpack it first"
        ) from error
    except OSError as error:
        if error.errno is None:
            raise CandleFileError(
                f"{name}: the compressed file is damaged or cut off; download it again"
            ) from error
        raise CandleFileError(
            f"{name}: the file cannot be read: {error.strerror or error}"
        ) from error


def _unpacked(name: str, content: IO[bytes]) -> Iterator[Member]:
    """Look through compressions and archives, also those within each other."""
    magic = content.read(16)
    if not magic:
        raise CandleFileError(f"{name}: the file is empty")
    for start, advice in FOREIGN.items():
        if magic.startswith(start):
            raise CandleFileError(f"{name}: this is {advice}")
    if magic.startswith(SEEKING) and not _is_file(content):
        with tempfile.TemporaryFile() as copy:
            copy.write(magic)
            shutil.copyfileobj(content, copy)
            copy.seek(0)
            yield from _unpacked(name, copy)
        return
    again = _Replayed(magic, content)
    if magic.startswith(ZIP):
        content.seek(0)
        with zipfile.ZipFile(content) as archive:
            yield from _of_archive(name, archive)
    elif magic.startswith(GZIP):
        with gzip.open(cast(Any, again), "rb") as text:
            yield from _unpacked(name, cast(IO[bytes], text))
    elif magic.startswith(ZSTD):
        yield from _unpacked(name, cast(IO[bytes], pa.CompressedInputStream(again, "zstd")))
    elif magic.startswith(BZ2):
        with bz2.open(cast(Any, again), "rb") as text:
            yield from _unpacked(name, cast(IO[bytes], text))
    elif magic.startswith(XZ):
        with lzma.open(cast(Any, again), "rb") as text:
            yield from _unpacked(name, cast(IO[bytes], text))
    elif magic.startswith(SEEKING):
        content.seek(0)
        yield Member(name, magic, content)
    else:
        yield Member(name, magic, cast(IO[bytes], again))


def _of_archive(name: str, archive: zipfile.ZipFile) -> Iterator[Member]:
    entries = {
        Path(entry.filename): entry
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename)
        if not entry.is_dir() and not _hidden(Path(entry.filename).parts)
    }
    candles = _candles(list(entries))
    if not candles:
        raise CandleFileError(
            f"{name}: no file in this archive is called like candles (.{', .'.join(TABLES)}); "
            f"it holds {', '.join(str(path) for path in list(entries)[:5]) or 'nothing'}"
        )
    for path in candles:
        with archive.open(entries[path]) as content:
            yield from _unpacked(f"{name} ({path})", content)


def _candles(files: Sequence[Path]) -> list[Path]:
    """Take the files that are called like candles; texts only if there is nothing else."""
    pattern = re.compile(
        rf"\.(?:{'|'.join(TABLES)})(?:\.(?:{'|'.join(PACKED)}))?$|"
        rf"\.(?:{'|'.join(PACKED)})$",
        re.IGNORECASE,
    )
    named = [file for file in files if pattern.search(file.name)]
    return [file for file in named if file.suffix.lower().lstrip(".") not in NOTES] or named


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def _is_file(content: IO[bytes]) -> bool:
    return isinstance(content, io.BufferedReader | io.BufferedRandom)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Replayed:
    """A stream whose first bytes have been looked at."""

    closed = False

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = start, rest

    def read(self, size: int = -1) -> bytes:
        if size is None or size < 0:
            start, self._start = self._start, b""
            return start + self._rest.read()
        start, self._start = self._start[:size], self._start[size:]
        return start + self._rest.read(size - len(start)) if len(start) < size else start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def flush(self) -> None:
        pass
