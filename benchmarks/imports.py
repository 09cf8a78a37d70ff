"""`python -m benchmarks.imports`: how fast candle files are imported, and in how much memory.

Exchanges' dumps of minutes, as one CSV (a tenth of the rows, and all of them) and as 60 monthly
zips. Each import is a process of its own that stores into an empty folder, or, with `--endpoint`,
through HTTP into ClickHouse's engine. Its peak of memory is counted above what it had when the
importer was loaded. `--against DIR…` adds other checkouts, which take turns; the ratio is the
median over the rounds. Linux only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.csv

from engine import synthetic
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint

HERE = Path(__file__).parents[1]
ROWS, MONTHS = 5_000_000, 60
WRITTEN_AT_ONCE = 500_000
START_MS = 1_420_070_400_000  # 2015-01-01
DATABASE = "market_data"

IMPORT = """
import ctypes, json, os, pathlib, re, resource, sys, time
import storage.candles
from configs.environment import candle_source
from storage.candles import open_store

def resident(name):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"^{name}:\\s+(\\d+) kB$", status, re.M)[1]) * 1024

paths = [pathlib.Path(name) for name in sys.argv[1:]]
with open_store(candle_source(os.environ)) as store:
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    born, begin = resident("VmRSS"), time.perf_counter()
    try:
        from storage.candles.ingest import import_files
    except ImportError:
        for path in paths:
            storage.candles.import_file(store, path, 1, "BTCUSDT")
    else:
        import_files(store, paths, 1, "BTCUSDT")
    seconds = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, resident("VmHWM") - born]))
"""


@dataclass(frozen=True)
class Task:
    """Files to import."""

    name: str
    rows: int
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Import:
    """What one import took: seconds, of the processor too, and bytes."""

    seconds: float
    cpu_seconds: float
    peak: int


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--endpoint", action="store_true", help="store through HTTP")
    parser.add_argument("--against", type=Path, nargs="+", default=[], help="other checkouts")
    options = parser.parse_args()
    checkouts = [HERE, *(path.absolute() for path in options.against)]
    with tempfile.TemporaryDirectory() as folder:
        tasks = written(Path(folder), options.rows)
        print("files                rows  checkout           s    rows/s   CPU s  peak MiB  ratio")
        for task in tasks:
            _print(task, checkouts, options.repeats, Path(folder), endpoint=options.endpoint)
    return 0


def written(folder: Path, rows: int) -> list[Task]:
    """Write the files to import."""
    small, large = folder / "BTCUSDT-1m-2015.csv", folder / "BTCUSDT-1m-2016.csv"
    zips = []
    with large.open("wb") as whole:
        for first in range(0, rows, WRITTEN_AT_ONCE):
            count = min(WRITTEN_AT_ONCE, rows - first)
            text = klines(first, count)
            whole.write(text)
            if not first:
                small.write_bytes(b"".join(text.splitlines(keepends=True)[: rows // 10]))
    for month in range(MONTHS):
        begin, end = rows * month // MONTHS, rows * (month + 1) // MONTHS
        name = f"BTCUSDT-1m-{2015 + month // 12}-{month % 12 + 1:02d}"
        zips.append(folder / f"{name}.zip")
        with zipfile.ZipFile(zips[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", klines(begin, end - begin))
    return [
        Task("one CSV", rows // 10, (small,)),
        Task("one CSV", rows, (large,)),
        Task(f"{MONTHS} zips", rows, tuple(zips)),
    ]


def klines(first: int, count: int) -> bytes:
    """Lines of an exchange's dump, without a header."""
    made = synthetic.minutes(
        seed=7, start_ms=START_MS + first * 60_000, count=count, start_price=20_000, gaps=False
    )
    volume = np.round(made.volume, 3)
    columns = [made.ts_open, made.open, made.high, made.low, made.close, volume]
    columns += [made.ts_open + 59_999, np.round(volume * made.close, 5)]
    columns += [np.full(count, 9), volume, volume, np.zeros(count, np.int64)]
    names = [f"c{i}" for i in range(len(columns))]
    sink = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=False)
    pa.csv.write_csv(pa.table(dict(zip(names, columns, strict=True))), sink, options)
    return bytes(sink.getvalue().to_pybytes())


def _print(
    task: Task, checkouts: Sequence[Path], repeats: int, folder: Path, *, endpoint: bool
) -> None:
    taken: dict[Path, list[Import]] = {checkout: [] for checkout in checkouts}
    for _ in range(repeats):
        for checkout in checkouts:
            found = imported(checkout, task, folder, endpoint=endpoint)
            if found is not None:
                taken[checkout].append(found)
    ours = taken[HERE]
    for checkout, those in taken.items():
        line = f"{task.name:<12}{task.rows:>12,}  {checkout.name[:12]:<12}"
        if not those:
            print(f"{line}  cannot read them")
            continue
        seconds = median(one.seconds for one in those)
        ratio = median(one.seconds / our.seconds for one, our in zip(those, ours, strict=True))
        print(
            f"{line}{seconds:8.2f}{task.rows / seconds:10,.0f}"
            f"{median(one.cpu_seconds for one in those):8.2f}"
            f"{max(one.peak for one in those) / 2**20:10.1f}{ratio:7.2f}",
            flush=True,
        )


def imported(checkout: Path, task: Task, folder: Path, *, endpoint: bool) -> Import | None:
    """Import the files with the code of a checkout; None where it refuses them."""
    python = checkout / ".venv" / "bin" / "python"
    with _empty_store(folder, endpoint=endpoint) as source:
        command = [str(python), "-c", IMPORT, *map(str, task.files)]
        environment = {**os.environ, **source, "PYTHONPATH": str(checkout)}
        ended = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
    if ended.returncode:
        sys.stderr.write(ended.stderr.splitlines()[-1] + "\n")
        return None
    return Import(*json.loads(ended.stdout))


@contextmanager
def _empty_store(folder: Path, *, endpoint: bool) -> Iterator[dict[str, str]]:
    """Give the environment that names a store in which there is nothing."""
    if not endpoint:
        store = folder / "store"
        yield {"ROEHUB_CANDLES_DIR": str(store)}
        shutil.rmtree(store, ignore_errors=True)
        return
    server = Endpoint()
    yield {
        "CH_HOST": "127.0.0.1",
        "CH_PORT": str(server.port),
        "CH_USER": USER,
        "CH_PASSWORD": PASSWORD,
        "CH_DATABASE": DATABASE,
        "ROEHUB_CANDLES_DIR": "",
    }
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
