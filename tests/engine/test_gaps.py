"""Gaps between bars, with and without hours in which a market is closed."""

import numpy as np

from engine.gaps import gaps
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
