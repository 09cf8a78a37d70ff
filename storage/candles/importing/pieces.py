"""Rows of a file as numbers, whatever the format: unchecked, unsorted, with duplicates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError, Learnt, ReadAgain
from storage.candles.importing.layout import Layout, position_of
from storage.candles.importing.numbers import as_numbers
from storage.candles.importing.times import TIME_EXAMPLES, Clock
from storage.candles.records import Float64

# A text with more values than this is no name of instruments.
MOST_NAMES = 20

Place = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a file.

    `time_ms` is float64[n] milliseconds since the epoch (NaN where there is no time), `values`
    float64[n, 5] open, high, low, close, volume (NaN where there is no number), `turnover`
    float64[n] the volume in the quote currency if there is one, `empty` how many further rows have
    no price at all, `place(i)` where row i is in the file.
    """

    time_ms: Float64
    values: Float64
    turnover: Float64 | None
    empty: int
    place: Place


@dataclass(slots=True)
class Extractor:
    """Takes the columns that are needed out of the pieces of one file."""

    file: str
    names: Sequence[str]
    layout: Layout
    choices: Choices
    clock: Clock
    labels: dict[str, set[str]] = field(default_factory=dict)
    filtered: int = 0
    _where: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self._where = {
            position_of(self.names, name, self.file): value
            for name, value in self.choices.where.items()
        }

    def wanted(self) -> list[int]:
        """Positions of the columns that `piece` needs."""
        layout = self.layout
        some = (layout.time_of_day, *layout.prices, layout.volume, layout.quote, layout.unused)
        named = (*layout.instruments, *layout.labels, *self._where)
        return list(dict.fromkeys(i for i in (layout.time, *some, *named) if i is not None))

    def texts(self) -> list[int]:
        """Those of them that hold names."""
        return list(dict.fromkeys((*self.layout.instruments, *self.layout.labels, *self._where)))

    def numbers(self) -> list[int]:
        """Those of them that have to be numbers."""
        layout = self.layout
        some = (*layout.prices, layout.volume, layout.quote, layout.unused)
        return [i for i in some if i is not None and i not in self._where]

    def piece(self, columns: Mapping[int, Any], place: Place) -> Piece:
        """Read some rows; raises `pa.ArrowInvalid` where times cannot be read."""
        layout = self.layout
        kept, others = self._kept(columns), 0
        if kept is not None:
            rows = np.flatnonzero(kept)
            columns = {i: column.take(pa.array(rows)) for i, column in columns.items()}
            others = len(kept) - len(rows)
            place = _selected(place, rows)
        self._remember(columns)
        time_of_day = None if layout.time_of_day is None else columns[layout.time_of_day]
        time_ms = self.clock.read(columns[layout.time], time_of_day)
        # Column by column, as they are checked.
        values = np.empty((len(time_ms), 5), order="F")
        for i, position in enumerate(layout.prices):
            values[:, i] = self._numbers(columns, position)
        if self.choices.price_scale != 1:
            values[:, :4] /= self.choices.price_scale
        values[:, 4] = 0 if layout.volume is None else self._numbers(columns, layout.volume)
        if layout.unused is not None and self._numbers(columns, layout.unused).any():
            raise ReadAgain(Learnt(self.clock.date_order, layout.unused))
        turnover = None if layout.quote is None else self._numbers(columns, layout.quote)
        self.filtered += others
        # A minute without a price is one without a trade, and no mistake.
        empty = np.isnan(values[:, :4]).all(axis=1)
        if not empty.any():
            return Piece(time_ms, values, turnover, 0, place)
        rows = np.flatnonzero(~empty)
        return Piece(
            time_ms[rows],
            values[rows],
            None if turnover is None else turnover[rows],
            int(empty.sum()),
            _selected(place, rows),
        )

    def _numbers(self, columns: Mapping[int, Any], position: int) -> Float64:
        column = columns[position]
        if not _can_be_numbers(column.type):
            raise CandleFileError(
                f"{self.file}: column {self.names[position]!r} of type {column.type} "
                "holds no numbers"
            )
        numbers = as_numbers(column)
        if pa.types.is_string(column.type) and len(numbers) and np.isnan(numbers).all():
            raise CandleFileError(
                f"{self.file}: column {self.names[position]!r} of type string holds no numbers"
            )
        return numbers

    def _kept(self, columns: Mapping[int, Any]) -> Any:
        kept = None
        for position, value in self._where.items():
            matching = pc.equal(columns[position].cast(pa.string()), value)
            matching = np.asarray(pc.fill_null(matching, False).to_numpy(zero_copy_only=False))
            kept = matching if kept is None else kept & matching
        return kept

    def _remember(self, columns: Mapping[int, Any]) -> None:
        for position in self.texts():
            seen = self.labels.setdefault(self.names[position].strip(), set())
            if len(seen) > MOST_NAMES:
                continue
            column = columns[position]
            if pa.types.is_dictionary(column.type):
                column = column.cast(column.type.value_type)
            for value in pc.unique(column).cast(pa.string()).to_pylist():
                if value is not None and value.strip():
                    seen.add(value.strip())


def times_unreadable(file: str, name: str, kind: Any) -> CandleFileError:
    """Say that a column of a table holds no times."""
    return CandleFileError(
        f"{file}: column {name!r} of type {kind} holds no times; write {TIME_EXAMPLES}"
    )


def _selected(place: Place, rows: Any) -> Place:
    return lambda i: place(int(rows[i]))


def _can_be_numbers(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_dictionary(kind)
        or pa.types.is_null(kind)
    )
