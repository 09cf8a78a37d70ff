"""Opening hours in words, lengths, and pictures made of characters."""

import io

import pytest
from rich.console import Console

from cli.candles import pictures, words
from engine.opening_hours import Hours, Open

HOUR, DAY = words.HOUR_MS, words.DAY_MS
DASH = words.TO


def stretch(begin_day: int, begin: float, end_day: int, end: float) -> Open:
    return Open(int(begin_day * DAY + begin * HOUR), int(end_day * DAY + end * HOUR))


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([stretch(day, 13.5, day, 20) for day in range(5)], "Mon-Fri 13:30-20:00 UTC"),
        ([stretch(0, 0, 7, 0)], "never closed"),
        ([stretch(0, 0, 5, 0)], "Mon-Fri UTC"),
        ([stretch(6, 22, 11, 22)], "Sun 22:00 - Fri 22:00 UTC"),
        (
            [stretch(day, 23, day + 1, 22) for day in (6, 0, 1, 2, 3)],
            "Sun-Thu 23:00-22:00 UTC",
        ),
        (
            [*(stretch(day, 0, day, 2.5) for day in range(5)), stretch(5, 1, 5, 3)],
            "Mon-Fri 00:00-02:30, Sat 01:00-03:00 UTC",
        ),
        (
            [one for d in (0, 1) for one in (stretch(d, 0, d, 2.5), stretch(d, 3.5, d, 6))],
            "Mon-Tue 00:00-02:30, Mon-Tue 03:30-06:00 UTC",
        ),
        ([stretch(0, 9, 0, 17), stretch(2, 9, 2, 17)], "Mon 09:00-17:00, Wed 09:00-17:00 UTC"),
        ([stretch(3, 0, 4, 0)], "Thu UTC"),
    ],
)
def test_a_week_in_words(stretches: list[Open], expected: str) -> None:
    assert words.week(stretches) == expected.replace("-", DASH)


def test_opening_hours_are_told_with_their_weeks_where_they_change() -> None:
    summer = Hours(tuple(stretch(day, 14, day, 20) for day in range(5)), 34)
    winter = Hours(tuple(stretch(day, 15, day, 21) for day in range(5)), 17)
    odd = Hours((stretch(0, 15, 0, 21),), 2)
    assert words.hours([summer]) == [f"Mon{DASH}Fri 14:00{DASH}20:00 UTC"]
    assert words.hours([summer, winter, odd]) == [
        f"Mon{DASH}Fri 14:00{DASH}20:00 UTC (34 weeks)",
        f"Mon{DASH}Fri 15:00{DASH}21:00 UTC (17 weeks)",
    ]


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(60_000, "1m"), (HOUR, "1h"), (17.5 * HOUR, "17h 30m"), (2 * DAY + 18 * HOUR, "2d 18h")],
)
def test_lengths_in_words(ms: float, expected: str) -> None:
    assert words.length(int(ms)) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [(0, "0 %"), (1, "< 0.01 %"), (655, "0.655 %"), (25_500, "25.5 %"), (99_999, "> 99.9 %")],
)
def test_a_share_is_neither_all_nor_nothing_unless_it_is(part: int, expected: str) -> None:
    assert words.share(part, 100_000) == expected
    assert words.share(7, 7) == "100 %"


def console(encoding: str = "utf-8") -> Console:
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding))


def drawn(present: list[int], expected: list[int], width: int, encoding: str = "utf-8") -> str:
    return pictures.coverage(present, expected, width, console(encoding)).plain


def test_only_all_bars_make_a_full_block_and_only_none_a_dot() -> None:
    assert drawn([1000, 999, 500, 1, 0, 0], [1000] * 5 + [0], 6) == "█▇▄▁· "
    assert drawn([1000, 999, 500, 1, 0, 0], [1000] * 5 + [0], 6, "ascii") == "#951. "


def test_a_narrow_picture_joins_parts_and_a_wide_one_does_not_stretch() -> None:
    assert drawn([5, 5, 0, 0], [5, 5, 5, 5], 2) == "█·"
    assert drawn([5, 5, 5, 0, 0], [5] * 5, 2) == "█▃"
    assert drawn([5], [5], 40) == "█"


def test_prices_are_drawn_from_the_lowest_to_the_highest() -> None:
    assert pictures.sparkline([1, 2, None, 8], console()) == "▁▂ █"
    assert pictures.sparkline([3, 3], console()) == "▁▁"
    assert pictures.sparkline([None], console()) == ""
