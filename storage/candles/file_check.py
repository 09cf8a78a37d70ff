"""Checking the files of an instrument row by row, as they lie on the disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.candles.arrow import as_numpy
from storage.candles.faults import reading_faults
from storage.candles.instrument_files import VALUES
from storage.candles.known import Known
from storage.candles.records import Bars, CandleSourceUnavailable, Int64, utc
from storage.candles.verifying import Flaw, Share, Verifying, doubtful, flaws_of, off_beat


def check_files(
    found: Verifying, store: Path, paths: list[Path], known: Known, progress: Share
) -> None:
    """Read files of bars in the order of their import, and add what is wrong to `found`.

    Pages are compared with their checksums. A wrong bar that a later file replaces is no flaw:
    nobody reads it.
    """
    suspects: list[_Suspects] = []
    size = sum(path.stat().st_size for path in paths) or 1
    done = 0
    for path in paths:
        place = str(path.relative_to(store))
        try:
            with reading_faults(path):
                before, rows = -1, 0
                for bars, share in _groups(path):
                    for earlier in suspects:
                        earlier.replaced_by(bars.ts_open)
                    _check_order(found, place, bars.ts_open, before, rows)
                    suspects.append(_Suspects(place, bars, rows, known))
                    before, rows = int(bars.ts_open[-1]), rows + len(bars)
                    progress((done + share * path.stat().st_size) / size)
        except CandleSourceUnavailable as error:
            found.unreadable = True
            found.add(1, [Flaw(place, None, None, str(error))])
        done += path.stat().st_size
    for each in suspects:
        found.add(len(each.bars), flaws_of(each.place, each.rows, each.bars, known))


class _Suspects:
    """Bars of one row group that cannot be right, and the numbers of their rows."""

    def __init__(self, place: str, bars: Bars, before: int, known: Known) -> None:
        wrong = doubtful(bars.values()) | (off_beat(bars.ts_open, known))
        self.place, self.bars = place, bars.take(wrong)
        self.rows: Int64 = np.flatnonzero(wrong) + before + 1

    def replaced_by(self, ts_open: Int64) -> None:
        """Forget those of which a later file has another version."""
        if len(self.bars):
            left = ~np.isin(self.bars.ts_open, ts_open)
            self.bars, self.rows = self.bars.take(left), self.rows[left]


def _groups(path: Path) -> Iterator[tuple[Bars, float]]:
    """Read a file one row group at a time, each with the share of the file that is read then."""
    with (
        pa.OSFile(str(path)) as source,
        pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as file,
    ):
        lacking = {"ts_open", *VALUES} - set(file.schema_arrow.names)
        if lacking:
            raise pa.ArrowInvalid(f"it has no column {min(lacking)}")
        count = file.num_row_groups
        for number in range(count):
            columns = [
                as_numpy(file.read_row_groups([number], columns=[name], use_threads=False)[0])
                for name in ("ts_open", *VALUES)
            ]
            _check_statistics(file.metadata.row_group(number), columns[0])
            if len(columns[0]):
                yield Bars(*columns), (number + 1) / count


def _check_statistics(group: Any, ts_open: Int64) -> None:
    """Refuse a footer that tells of other times than its rows: readers go by it."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == "ts_open" and column.is_stats_set and len(ts_open):
            told = column.statistics.min_raw, column.statistics.max_raw
            if told != (ts_open.min(), ts_open.max()):
                raise pa.ArrowInvalid("its footer tells of other times than its rows")


def _check_order(found: Verifying, place: str, ts_open: Int64, before: int, rows: int) -> None:
    previous = np.append(before, ts_open[:-1])
    at = np.flatnonzero(ts_open <= previous)
    found.add(
        len(at),
        (
            Flaw(
                place,
                rows + int(n) + 1,
                int(ts_open[n]),
                f"it stands behind the bar of {utc(int(previous[n])):%Y-%m-%d %H:%M}",
            )
            for n in at
        ),
    )
