"""Results of parts of a stage, as bytes: they merge to the result of the whole, bit for bit."""

import io
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outcomes import Outcomes
from engine.partial import Partial
from engine.ranking import TopList
from engine.sweep import Sweep
from engine.work import Part
from tests.engine.boxes import boxes
from tests.engine.small_sweeps import RISK, THREE, candles, request, ruinous_candles
from tests.engine.test_sweep import last

WAYS = {
    "gains": {"preselect": 33},
    "infinite factors": {"primary": "profit_factor", "secondary": "sqn", "preselect": 90},
    "no twins": {"preselect": 50, "distinct": False},
    "few trades": {"primary": "max_drawdown_pct", "preselect": 40, "min_trades": 12},
}


@cache
def sweep(way: str) -> Sweep:
    bars = ruinous_candles() if way == "infinite factors" else candles()
    return Sweep(request(*THREE, risk=RISK, top_k=30, **WAYS[way]), bars)


def stage_a(way: str, part: Part | None = None) -> Partial:
    run = sweep(way)
    top = last(run.stage_a(part)).top
    return Partial(top, run.outcomes)


def a_part(way: str) -> Partial:
    return stage_a(way, boxes(sweep(way), [17])[1])


def everything(partial: Partial) -> tuple[bytes, dict[str, Any] | None]:
    outcomes = None if partial.outcomes is None else partial.outcomes.document()
    return partial.top.ranked().tobytes(), outcomes


@settings(max_examples=8, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    cuts=st.lists(st.integers(0, 44), max_size=2),
    order=st.randoms(use_true_random=False),
)
def test_parts_of_stage_a_in_any_order_merge_to_the_whole(
    way: str, cuts: list[int], order: Any
) -> None:
    parts = [stage_a(way, part).to_bytes() for part in boxes(sweep(way), cuts, cuts)]
    order.shuffle(parts)
    merged, *others = map(Partial.from_bytes, parts)
    for other in others:
        merged.merge(other)
    assert everything(merged) == everything(stage_a(way))


@settings(max_examples=6, deadline=None)
@given(
    way=st.sampled_from(sorted(WAYS)),
    cuts=st.lists(st.integers(0, 33), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_parts_of_stage_b_in_any_order_merge_to_the_whole(
    way: str, cuts: list[int], order: Any
) -> None:
    run, shortlist = sweep(way), stage_a(way).top
    bases, twins = shortlist.indexes(), shortlist.twins()
    parts = [
        Partial(last(run.stage_b(bases, range(start, stop), twins=twins)).top).to_bytes()
        for start, stop in pairwise([0, *sorted(cuts), len(bases)])
    ]
    order.shuffle(parts)
    merged = Partial(last(run.stage_b(bases, range(0), twins=twins)).top)
    for part in parts:
        merged.merge(Partial.from_bytes(part))
    assert everything(merged) == everything(Partial(last(run.stage_b(bases, twins=twins)).top))


def test_a_list_goes_on_from_its_bytes_as_if_it_had_never_been_away() -> None:
    here, there = a_part("gains"), a_part("gains")
    there = Partial.from_bytes(there.to_bytes())
    assert there.top.cut() == here.top.cut()
    assert everything(there) == everything(here)
    assert there.to_bytes() == here.to_bytes()


def test_bytes_are_few_where_the_list_is_long() -> None:
    top = TopList(20_000, "total_return_pct")
    count = 20_000
    numbers = np.arange(count)
    top.offer(
        numbers,
        ruined=np.zeros(count, np.bool_),
        trades=numbers % 40,
        primary=np.random.default_rng(1).normal(size=count),
        secondary=np.full(count, np.nan),
        total_return=np.random.default_rng(1).normal(size=count),
        signature=np.random.default_rng(2).integers(0, 2**63, (count, 2)).astype(np.uint64),
        weights=np.ones(count, np.int64),
    )
    assert len(Partial(top).to_bytes()) < 0.55 * top.ranked().nbytes


def damaged(whole: bytes) -> dict[str, bytes]:
    middle = len(whole) // 2
    turned = bytes([whole[middle] ^ 0xFF])
    pickled = io.BytesIO()
    np.savez_compressed(pickled, about=np.array([object()]), entries=np.zeros(3))
    other = io.BytesIO()
    np.savez_compressed(other, about=np.array("{}"), entries=np.zeros(3))
    return {
        "nothing": b"",
        "its beginning": whole[:middle],
        "a changed byte": whole[:middle] + turned + whole[middle + 1 :],
        "a text": b"no archive at all",
        "an object": pickled.getvalue(),
        "other arrays": other.getvalue(),
    }


@pytest.mark.parametrize("damage", sorted(damaged(b"0123")))
def test_anything_but_a_result_is_refused(damage: str) -> None:
    data = damaged(a_part("gains").to_bytes())[damage]
    with pytest.raises(ValueError, match=f"{len(data)} bytes are no result of a part"):
        Partial.from_bytes(data)


def shorter(top: TopList, capacity: int) -> TopList:
    short = TopList(capacity, top.primary)
    short.take(top.ranked())
    return short


def test_a_part_of_another_search_or_stage_is_refused_and_changes_nothing() -> None:
    here = a_part("gains")
    before = everything(here)
    others = {
        "different order": Partial(TopList(33, "total_return_pct", "sqn"), here.outcomes),
        "needs": Partial(shorter(here.top, 20), here.outcomes),
        "different stages": Partial(here.top),
        "different searches": Partial(here.top, Outcomes("total_return_pct", 1.5)),
    }
    for reason, other in others.items():
        with pytest.raises(ValueError, match=reason):
            here.merge(other)
    assert everything(here) == before
