"""What a time is in the files people have, as milliseconds since the epoch."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.candles.importing.choices import DATE_ORDERS
from storage.candles.importing.errors import Learnt, ReadAgain
from storage.candles.records import MINUTE_MS, Float64

# Unit of an integer time, by magnitude: seconds reach these figures in the year 5138,
# milliseconds before 1973, and so on.
SECONDS_BELOW, MILLISECONDS_BELOW, MICROSECONDS_BELOW = 10**11, 10**14, 10**17
DAY_MS = 1440 * MINUTE_MS
# Integers that are written like a date, which as seconds would lie in 1970.
DATES = (19_000_101, 21_001_231)
TIME_EXAMPLES = "2024-01-31 23:59:00, 2024-01-31T23:59:00Z or an epoch in s, ms or µs"

ISO = re.compile(r"\d{4}-\d\d-\d\d")
OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
TIME_OF_DAY = re.compile(r"(?:\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?|\d{4}|\d{6})$")
# Digits without marks, and dates whose parts stand in another order or with other marks.
REWRITTEN = (
    (r"\s*(?:UTC|GMT)([+-]\d\d:?\d\d)$", r"\1"),
    (r"\s*(?:UTC|GMT)$", ""),
    (r"^(\d{4})[./](\d{1,2})[./](\d{1,2})", r"\1-\2-\3"),
    (r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$", r"\1-\2-\3 \4:\5:\6"),
    (r"^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$", r"\1-\2-\3 \4:\5"),
    (r"^(\d{4})(\d\d)(\d\d)(\D|$)", r"\1-\2-\3\4"),
    (r"^(\S+)[ T](\d\d)(\d\d)(\d\d)$", r"\1 \2:\3:\4"),
    (r"^(\S+)[ T](\d\d)(\d\d)$", r"\1 \2:\3"),
    (r"^(\d{4})-(\d)-", r"\1-0\2-"),
    (r"^(\d{4}-\d\d)-(\d)(\D|$)", r"\1-0\2\3"),
    (r"^(\S+)[ T](\d):", r"\1 0\2:"),
)
DAY_FIRST = r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4})"
HALF_DAY = r"(?i)\s*([AP])M$"


@dataclass(slots=True)
class Clock:
    """Reads the times of one file and remembers what it found of their zone and order of dates.

    `zone` is that of times without one, `day_ms` the day in the file's name, for files that hold
    times of one day only. `order_open` is a date that has two readings while none is proven.
    `twice` and `never` count the local times that a change of the clock makes ambiguous or
    impossible, with the first of each as text.
    """

    zone: str | None = None
    date_order: str | None = None
    day_ms: int | None = None
    twice: int = 0
    never: int = 0
    first_twice: str = ""
    first_never: str = ""
    order_open: str | None = None
    _order: str | None = field(default=None, init=False)

    def read(self, column: Any, time_of_day: Any = None) -> Float64:
        """Return float64 milliseconds since the epoch; NaN where there is no time.

        Takes Arrow columns of timestamps, dates, numbers (s, ms, µs or ns by magnitude) and texts.
        Raises `pa.ArrowInvalid` for anything else.
        """
        values = _whole(column)
        if time_of_day is not None:
            clock = pc.utf8_trim_whitespace(_whole(time_of_day).cast(pa.string()))
            days = pc.utf8_trim_whitespace(values.cast(pa.string()))
            values = pc.binary_join_element_wise(days, clock, " ")
        kind = values.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._texts(pc.utf8_trim_whitespace(values.cast(pa.string())))
        if pa.types.is_timestamp(kind):
            return self._instants(values.cast(pa.timestamp("ns", kind.tz)), kind.tz is None)
        if pa.types.is_date(kind):
            return self._instants(values.cast(pa.timestamp("ns")), False)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return self._numbers(_float(values))
        raise pa.ArrowInvalid(f"times cannot be of type {kind}")

    def _numbers(self, numbers: Float64) -> Float64:
        size = np.abs(numbers)
        known = numbers[~np.isnan(numbers)]
        if self.day_ms is not None and len(known) and 0 <= known.min() <= known.max() < DAY_MS:
            moments = pa.array((self.day_ms + np.nan_to_num(numbers)).astype(np.int64))
            result = self._instants(moments.cast(pa.timestamp("ms")).cast(pa.timestamp("ns")), True)
            return np.where(np.isnan(numbers), np.nan, result)
        if len(known) and DATES[0] <= known.min() <= known.max() <= DATES[1]:
            days = pa.array(numbers, from_pandas=True).cast(pa.int64(), safe=False)
            return self._texts(days.cast(pa.string()))
        return np.select(
            [size < SECONDS_BELOW, size < MILLISECONDS_BELOW, size < MICROSECONDS_BELOW],
            [numbers * 1e3, numbers, numbers / 1e3],
            default=numbers / 1e6,
        )

    def _texts(self, texts: pa.Array) -> Float64:
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        first = next((text for text in texts if text.is_valid), None)
        if first is None:
            return np.full(len(texts), np.nan)
        example = first.as_py()
        if re.fullmatch(r"-?\d+", example) and not re.fullmatch(
            r"(?:19|20)\d{6}(?:\d{4}|\d{6})?", example
        ):
            return self._numbers(_float(texts.cast(pa.int64())))
        if re.fullmatch(r"-?\d+\.\d*(?:[eE]\+?\d+)?", example):
            return self._numbers(_float(texts.cast(pa.float64())))
        if ISO.match(example):
            try:
                return self._parsed(texts, example)
            except pa.ArrowInvalid:
                pass
        shift = None
        if re.search(HALF_DAY, example):
            shift = _half_days(texts)
            texts = pc.replace_substring_regex(texts, HALF_DAY, "")
        if re.match(DAY_FIRST, example):
            texts = self._ordered(texts, example)
        for pattern, replacement in REWRITTEN:
            texts = pc.replace_substring_regex(texts, pattern, replacement)
        return self._parsed(texts, next(text for text in texts if text.is_valid).as_py(), shift)

    def _parsed(self, texts: pa.Array, example: str, shift: Any = None) -> Float64:
        if OFFSET.search(example[10:]):
            return self._instants(texts.cast(pa.timestamp("ns", "UTC")), False)
        moments = texts.cast(pa.timestamp("ns"))
        if shift is not None:
            moments = pc.add(moments, shift)
        # A day is a name, not a moment that a zone could move.
        return self._instants(moments, len(example) > 10)

    def _instants(self, moments: pa.Array, local: bool) -> Float64:
        if local and self.zone not in (None, "UTC"):
            moments = self._localised(moments)
        return _float(moments.cast(pa.int64())) / 1e6

    def _localised(self, moments: pa.Array) -> pa.Array:
        """Give times the zone; those that a change of the clock makes unclear become null."""
        naive = moments
        early, late = (
            pc.assume_timezone(naive, self.zone, ambiguous=side, nonexistent=side)
            for side in ("earliest", "latest")
        )
        unclear = pc.not_equal(early, late)
        if not pc.any(unclear).as_py():
            return early
        # The two readings of a time that occurs twice are an hour apart; those of one that never
        # occurs are the last instant before the change and the first after it.
        apart = pc.subtract(late.cast(pa.int64()), early.cast(pa.int64()))
        never = pc.equal(apart, 1)
        twice = pc.and_not(unclear, never)
        self.never += int(pc.sum(never).as_py() or 0)
        self.twice += int(pc.sum(twice).as_py() or 0)
        self.first_never = self.first_never or _first_text(naive, never)
        self.first_twice = self.first_twice or _first_text(naive, twice)
        return pc.if_else(unclear, pa.scalar(None, early.type), early)

    def _ordered(self, texts: pa.Array, example: str) -> pa.Array:
        """Put the year first, as the file's own dates or the user say what is the day."""
        order = "dmy" if "." in example[:10] else self.date_order
        if order is None:
            order = self._learn_order(texts, example)
        replacement = r"\3-\2-\1" if order == "dmy" else r"\3-\1-\2"
        return pc.replace_substring_regex(texts, DAY_FIRST, replacement)

    def _learn_order(self, texts: pa.Array, example: str) -> str:
        parts = pc.extract_regex(texts, r"^(?P<a>\d{1,2})[./-](?P<b>\d{1,2})")
        numbers = [pc.struct_field(parts, i).cast(pa.int64()) for i in (0, 1)]
        first, second = (pc.max(number).as_py() or 0 for number in numbers)
        order = "dmy" if first > 12 else "mdy" if second > 12 else None
        if order is None:
            self._order = self._order or "dmy"
            if self.order_open is None and pc.any(pc.not_equal(*numbers)).as_py():
                self.order_open = example
            return self._order
        if self._order not in (None, order):
            raise ReadAgain(Learnt(date_order=order))
        self._order, self.date_order, self.order_open = order, order, None
        return order


def is_time_of_day(text: str) -> bool:
    """Say whether a text is a time without a date."""
    return TIME_OF_DAY.match(text.strip()) is not None


def is_time(text: str, like: str | None = None) -> bool:
    """Say whether a text is a time that is understood, and written as another one if given."""
    texts = pa.array([text] if like is None else [like, text])
    for order in DATE_ORDERS:
        try:
            return not np.isnan(Clock(date_order=order).read(texts)).any()
        except pa.ArrowInvalid:
            continue
    return False


def _half_days(texts: pa.Array) -> pa.Array:
    """Hours to add to the times of a twelve-hour clock, as durations."""
    late = pc.match_substring_regex(texts, r"(?i)PM$")
    twelve = pc.match_substring_regex(texts, r"[ T]12:")
    hours = pc.subtract(
        pc.if_else(late, pa.scalar(12), pa.scalar(0)), pc.if_else(twelve, pa.scalar(12), 0)
    )
    return pc.multiply(hours, pa.scalar(3_600_000_000_000)).cast(pa.duration("ns"))


def _first_text(moments: pa.Array, marked: pa.Array) -> str:
    found = moments.filter(marked)
    return str(found[0].cast(pa.timestamp("s")).as_py()) if len(found) else ""


def _whole(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def _float(values: pa.Array) -> Float64:
    # Microseconds of today are below 2^53; nanoseconds of whole milliseconds lose nothing that
    # matters either: they are multiples of 10^6, a float64 step is 256.
    return np.asarray(
        pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
    )
