"""Opening hours, told from bars."""

import numpy as np
import pytest

from engine.opening_hours import Open, opening_hours
from engine.timeframes import TIMEFRAMES
from tests.engine.markets import DAY, HOUR, ms, stock_hours, working_days

MINUTE = TIMEFRAMES["1m"]


def days(begin_hour: float, end_hour: float, count: int = 5) -> tuple[Open, ...]:
    return tuple(
        Open(int(day * DAY + begin_hour * HOUR), int(day * DAY + end_hour * HOUR))
        for day in range(count)
    )


def test_a_clock_that_is_changed_makes_two_opening_hours() -> None:
    opens = stock_hours((2024, 1, 1), (2024, 12, 31))
    opens = [at for at in opens if not ms(2024, 7, 4) <= at < ms(2024, 7, 5)]  # a holiday

    summer, winter = opening_hours(np.array(opens, np.int64), HOUR)

    assert (summer.open, winter.open) == (days(14, 20), days(15, 21))
    assert summer.weeks + winter.weeks == 53
    assert summer.weeks == pytest.approx(34, abs=1)


def test_a_market_that_never_closes_is_open_all_week() -> None:
    opens = np.arange(ms(2024, 1, 1), ms(2024, 3, 1), MINUTE, np.int64)
    lacking = np.delete(opens, np.arange(5_000, 9_000))

    for listed in (opens, lacking):
        assert [hours.open for hours in opening_hours(listed, MINUTE)] == [(Open(0, 7 * DAY),)]


def test_hours_across_the_end_of_the_week_are_one_stretch() -> None:
    """Currencies trade from Sunday to Friday evening."""
    every = np.arange(ms(2024, 1, 1), ms(2024, 3, 4), MINUTE, np.int64)
    week = (every - 4 * DAY) % (7 * DAY)
    opens = every[(week >= 6 * DAY + 22 * HOUR) | (week < 4 * DAY + 22 * HOUR)]

    (hours,) = opening_hours(opens, MINUTE)

    assert hours.open == (Open(6 * DAY + 22 * HOUR, 11 * DAY + 22 * HOUR),)


def test_days_that_begin_in_the_evening_are_told_with_their_hour() -> None:
    opens = np.array(working_days(ms(2024, 1, 1), ms(2024, 3, 1)), np.int64) - 2 * HOUR

    (hours,) = opening_hours(opens, DAY)

    assert hours.open == (Open(6 * DAY + 22 * HOUR, 11 * DAY + 22 * HOUR),)


def test_single_minutes_without_a_trade_are_no_closed_hours() -> None:
    rng = np.random.default_rng(3)
    opens = np.array(
        [
            at + minute * MINUTE
            for at in stock_hours((2024, 2, 5), (2024, 2, 23))
            for minute in np.flatnonzero(rng.random(60) < 0.5)
        ],
        np.int64,
    )

    assert [hours.open for hours in opening_hours(opens, MINUTE)] == [days(15, 21)]
