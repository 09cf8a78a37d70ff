"""The top list holds the best distinct outcomes in a total order, whatever the grouping."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ranking
from engine.ranking import TopList
from tests.engine.plain_ranking import Figures, Ranking, best, offered, outcome

NAN, INF = float("nan"), float("inf")
METRIC = st.sampled_from((NAN, INF, -1.5, 0.0, -0.0, 0.25, 3.0))
# Few of each: outcomes that differ in the signature alone, and in a figure under one signature.
# Two of the signatures differ in bits alone that a small hash table does not look at.
FIGURES = st.builds(
    Figures,
    ruined=st.integers(0, 9).map(lambda n: n == 0),
    trades=st.integers(0, 4),
    primary=METRIC,
    secondary=METRIC,
    total_return=st.sampled_from((NAN, -100.0, -0.0, 0.0, 2.5)),
    signature=st.tuples(st.integers(0, 2), st.sampled_from((0, 5, 5 + 2**40))),
    weight=st.integers(1, 9),
)
VARIANTS = st.lists(FIGURES, max_size=60)
# Prices on a coarse grid: hardly more outcomes than places, most variants tie.
TIED = st.lists(
    st.builds(
        Figures,
        ruined=st.just(False),
        trades=st.integers(1, 2),
        primary=st.sampled_from((1.0, 2.0)),
        secondary=st.just(NAN),
        total_return=st.just(1.0),
        signature=st.tuples(st.just(0), st.integers(0, 3)),
    ),
    min_size=20,
    max_size=80,
)
RANKINGS = st.builds(
    Ranking,
    capacity=st.integers(1, 12),
    primary=st.sampled_from(("sqn", "max_drawdown_pct")),
    secondary=st.sampled_from((None, "max_drawdown_pct", "profit_factor")),
    min_trades=st.integers(0, 3),
    distinct=st.booleans(),
)
DISTINCT = RANKINGS.map(lambda wanted: replace(wanted, distinct=True))


def a_list(wanted: Ranking, capacity: int | None = None) -> TopList:
    return TopList(
        capacity or wanted.capacity,
        wanted.primary,
        wanted.secondary,
        wanted.min_trades,
        distinct=wanted.distinct,
    )


def offer(top: TopList, variants: dict[int, Figures], indexes: Sequence[int]) -> None:
    columns = offered(indexes, variants)
    top.offer(
        np.array(indexes, np.int64),
        ruined=np.array(columns["ruined"], np.bool_),
        trades=np.array(columns["trades"], np.int64),
        primary=np.array(columns["primary"], np.float64),
        secondary=np.array(columns["secondary"], np.float64),
        total_return=np.array(columns["total_return"], np.float64),
        signature=np.array(columns["signature"], np.uint64).reshape(-1, 2),
        weights=np.array(columns["weights"], np.int64),
    )


def held(top: TopList) -> list[tuple[int, int]]:
    return list(zip(top.indexes().tolist(), top.twins().tolist(), strict=True))


def whole(variants: Sequence[Figures]) -> dict[int, Figures]:
    return {7 * number: figures for number, figures in enumerate(variants)}


def divided(
    variants: dict[int, Figures], wanted: Ranking, longer: int, lists: int, random: Any
) -> TopList:
    """Offer variants in any order and any portions to several lists, and merge these in any order.

    Partial lists may have more places than the one that they are merged into.
    """
    parts = [a_list(wanted)]
    parts += [a_list(wanted, wanted.capacity + random.randint(0, longer)) for _ in range(lists)]
    indexes = list(variants)
    random.shuffle(indexes)
    while indexes:
        size = random.randint(1, 9)
        chosen = random.choice(parts)
        offer(chosen, variants, indexes[:size])
        if random.random() < 0.2:
            chosen.indexes()  # looking at a list changes nothing
        del indexes[:size]
    first, *others = parts
    # A longer list may take in a shorter one only while that has dropped nothing.
    others.sort(key=lambda part: -part.capacity)
    while len(others) > 1 and random.random() < 0.5:
        last = others.pop()
        last.merge(others.pop(random.randrange(len(others))))
        others.append(last)
    random.shuffle(others)
    for part in others:
        first.merge(part)
    return first


@settings(max_examples=250, deadline=None)
@given(
    VARIANTS | TIED,
    RANKINGS,
    st.integers(0, 6),
    st.integers(0, 5),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_any_division_into_offers_and_lists_ranks_and_counts_the_same(
    figures: list[Figures], wanted: Ranking, room: int, longer: int, lists: int, random: Any
) -> None:
    variants = whole(figures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "MIN_ROOM", room)  # so that the worst are dropped again and again
        merged = divided(variants, wanted, longer, lists, random)
    assert held(merged) == best(variants, wanted)


def test_2000_divisions_of_outcomes_that_nearly_all_tie_count_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranking, "MIN_ROOM", 3)
    wanted = Ranking(5, "sqn", None, 0, distinct=True)
    random = Random(4)
    variants = {
        index: Figures(False, 3, random.choice((1.0, 2.0)), NAN, 0.5, (0, random.randrange(6)))
        for index in range(60)
    }
    expected = best(variants, wanted)
    for _ in range(2_000):
        assert held(divided(variants, wanted, 2, 3, random)) == expected


@settings(max_examples=300, deadline=None)
@given(VARIANTS | TIED, DISTINCT)
def test_the_cut_is_the_last_place_of_the_distinct_outcomes_and_equals_pass(
    figures: list[Figures], wanted: Ranking
) -> None:
    variants = whole(figures)
    top = a_list(wanted)
    offer(top, variants, list(variants))
    places = best(variants, wanted)
    if len(places) < wanted.capacity:
        assert top.cut() == (ranking.WORST_TIER, INF)
        return
    ruined, few, undefined, key, *_ = outcome(variants[places[-1][0]], wanted)
    assert top.cut() == (4 * ruined + 2 * few + undefined, key)


def test_figures_are_no_identity_and_neither_is_half_a_signature() -> None:
    same = Figures(False, 3, 1.0, NAN, 1.0, (1, 1))
    variants = whole([same, replace(same, signature=(2, 1)), replace(same, signature=(1, 2)), same])
    top = TopList(4, "sqn")
    offer(top, variants, list(variants))
    assert held(top) == [(0, 2), (14, 1), (7, 1)]


def test_the_lowest_index_stands_for_its_twins_whichever_came_first() -> None:
    same = Figures(False, 3, 1.0, NAN, 1.0, (1, 1))
    top = TopList(1, "sqn")
    for index in (9, 4, 6):
        offer(top, {index: same}, [index])
    assert held(top) == [(4, 3)]


def test_zero_and_minus_zero_are_one_outcome() -> None:
    zero = Figures(False, 3, 0.0, 0.0, 0.0, (1, 1))
    variants = whole([zero, replace(zero, primary=-0.0, secondary=-0.0, total_return=-0.0)])
    top = TopList(2, "sqn", "profit_factor")
    offer(top, variants, list(variants))
    assert held(top) == [(0, 2)]


def test_every_variant_is_an_outcome_of_its_own_where_that_is_asked() -> None:
    same = Figures(False, 3, 1.0, NAN, 1.0, (1, 1), weight=5)
    top = TopList(2, "sqn", distinct=False)
    offer(top, whole([same] * 3), [14, 0, 7])
    assert held(top) == [(0, 1), (7, 1)]


def test_the_ruined_rank_behind_everything_else() -> None:
    ruined = Figures(True, 9, 50.0, NAN, 50.0, (1, 1))
    idle = Figures(False, 0, NAN, NAN, 0.0, (2, 2))
    top = TopList(2, "sqn", min_trades=5)
    offer(top, whole([ruined, idle]), [0, 7])
    assert top.indexes().tolist() == [7, 0]


def test_total_return_and_the_number_of_trades_decide_before_the_signature() -> None:
    plain = Figures(False, 3, 1.0, NAN, 1.0, (0, 0))
    more_trades = replace(plain, trades=4, signature=(9, 9))
    more_money = replace(plain, total_return=2.0, signature=(9, 9))
    top = TopList(3, "sqn")
    offer(top, whole([plain, more_trades, more_money]), [0, 7, 14])
    assert top.indexes().tolist() == [14, 7, 0]


def test_infinity_leads_and_the_undefined_trail() -> None:
    values = (NAN, 2.0, INF, -1.0)
    variants = whole([Figures(False, 1, v, v, 0.0, (0, n)) for n, v in enumerate(values)])
    top = TopList(4, "profit_factor", "profit_factor")
    offer(top, variants, list(variants))
    assert top.indexes().tolist() == [14, 7, 21, 0]
    for scores in top.scores():
        assert np.array_equal(scores, [INF, 2.0, -1.0, NAN], equal_nan=True)


def test_a_smaller_drawdown_ranks_first() -> None:
    variants = whole([Figures(False, 1, v, NAN, 0.0, (0, 0)) for v in (5.0, 1.0, 3.0)])
    top = TopList(2, "max_drawdown_pct")
    offer(top, variants, list(variants))
    assert top.indexes().tolist() == [7, 14]
    assert top.scores()[0].tolist() == [1.0, 3.0]


def test_too_few_trades_rank_behind_an_undefined_metric() -> None:
    figures = ((4, 7.0), (9, NAN), (9, -1.0))
    variants = whole([Figures(False, n, v, NAN, 0.0, (0, 0)) for n, v in figures])
    top = TopList(3, "sqn", None, 5)
    offer(top, variants, list(variants))
    assert top.indexes().tolist() == [14, 7, 0]


@pytest.mark.parametrize("outcomes", [5, 10, 200_000])
def test_memory_does_not_grow_with_the_number_of_offers(outcomes: int) -> None:
    top = TopList(10, "sqn")
    size = top._entries.nbytes + top._slots.nbytes
    for start in range(0, 200_000, 20_000):
        index = np.arange(start, start + 20_000)
        ones = np.ones(20_000)
        top.offer(
            index,
            ruined=np.zeros(20_000, np.bool_),
            trades=np.ones(20_000, np.int64),
            primary=ones,
            secondary=ones,
            total_return=ones,
            signature=np.stack((index % outcomes, index % outcomes), axis=1).astype(np.uint64),
            weights=np.ones(20_000, np.int64),
        )
    assert top._entries.nbytes + top._slots.nbytes == size
    kept = min(outcomes, 10)
    assert held(top) == [(n, 200_000 // outcomes) for n in range(kept)]


def test_lists_of_different_order_do_not_merge() -> None:
    for other in (TopList(1, "calmar"), TopList(1, "sqn", distinct=False)):
        with pytest.raises(ValueError, match="different order"):
            TopList(1, "sqn").merge(other)


def test_a_longer_list_takes_no_shorter_one_that_may_have_dropped_what_it_needs() -> None:
    shorter, longer = TopList(1, "sqn"), TopList(2, "sqn")
    longer.merge(shorter)  # it is empty
    offer(shorter, {0: Figures(False, 1, 1.0, NAN, 1.0, (1, 1))}, [0])
    with pytest.raises(ValueError, match="a full list of 1 places"):
        longer.merge(shorter)
