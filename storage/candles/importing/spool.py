"""Bars on their way: kept in a temporary file as sorted runs, and merged without loading them.

Memory does not depend on the number of bars: a run is read through a small buffer.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from storage.candles.importing.errors import CandleFileError
from storage.candles.records import Bars, Float64, Int64

RUN_ROWS = 131_072
LEAST_BUFFER = 64
MOST_TIMES = 1000
RECORD = np.dtype([("time", np.int64), ("values", np.float64, 5)])
Records = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Run:
    """Bars in the temporary file whose times ascend strictly, at `begin` to before `end`."""

    begin: int
    end: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class Overlaps:
    """Rows that a later row of the same time replaced, and those of them with other values.

    `times` are the first times (ms) of the latter.
    """

    duplicates: int = 0
    conflicts: int = 0
    times: set[int] = field(default_factory=set)

    def add(self, other: Self) -> None:
        """Count what another pass has found as well."""
        self.duplicates += other.duplicates
        self.conflicts += other.conflicts
        self.times |= other.times

    def remove(self, other: Self) -> None:
        """Forget what another pass had found already."""
        self.duplicates -= other.duplicates
        self.conflicts -= other.conflicts
        self.times -= other.times


class Spool:
    """A temporary file of bars; a context manager that removes it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._rows = 0
        self._waiting: list[tuple[Int64, Float64]] = []
        self._closed_runs: list[tuple[Run, Overlaps]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, times: Int64, values: Float64) -> None:
        """Take bars in any order; raises `CandleFileError` when the disk is full."""
        self._waiting.append((times, values))
        if sum(len(waiting[0]) for waiting in self._waiting) >= RUN_ROWS:
            self._close_run()

    def end_file(self) -> tuple[Sequence[Run], Overlaps]:
        """Return the runs since the last call, and what was replaced within each of them."""
        self._close_run()
        runs, self._closed_runs = self._closed_runs, []
        overlaps = Overlaps()
        for _, found in runs:
            overlaps.add(found)
        return [run for run, _ in runs], overlaps

    def forget(self) -> None:
        """Drop the bars since the last `end_file`."""
        self._waiting, self._closed_runs = [], []

    def clear(self) -> None:
        """Forget all bars, whose runs must not be used any more."""
        self.forget()
        self._file.seek(0)
        self._file.truncate()
        self._rows = 0

    def merged(self, runs: Sequence[Run], overlaps: Overlaps) -> Iterator[Bars]:
        """Bars of the runs, ascending; of equal times the one of the last run is kept.

        What is replaced on the way is added to `overlaps`.
        """
        kept: list[Records] = []
        rows = 0
        for records in _merge([_Buffer(self._file.fileno(), run) for run in _joined(runs)]):
            kept.append(_latest(records, overlaps))
            rows += len(kept[-1])
            if rows >= RUN_ROWS:
                yield _bars(kept)
                kept, rows = [], 0
        if rows:
            yield _bars(kept)

    def _close_run(self) -> None:
        times = np.concatenate([np.empty(0, np.int64), *(waiting[0] for waiting in self._waiting)])
        records = np.empty(len(times), RECORD)
        records["time"] = times
        if len(times):
            np.concatenate([waiting[1] for waiting in self._waiting], out=records["values"])
        self._waiting = []
        overlaps = Overlaps()
        if not (np.diff(times) > 0).all():
            records = _latest(records[np.argsort(times, kind="stable")], overlaps)
        if len(records) == 0:
            return
        try:
            _write(self._file, records.view(np.uint8).data)
        except OSError as error:
            raise CandleFileError(
                f"no room for a temporary copy in {tempfile.gettempdir()} "
                f"({error.strerror}): make room or set TMPDIR to another folder"
            ) from error
        begin, self._rows = self._rows, self._rows + len(records)
        ends = (int(records["time"][0]), int(records["time"][-1]))
        self._closed_runs.append((Run(begin, self._rows, *ends), overlaps))


class _Buffer:
    """The next bars of a run."""

    def __init__(self, file: int, run: Run) -> None:
        self._file, self._next, self._end = file, run.begin, run.end
        self._records = np.empty(0, RECORD)
        self.first_ms = run.first_ms

    def fill(self, rows: int) -> int | None:
        """Have at least one bar; returns the time of the last one here, None at the end."""
        if len(self._records) == 0 and self._next < self._end:
            count = min(rows, self._end - self._next)
            size = RECORD.itemsize
            data = os.pread(self._file, count * size, self._next * size)
            self._records = np.frombuffer(data, RECORD)
            self._next += count
        return int(self._records["time"][-1]) if len(self._records) else None

    def take(self, until_ms: int) -> Records:
        """Remove the bars up to a time from the buffer."""
        count = int(np.searchsorted(self._records["time"], until_ms, side="right"))
        taken, self._records = self._records[:count], self._records[count:]
        if len(self._records):
            self.first_ms = int(self._records["time"][0])
        return taken


def _write(file: IO[bytes], data: memoryview) -> None:
    while data:
        data = data[file.write(data) :]


def _merge(buffers: list[_Buffer]) -> Iterator[Records]:
    """Give pieces that follow each other in time; each is sorted, equal times in order of runs."""
    rows = max(RUN_ROWS // max(len(buffers), 1), LEAST_BUFFER)
    while True:
        # Runs that have not begun yet are not opened: files of months follow each other.
        ahead = [(buffer.fill(rows), buffer) for buffer in buffers]
        ahead = [(last, buffer) for last, buffer in ahead if last is not None]
        if not ahead:
            return
        until = min(last for last, _ in ahead if last is not None)
        buffers = [buffer for _, buffer in ahead]
        parts = [buffer.take(until) for buffer in buffers if buffer.first_ms <= until]
        if len(parts) == 1:
            yield parts[0]
        else:
            records = np.concatenate(parts)
            yield records[np.argsort(records["time"], kind="stable")]


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Make one run of those that follow each other both in the file and in time."""
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].end == run.begin and joined[-1].last_ms < run.first_ms:
            before = joined.pop()
            joined.append(Run(before.begin, run.end, before.first_ms, run.last_ms))
        else:
            joined.append(run)
    return joined


def _latest(records: Records, overlaps: Overlaps) -> Records:
    """Keep the last of equal times and count the others."""
    times = records["time"]
    replaced = np.append(times[1:] == times[:-1], False)
    if not replaced.any():
        return records
    # The one that is kept of each time follows those that it replaces.
    kept = np.flatnonzero(~replaced)
    winners = kept[np.searchsorted(kept, np.flatnonzero(replaced))]
    values = records["values"]
    differs = (values[replaced] != values[winners]).any(axis=1)
    overlaps.duplicates += int(replaced.sum())
    overlaps.conflicts += int(differs.sum())
    room = MOST_TIMES - len(overlaps.times)
    overlaps.times.update(times[replaced][differs][:room].tolist())
    return np.asarray(records[~replaced])


def _bars(kept: list[Records]) -> Bars:
    records = kept[0] if len(kept) == 1 else np.concatenate(kept)
    columns = np.ascontiguousarray(records["values"].T)
    return Bars(np.ascontiguousarray(records["time"]), *columns)
