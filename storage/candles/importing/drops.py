"""Rows of a file that cannot be bars: why, how many, and how many there may be."""

from dataclasses import dataclass, field

import numpy as np

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.pieces import Piece
from storage.candles.importing.times import TIME_EXAMPLES
from storage.candles.records import MINUTE_MS, Float64, Int64, utc

# Times outside were misread or mistyped: small numbers are no epochs before 1973.
EARLIEST_MS, LATEST_MS = 94_694_400_000, 4_102_444_800_000
# How many rows may be dropped without a word of the user: a few, or a small share of many.
FEW, SMALL_SHARE = 10, 0.01

NO_TIME = "no time"
BAD_TIME = "the time is not between the years 1973 and 2100"
BAD_VALUE = "a price that is not finite and positive, or a volume that is not finite or is negative"
OFF_GRID = "the time is no whole minute"
OFF_PHASE = "it does not open where the others do"
UNREADABLE = "the line cannot be read"
TWICE = "the local time occurs twice, when clocks are set back"
NEVER = "the local time does not exist, because clocks are set forward"


@dataclass(slots=True)
class Reason:
    """How many rows were dropped for one reason, and what the first of them was."""

    rows: int = 0
    first: str = ""


@dataclass(slots=True)
class Drops:
    """Checks the rows of one file."""

    file: str
    choices: Choices
    rows: int = 0
    empty: int = 0
    without_volume: int = 0
    reasons: dict[str, Reason] = field(default_factory=dict)

    def usable(self, piece: Piece) -> tuple[Int64, Float64, Float64 | None]:
        """Return time, values and turnover of the rows that can be bars."""
        time_ms, values = piece.time_ms, piece.values
        self.rows += len(time_ms)
        self.empty += piece.empty
        if self._all_usable(piece):
            return time_ms.astype(np.int64), values, piece.turnover
        with np.errstate(invalid="ignore"):
            none = np.isnan(time_ms)
            outside = (time_ms < EARLIEST_MS) | (time_ms >= LATEST_MS)
            numbers = np.isfinite(values).all(axis=1) & (values[:, :4] > 0).all(axis=1)
            wrong = ~(numbers & (values[:, 4] >= 0))
            self.without_volume += int((np.isnan(values[:, 4]) & (values[:, :4] > 0).all(1)).sum())
            off = time_ms % MINUTE_MS != 0
        checks = ((NO_TIME, none), (BAD_TIME, outside), (BAD_VALUE, wrong), (OFF_GRID, off))
        dropped = np.zeros(len(time_ms), bool)
        for reason, failing in checks:
            new = failing & ~dropped
            if new.any():
                self._count(reason, int(new.sum()), piece, int(np.argmax(new)))
                dropped |= new
        kept = ~dropped
        turnover = None if piece.turnover is None else piece.turnover[kept]
        return time_ms[kept].astype(np.int64), values[kept], turnover

    def _all_usable(self, piece: Piece) -> bool:
        """Say at little cost whether all rows are bars; a sum is finite if all its parts are."""
        times, values = piece.time_ms, piece.values
        return len(times) == 0 or bool(
            np.isfinite(values.sum())
            and values[:, :4].min() > 0
            and values[:, 4].min() >= 0
            and times.min() >= EARLIEST_MS
            and times.max() < LATEST_MS
            and not (times % MINUTE_MS).any()
        )

    def add(self, reason: str, rows: int, first: str) -> None:
        """Count rows that were dropped elsewhere."""
        if rows:
            found = self.reasons.setdefault(reason, Reason(first=first))
            found.rows += rows

    def explain_no_time(self, reason: str, rows: int, first: str) -> None:
        """Say why some of the rows without a time have none."""
        unexplained = self.reasons.get(NO_TIME, Reason())
        rows = min(rows, unexplained.rows)
        unexplained.rows -= rows
        self.add(reason, rows, first)
        if not unexplained.rows:
            self.reasons.pop(NO_TIME, None)

    @property
    def dropped(self) -> int:
        """How many rows are no bars though they were meant to be."""
        return sum(reason.rows for reason in self.reasons.values())

    def check(self) -> None:
        """Raise `CandleFileError` if more rows were dropped than may be."""
        if self.rows + self.empty == 0:
            raise CandleFileError(f"{self.file}: the file holds no candles")
        if not self.dropped and self.rows:
            return
        if self.without_volume == self.rows:
            raise CandleFileError(
                f"{self.file}: no row has a volume: type --no-volume if there is none"
            )
        if self.dropped == self.rows and set(self.reasons) <= {BAD_VALUE}:
            raise CandleFileError(
                f"{self.file}: none of the {self.rows + self.empty} rows is usable: prices must "
                "be finite and positive, volumes finite and not negative; check the order of the "
                "columns"
            )
        if self.dropped <= self.allowed and self.dropped < self.rows:
            return
        reason, found = max(self.reasons.items(), key=lambda item: item[1].rows)
        raise CandleFileError(
            f"{self.file}: {self.dropped} of {self.rows} rows are no bars, at most {self.allowed} "
            f"may be: {reason} ({found.first}; {found.rows} such rows). {self._advice(reason)}"
        )

    @property
    def allowed(self) -> int:
        """How many rows may be dropped."""
        most = self.choices.max_bad_rows
        return min(max(FEW, int(self.rows * SMALL_SHARE)), self.rows // 2) if most is None else most

    def _advice(self, reason: str) -> str:
        if reason == OFF_GRID:
            return "Bars are named by the time when they open; see --tz"
        if reason in (BAD_TIME, NO_TIME):
            return f"Write {TIME_EXAMPLES}"
        if reason in (TWICE, NEVER):
            return "Check --tz, or export the candles in UTC"
        if self.dropped < self.rows:
            return f"To leave them out, type --max-bad-rows {self.dropped}"
        return "Check the columns"

    def _count(self, reason: str, rows: int, piece: Piece, first: int) -> None:
        if reason not in self.reasons:
            told = piece.place(first)
            if reason == OFF_GRID:
                told += f": the candle opens at {utc(int(piece.time_ms[first])):%Y-%m-%d %H:%M:%S}"
            elif reason == BAD_VALUE:
                told += ": " + ", ".join(f"{value:g}" for value in piece.values[first])
            self.reasons[reason] = Reason(first=told)
        self.reasons[reason].rows += rows
