"""The top list keeps a total order, whatever the grouping of offers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ranking
from engine.ranking import TopList

METRIC = st.sampled_from((float("nan"), float("inf"), -1.5, 0.0, -0.0, 0.25, 3.0))
VARIANTS = st.lists(st.tuples(st.integers(0, 4), METRIC, METRIC), max_size=60)
ORDERS = st.sampled_from(
    (("sqn", None), ("sqn", "max_drawdown_pct"), ("max_drawdown_pct", "profit_factor"))
)
Variant = tuple[int, float, float]


def offer(top: TopList, variants: list[Variant], indexes: list[int]) -> None:
    trades, primary, secondary = (
        np.array([variants[i][column] for i in indexes], dtype)
        for column, dtype in enumerate((np.int64, np.float64, np.float64))
    )
    top.offer(np.array(indexes, np.int64), trades, primary, secondary if top.secondary else None)


def expected(variants: list[Variant], top: TopList) -> list[int]:
    def worse(metric: str | None, value: float) -> tuple[bool, float]:
        if metric is None or np.isnan(value):
            return True, 0.0
        return False, value if metric == "max_drawdown_pct" else -value

    def key(index: int) -> tuple[Any, ...]:
        trades, primary, secondary = variants[index]
        return (
            trades < top.min_trades,
            *worse(top.primary, primary),
            *worse(top.secondary, secondary),
            index,
        )

    return sorted(range(len(variants)), key=key)[: top.capacity]


@settings(max_examples=300, deadline=None)
@given(
    VARIANTS,
    ORDERS,
    st.integers(0, 3),
    st.integers(1, 12),
    st.integers(0, 6),
    st.randoms(use_true_random=False),
)
def test_any_split_into_offers_and_lists_ranks_the_same(
    variants: list[Variant],
    order: tuple[str, str | None],
    min_trades: int,
    capacity: int,
    room: int,
    random: Any,
) -> None:
    lists = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "MIN_ROOM", room)  # so that the worst are dropped again and again
        lists = [TopList(capacity, *order, min_trades) for _ in range(3)]
    indexes = list(range(len(variants)))
    random.shuffle(indexes)
    while indexes:
        size = random.randint(1, 9)
        offer(random.choice(lists), variants, indexes[:size])
        del indexes[:size]
    first, second, third = lists
    second.merge(third)
    first.merge(second)
    assert first.indexes().tolist() == expected(variants, first)


@settings(max_examples=100, deadline=None)
@given(VARIANTS, ORDERS, st.integers(1, 12))
def test_nothing_that_would_stay_is_behind_the_cut(
    variants: list[Variant], order: tuple[str, str | None], capacity: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "MIN_ROOM", 1)
        top = TopList(capacity, *order, 2)
    half = len(variants) // 2
    offer(top, variants, list(range(half)))
    tier, key = top.cut()
    sign = 1.0 if top.primary == "max_drawdown_pct" else -1.0
    for index in set(expected(variants, top)) & set(range(half, len(variants))):
        trades, primary, _ = variants[index]
        undefined = bool(np.isnan(primary))
        mine = (2 * (trades < 2) + undefined, 0.0 if undefined else sign * primary)
        assert mine <= (tier, key)


def test_infinity_leads_and_the_undefined_trail() -> None:
    top = TopList(4, "profit_factor")
    values = np.array([np.nan, 2.0, np.inf, -1.0])
    top.offer(np.arange(4), np.ones(4, np.int64), values)
    assert top.indexes().tolist() == [2, 1, 3, 0]
    assert np.array_equal(top.scores()[0], [np.inf, 2.0, -1.0, np.nan], equal_nan=True)


def test_a_smaller_drawdown_ranks_first() -> None:
    top = TopList(2, "max_drawdown_pct")
    top.offer(np.arange(3), np.ones(3, np.int64), np.array([5.0, 1.0, 3.0]))
    assert top.indexes().tolist() == [1, 2]


def test_too_few_trades_rank_behind_an_undefined_metric() -> None:
    top = TopList(3, "sqn", None, 5)
    top.offer(np.arange(3), np.array([4, 9, 9]), np.array([7.0, np.nan, -1.0]))
    assert top.indexes().tolist() == [2, 1, 0]


def test_memory_does_not_grow_with_the_number_of_offers() -> None:
    top = TopList(10, "sqn")
    size = top._entries.nbytes
    for start in range(0, 200_000, 20_000):
        top.offer(np.arange(start, start + 20_000), np.ones(20_000, np.int64), np.zeros(20_000))
    assert top._entries.nbytes == size
    assert top.indexes().tolist() == list(range(10))


def test_lists_of_different_order_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different order"):
        TopList(1, "sqn").merge(TopList(1, "calmar"))
