"""Which bars are missing in a market that closes, told from its bars alone."""

import itertools
import random

import numpy as np
import pytest

from engine.sessions import missing
from tests.engine.markets import DAY, HOUR, ms, stock_hours, working_days

WEEK = 7 * DAY


def lacking(opens: list[int], step: int, begin: int, end: int) -> list[int]:
    found: list[int] = missing(np.array(opens, np.int64), step, begin, end).tolist()
    return found


def by_a_loop(opens: list[int], step: int, begin: int, end: int) -> list[int]:
    """The same, bar by bar: votes of the weeks around, else of all weeks, else of all days."""
    there = set(opens)
    dead = [(a, b) for a, b in itertools.pairwise(opens) if b - a > WEEK]

    def votes(times: list[int]) -> list[bool]:
        known = [t for t in times if opens[0] <= t <= opens[-1]]
        return [t in there for t in known if not any(a < t < b for a, b in dead)]

    found = []
    rest = opens[0] % step
    for t in range(begin - (begin - rest) % step, end, step):
        if t < begin or t + step > end or t in there:
            continue
        near = votes([t + k * WEEK for k in range(-4, 5) if k])
        # Times of the week that belong to the weeks, counted from the epoch, that are looked at.
        all_weeks = votes([t + k * WEEK for k in range(-60, 61)])
        all_days = votes([t + k * DAY for k in range(-420, 421)])
        for asked in (near, all_weeks, all_days):
            if len(asked) >= 2:
                closed = 2 * sum(asked) <= len(asked)
                break
        else:
            closed = False
        if not closed:
            found.append(t)
    return found


YEAR = stock_hours((2024, 1, 2), (2024, 12, 31))


def test_nights_weekends_and_changes_of_the_clock_are_closed() -> None:
    assert lacking(YEAR, HOUR, ms(2024, 1, 2), ms(2025, 1, 1)) == []


@pytest.mark.parametrize("rest", [30 * 60_000, 59 * 60_000])
def test_hours_that_open_at_half_past_are_judged_like_full_ones(rest: int) -> None:
    outage = ms(2024, 6, 4, 18) + rest
    opens = [at + rest for at in YEAR if at + rest != outage]
    asked = opens, HOUR, ms(2024, 5, 2), ms(2024, 9, 1)

    assert lacking(*asked) == by_a_loop(*asked) == [outage]


def test_days_that_open_in_the_evening_are_judged_like_others() -> None:
    opens = [at + 22 * HOUR for at in working_days(ms(2024, 1, 1), ms(2024, 12, 31))]
    opens.remove(ms(2024, 12, 25, 22))
    asked = opens, DAY, ms(2024, 1, 1), ms(2025, 1, 1)

    assert lacking(*asked) == by_a_loop(*asked) == [ms(2024, 12, 25, 22)]


def test_an_outage_of_hours_is_missing_and_the_night_beside_it_is_not() -> None:
    outage = [ms(2024, 6, 4, hour) for hour in (18, 19)] + [ms(2024, 6, 5, 14)]
    opens = [at for at in YEAR if at not in outage]

    assert lacking(opens, HOUR, ms(2024, 1, 2), ms(2025, 1, 1)) == outage


@pytest.mark.parametrize("days", [1, 5, 10, 30])
def test_an_outage_of_days_or_weeks_is_missing_whole(days: int) -> None:
    begin, end = ms(2024, 6, 3), ms(2024, 6, 3) + days * DAY
    outage = [at for at in YEAR if begin <= at < end]
    opens = [at for at in YEAR if at not in outage]

    assert lacking(opens, HOUR, ms(2024, 1, 2), ms(2025, 1, 1)) == outage


def test_weekends_of_daily_bars_are_closed_and_a_holiday_is_missing() -> None:
    opens = working_days(ms(2024, 1, 1), ms(2024, 12, 31))
    christmas = ms(2024, 12, 25)
    opens.remove(christmas)

    assert lacking(opens, DAY, ms(2024, 1, 1), ms(2025, 1, 1)) == [christmas]


def test_a_market_that_never_closes_has_no_closed_hours() -> None:
    opens = list(range(ms(2024, 1, 1), ms(2024, 3, 1), HOUR))
    outage = opens[500:520]
    opens[500:520] = []

    assert lacking(opens, HOUR, ms(2024, 1, 1), ms(2024, 3, 1)) == outage


def test_a_range_that_goes_on_after_the_last_bar_lacks_open_hours_only() -> None:
    end = ms(2024, 6, 28)
    opens = [at for at in YEAR if at < end]

    found = lacking(opens, HOUR, ms(2024, 6, 1), ms(2024, 8, 1))

    assert found == [at for at in YEAR if end <= at < ms(2024, 8, 1)]


def test_of_less_than_a_week_nights_are_told_by_the_days() -> None:
    opens = [at for at in YEAR if ms(2024, 6, 3) <= at < ms(2024, 6, 7)]
    opens.remove(ms(2024, 6, 4, 15))

    assert lacking(opens, HOUR, ms(2024, 6, 3), ms(2024, 6, 7)) == [ms(2024, 6, 4, 15)]


def test_where_nothing_can_be_asked_everything_counts_as_missing() -> None:
    at = ms(2024, 6, 3, 12)

    assert lacking([at], HOUR, at, at + 3 * HOUR) == [at + HOUR, at + 2 * HOUR]


def test_only_bars_that_lie_in_the_range_whole_are_told() -> None:
    opens = list(range(0, 60 * DAY, HOUR))
    del opens[500:504]

    assert lacking(opens, HOUR, 500 * HOUR + 1, 504 * HOUR - 1) == [501 * HOUR, 502 * HOUR]


@pytest.mark.parametrize("seed", range(12))
def test_the_missing_are_those_that_a_loop_finds(seed: int) -> None:
    rng = random.Random(seed)
    step = rng.choice([HOUR, 4 * HOUR, DAY])
    start = ms(2024, 1, 1) + rng.randrange(7) * DAY
    hours = rng.choice([range(24), range(8, 20), range(0, 24, 5)])
    span = rng.choice([5, 20, 100, 200]) * DAY
    opens = []
    for at in range(start, start + span, step):
        works = at // DAY % 7 not in (2, 3) and at // HOUR % 24 in hours
        if works == (rng.random() > 0.03):
            opens.append(at)
    for _ in range(rng.randrange(3)):
        begin = rng.choice(opens)
        length = rng.choice([2, 9, 20]) * DAY
        opens = [at for at in opens if not begin < at < begin + length]
    begin = start + rng.randrange(-10, 10) * DAY
    end = start + span + rng.randrange(-10, 10) * DAY

    assert lacking(opens, step, begin, end) == by_a_loop(opens, step, begin, end)
