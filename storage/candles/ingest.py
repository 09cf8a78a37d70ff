"""Importing a candle file: check every row, report what was found, publish what is right.

A file may be larger than memory: its rows go to a temporary file, only their times stay.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.candles import files
from storage.candles.columns import TIME_EXAMPLES
from storage.candles.minutes import check_instrument
from storage.candles.records import MINUTE_MS, Bars, Int64, utc
from storage.candles.rows import CandleFileError, Rows
from storage.candles.store import CandleStore

Progress = Callable[[int, int], None]

CHUNK_MINUTES = 131_072
# Times outside were misread or mistyped.
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
# With fewer candles a spacing says nothing.
ENOUGH_TO_TELL_SPACING = 10


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import found and did. Every row that was dropped or doubtful is counted here."""

    path: Path
    market_id: int
    symbol: str
    rows: int  # candles in the file
    minutes: int  # distinct valid minutes among them
    published: int  # of these, new to the store or different from what it held
    first: datetime  # open time of the first minute, UTC
    last: datetime
    duplicates: int  # rows dropped because a later row has the same minute
    conflicts: int  # of these, rows with other values than the one kept
    unsorted: int  # rows whose minute lies before that of an earlier row
    invalid: (
        int  # dropped: a price not finite and positive, a volume not finite or negative, no time
    )
    inconsistent: int  # kept: high or low does not enclose open and close
    gaps: int  # stretches of missing minutes between first and last
    missing_minutes: int

    def remarks(self) -> tuple[str, ...]:
        """One sentence for each thing a user should know; empty for a flawless new file."""
        sentences = (
            (
                self.invalid,
                f"{self.invalid} rows dropped: a price that is not finite and positive, "
                "a volume that is not finite or negative, or no time",
            ),
            (
                self.duplicates,
                f"{self.duplicates} duplicate rows dropped, the last of each minute was kept "
                f"({self.conflicts} had other values)",
            ),
            (self.unsorted, f"{self.unsorted} rows were out of order and have been sorted"),
            (
                self.inconsistent,
                f"{self.inconsistent} candles whose high or low does not enclose open and close "
                "were kept as they are",
            ),
            (
                self.gaps,
                f"{self.gaps} gaps, {self.missing_minutes} minutes missing: "
                "a bar without any minute repeats the last close with volume 0",
            ),
            (
                not self.published,
                "nothing changed: the store already held exactly these minutes",
            ),
        )
        return tuple(text for applies, text in sentences if applies)


def import_file(
    store: CandleStore,
    path: Path,
    market_id: int,
    symbol: str,
    *,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a .csv, .csv.gz or .parquet file or an exchange kline dump.

    Times without a zone are UTC. `progress(done, total)` is called as work proceeds; only the ratio
    means something. Raises `CandleFileError` when the file is not usable as a whole – then nothing
    was published – and `CandleSourceUnavailable` when the store is not.
    """
    try:
        check_instrument(market_id, symbol)
    except ValueError as error:
        raise CandleFileError(f"{path} cannot be imported: {error}") from error
    advance = progress or (lambda _done, _total: None)
    with tempfile.TemporaryFile() as spool:
        found = _Findings(path)
        size = _size(path)
        for rows in files.read(path, symbol):
            found.add(rows, spool)
            advance(rows.done, 2 * size)
        times, order = found.settle()
        minutes = _Minutes(spool, times, order, found)
        published = store.append(
            market_id,
            symbol,
            minutes.chunks(lambda share: advance(size + int(size * share), 2 * size)),
        )
    steps = np.diff(times[order]) // MINUTE_MS
    advance(2 * size, 2 * size)
    return ImportReport(
        path=path,
        market_id=market_id,
        symbol=symbol,
        rows=found.rows,
        minutes=len(order),
        published=published,
        first=utc(int(times[order[0]])),
        last=utc(int(times[order[-1]])),
        duplicates=len(times) - len(order),
        conflicts=found.conflicts,
        unsorted=found.unsorted,
        invalid=found.invalid,
        inconsistent=found.inconsistent,
        gaps=int((steps > 1).sum()),
        missing_minutes=int((steps - 1).sum()),
    )


class _Findings:
    """What has been read so far: the times in memory, the values in the spool, and the counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = self.invalid = self.unsorted = self.conflicts = self.inconsistent = 0
        self._times: list[Int64] = []
        self._latest = -1

    def add(self, rows: Rows, spool: IO[bytes]) -> None:
        """Check a piece of the file and keep its valid rows."""
        time_ms, values = rows.time_ms, rows.values
        usable = np.isfinite(values).all(axis=1) & (values[:, :4] > 0).all(axis=1)
        usable &= (values[:, 4] >= 0) & np.isfinite(time_ms)
        self._check_times(rows, usable)
        self.rows += len(time_ms)
        self.invalid += int((~usable).sum())
        times, values = time_ms[usable].astype(np.int64), values[usable]
        if len(times) == 0:
            return
        latest = np.maximum.accumulate(np.concatenate(([self._latest], times)))
        self.unsorted += int((times < latest[:-1]).sum())
        self._latest = int(latest[-1])
        self._times.append(times)
        try:
            spool.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise CandleFileError(
                f"{self.path}: no room for a temporary copy in {tempfile.gettempdir()} "
                f"({error.strerror}): make room or set TMPDIR to another folder"
            ) from error

    def settle(self) -> tuple[Int64, NDArray[np.intp]]:
        """All times as read, and the rows to publish: ascending, the last of each minute."""
        if self.rows == 0:
            raise CandleFileError(f"{self.path}: the file holds no candles")
        if not self._times:
            raise CandleFileError(
                f"{self.path}: none of the {self.rows} rows is usable: prices must be finite and "
                "positive, volumes finite and not negative; check the order of the columns"
            )
        times = np.concatenate(self._times)
        self._times = []
        order = np.argsort(times, kind="stable")
        ascending = times[order]
        order = order[np.append(ascending[1:] != ascending[:-1], True)]
        self._check_spacing(times[order])
        return times, order

    def _check_times(self, rows: Rows, usable: NDArray[np.bool_]) -> None:
        time_ms = rows.time_ms
        with np.errstate(invalid="ignore"):
            outside = (time_ms < EARLIEST_MS) | (time_ms >= LATEST_MS)
            uneven = (time_ms % MINUTE_MS != 0) & usable
        if outside.any():
            row = int(np.argmax(outside))
            raise CandleFileError(
                f"{self.path}: {rows.place(row)}: the time is not between the years 2000 and 2100; "
                f"write {TIME_EXAMPLES}"
            )
        if uneven.any():
            row = int(np.argmax(uneven))
            raise CandleFileError(
                f"{self.path}: {rows.place(row)}: the candle opens at "
                f"{utc(int(time_ms[row])):%Y-%m-%d %H:%M:%S.%f}, which is no whole minute; "
                "1-minute candles named by their open time are needed"
            )

    def _check_spacing(self, ascending: Int64) -> None:
        steps = np.diff(ascending)
        if len(ascending) >= ENOUGH_TO_TELL_SPACING and steps.min() > MINUTE_MS:
            raise CandleFileError(
                f"{self.path}: the candles are at least {steps.min() // MINUTE_MS} minutes apart; "
                "1-minute candles are needed, longer bars are made from them"
            )


class _Minutes:
    """The rows to publish, read back from the spool in ascending pieces."""

    def __init__(
        self, spool: IO[bytes], times: Int64, order: NDArray[np.intp], found: _Findings
    ) -> None:
        spool.flush()
        self._values = np.memmap(spool, np.float64, "r", shape=(len(times), 5))
        self._times, self._order, self._found = times, order, found

    def chunks(self, advance: Callable[[float], None]) -> Iterator[Bars]:
        """Pieces for `CandleStore.append`."""
        self._count_conflicts()
        for begin in range(0, len(self._order), CHUNK_MINUTES):
            piece = self._order[begin : begin + CHUNK_MINUTES]
            columns = np.ascontiguousarray(self._values[piece].T)
            prices = columns[:4]
            self._found.inconsistent += int(
                ((prices.max(axis=0) != prices[1]) | (prices.min(axis=0) != prices[2])).sum()
            )
            yield Bars(self._times[piece], *columns)
            advance((begin + len(piece)) / len(self._order))

    def _count_conflicts(self) -> None:
        kept = np.zeros(len(self._times), dtype=bool)
        kept[self._order] = True
        dropped = np.flatnonzero(~kept)
        ascending = self._times[self._order]
        for begin in range(0, len(dropped), CHUNK_MINUTES):
            rows = dropped[begin : begin + CHUNK_MINUTES]
            winners = self._order[np.searchsorted(ascending, self._times[rows])]
            differs = (self._values[rows] != self._values[winners]).any(axis=1)
            self._found.conflicts += int(differs.sum())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise CandleFileError(
            f"{path}: the file cannot be read: {error.strerror or error}"
        ) from error
