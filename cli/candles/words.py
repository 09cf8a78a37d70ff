"""Times, lengths and opening hours, as people read them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.opening_hours import Hours, Open

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
WEEK_MS = 7 * DAY_MS
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TO = "\N{EN DASH}"
RARE = 0.1
"""Opening hours of a smaller share of the weeks are not worth a word."""


Times = Callable[[int], str]


def at(ms: int) -> str:
    """Write a time to the minute, UTC: `2024-01-31 14:30`; where there are seconds, with them."""
    seconds = ":%S" if ms % MINUTE_MS else ""
    return f"{EPOCH + timedelta(milliseconds=ms):%Y-%m-%d %H:%M{seconds}}"


def day(ms: int) -> str:
    """Write the day of a time, UTC."""
    return f"{EPOCH + timedelta(milliseconds=ms):%Y-%m-%d}"


def iso(ms: int) -> str:
    """Write a time for machines."""
    return (EPOCH + timedelta(milliseconds=ms)).isoformat()


def length(ms: int) -> str:
    """Write a duration: `1m`, `17h 30m`, `2d 18h`."""
    parts, left = [], ms
    for unit, of in (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS)):
        count, left = divmod(left, of)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0m"


def counted(number: int, noun: str) -> str:
    """Write how many there are of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Write how much of something it is: neither all of it nor nothing unless it is."""
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.3g} %"


def hours(found: Sequence["Hours"]) -> list[str]:
    """Write opening hours, the most frequent first; how often, where there are several."""
    weeks = sum(each.weeks for each in found)
    often = [each for each in found if each.weeks >= RARE * weeks][:3]
    if len(often) == 1:
        return [week(often[0].open)]
    return [f"{week(each.open)} ({counted(each.weeks, 'week')})" for each in often]


def week(stretches: Sequence["Open"]) -> str:
    """Write the hours of a week: `Mon–Fri 13:30–20:00 UTC`."""
    texts = []
    for (begin, end), same in groupby(sorted(stretches, key=_alike), key=_alike):
        days = [each.begin_ms // DAY_MS for each in same]
        for first, last in _runs(days):
            texts.append(_stretch(first, last, begin, end))
    return ", ".join(texts) + ("" if texts == ["never closed"] else " UTC")


def _alike(stretch: "Open") -> tuple[int, int]:
    """Return the time of day when a stretch begins, and when it ends, counted from that day."""
    begin = stretch.begin_ms % DAY_MS
    return begin, begin + stretch.end_ms - stretch.begin_ms


def _runs(days: Sequence[int]) -> list[tuple[int, int]]:
    """Join days that follow each other, also from Sunday to Monday."""
    runs: list[list[int]] = []
    for each in sorted(days):
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == 6:
        runs[0][0] = runs.pop()[0]
    return [(first, last) for first, last in runs]


def _stretch(first: int, last: int, begin: int, end: int) -> str:
    if end - begin >= WEEK_MS:
        return "never closed"
    if end - begin > DAY_MS:
        until = first * DAY_MS + end
        if begin == 0 and end % DAY_MS == 0:
            return _days(first, (until // DAY_MS - 1) % 7)
        return f"{DAYS[first]} {_clock(begin)} {TO} {DAYS[until // DAY_MS % 7]} {_clock(end)}"
    if begin == 0 and end == DAY_MS:
        return _days(first, last)
    return f"{_days(first, last)} {_clock(begin)}{TO}{_clock(end)}"


def _days(first: int, last: int) -> str:
    return DAYS[first] if first == last else f"{DAYS[first]}{TO}{DAYS[last]}"


def _clock(ms: int) -> str:
    minutes = ms % DAY_MS // MINUTE_MS
    return f"{minutes // 60:02}:{minutes % 60:02}"
