"""Gaps between bars, with and without hours in which a market is closed."""

import numpy as np

from engine.gaps import closures, gaps
from tests.engine.markets import HOUR, ms, stock_hours


def found(opens: list[int], *, sessions: bool = False) -> list[tuple[int, int]]:
    listed = gaps(np.array(opens, np.int64), HOUR, sessions=sessions)
    return list(zip(listed.start_ms.tolist(), listed.bars.tolist(), strict=True))


def test_every_stretch_without_a_bar_is_a_gap() -> None:
    assert found([hour * HOUR for hour in (0, 1, 4, 5, 7)]) == [(2 * HOUR, 2), (6 * HOUR, 1)]


def test_nothing_and_a_single_bar_have_no_gap() -> None:
    assert found([]) == found([HOUR]) == found([HOUR], sessions=True) == []


def test_nights_are_gaps_of_a_market_that_never_closes_and_of_no_other() -> None:
    opens = stock_hours((2024, 1, 2), (2024, 6, 28))

    assert len(found(opens)) == len(opens) // 6 - 1
    assert found(opens, sessions=True) == []


def test_closed_hours_inside_a_gap_do_not_count() -> None:
    opens = stock_hours((2024, 1, 2), (2024, 6, 28))
    begin = ms(2024, 4, 2, 17)
    opens = [at for at in opens if not begin <= at < ms(2024, 4, 4, 15)]

    assert found(opens, sessions=True) == [(begin, 3 + 6 + 1)]


def test_a_gap_ends_where_its_last_missing_bar_does() -> None:
    opens = stock_hours((2024, 1, 2), (2024, 6, 28))
    begin = ms(2024, 4, 2, 17)
    opens = [at for at in opens if not begin <= at < ms(2024, 4, 4, 15)]
    listed = np.array(opens, np.int64)

    assert gaps(listed, HOUR, sessions=True).end_ms.tolist() == [ms(2024, 4, 4, 15)]
    assert gaps(np.array([0, 1, 4, 6]) * HOUR, HOUR).end_ms.tolist() == [4 * HOUR, 6 * HOUR]


def test_closed_hours_are_told_without_an_outage_beside_them() -> None:
    opens = stock_hours((2024, 1, 2), (2024, 6, 28))
    whole = closures(np.array(opens, np.int64), HOUR)
    begin = ms(2024, 4, 2, 17)
    left = [at for at in opens if not begin <= at < ms(2024, 4, 4, 15)]

    found = closures(np.array(left, np.int64), HOUR)

    # Nights and weekends, of which one is an hour shorter: New York's clock is set forward.
    assert sorted(set(whole.bars.tolist())) == [18, 65, 66]
    assert found.bars.sum() == whole.bars.sum()
    assert len(found.bars) == len(whole.bars) - 1
    assert len(closures(np.arange(50) * HOUR, HOUR).bars) == 0
    assert len(closures(np.empty(0, np.int64), HOUR).bars) == 0
