"""Stages in parts that travel as JSON: together they are the stage, and nothing else is a part."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import rate
from engine.divided import Divided, StageA, StageB
from engine.metric_names import METRICS
from engine.partial import Partial
from engine.parts import MOST_SHARDS, check_partition
from engine.ranking import TopList
from engine.rate import Cost, Rate
from engine.sweep import Batch, Sweep
from tests.engine.small_sweeps import ONE, RISK, THREE, candles, request
from tests.engine.test_sweep import last


@cache
def sweep(*, distinct: bool = True) -> Sweep:
    asked = request(*THREE, risk=RISK, preselect=40, top_k=30, distinct=distinct)
    return Sweep(asked, candles())


@cache
def shortlist(*, distinct: bool) -> TopList:
    return last(sweep(distinct=distinct).stage_a()).top


def stage(name: str, *, distinct: bool = True) -> Divided[Batch, Partial]:
    """A stage as one process has it, that has computed nothing of it."""
    asked = sweep(distinct=distinct)
    if name == "a":
        return StageA(asked)
    kept = shortlist(distinct=distinct)
    return StageB(asked, kept.indexes(), kept.twins())


def everything(found: Partial) -> tuple[bytes, Any]:
    outcomes = None if found.outcomes is None else found.outcomes.document()
    return found.top.ranked().tobytes(), outcomes


def computed(work: Divided[Batch, Partial], part: dict[str, Any] | None) -> Partial:
    return work.found(last(work.run(part)))


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(["a", "b"]),
    distinct=st.booleans(),
    shard_seconds=st.floats(0.5, 6.0),
    workers=st.integers(1, 3),
    chance=st.randoms(use_true_random=False),
)
def test_parts_that_travelled_merge_to_the_stage(
    name: str, distinct: bool, shard_seconds: float, workers: int, chance: Any
) -> None:
    """Whoever computes which of them, in any order."""
    processes = [stage(name, distinct=distinct) for _ in range(workers)]
    pieces = processes[0].pieces(10.0, shard_seconds, workers)
    travelled = json.loads(json.dumps([part for part, _ in pieces]))
    chance.shuffle(travelled)
    results = [computed(chance.choice(processes), part).to_bytes() for part in travelled]
    whole, *others = map(processes[0].read, results)
    for other in others:
        whole.merge(other)
    assert everything(whole) == everything(computed(stage(name, distinct=distinct), None))


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_part_that_is_computed_again_leaves_no_less_room_for_others(
    name: str, distinct: bool
) -> None:
    work = stage(name, distinct=distinct)
    whole, *others = [
        [computed(work, part) for _ in range(2)][-1] for part, _ in work.pieces(10.0, 1.0, 1)
    ]
    for other in others:
        whole.merge(other)
    assert everything(whole) == everything(computed(stage(name, distinct=distinct), None))


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_has_no_place_beside_the_parts_before_is_not_sent(name: str) -> None:
    work = stage(name)
    parts = [part for part, _ in work.pieces(10.0, 1.0, 1)]
    sent = [len(computed(work, part).top) for part in parts]
    alone = [len(computed(stage(name), part).top) for part in parts]
    assert sent[0] == alone[0]
    assert sum(sent) < sum(alone)


@pytest.mark.parametrize("name", ["a", "b"])
def test_units_are_variants_and_add_up_to_the_stage(name: str) -> None:
    work = stage(name)
    pieces = work.pieces(60.0, 5.0, 2)
    assert len(pieces) > 8
    for part, units in (pieces[0], pieces[-1]):
        assert last(work.run(part)).total == units
    assert sum(units for _, units in pieces) == last(work.run(None)).total


def test_a_stage_is_cut_into_so_many_shards_at_most() -> None:
    work = StageB(sweep(), *[shortlist(distinct=True).indexes().repeat(1000)] * 2)
    pieces = work.pieces(1e9, 1e-3, 1)
    assert len(pieces) <= MOST_SHARDS + 4


def test_a_stage_of_one_block_has_parts_as_well() -> None:
    work = StageA(Sweep(request(*ONE), candles()))
    pieces = work.pieces(100.0, 1.0, 1)
    assert [part["second"] for part, _ in pieces] == [[0, 1]] * len(pieces)
    assert sum(units for _, units in pieces) == 4


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a", {}),
        ("a", {"streamed": [0, 1]}),
        ("a", {"streamed": [0, 1], "second": [0, 1], "third": [0, 1]}),
        ("a", {"streamed": [0, 1], "second": [0, 5]}),
        ("a", {"streamed": [-1, 1], "second": [0, 1]}),
        ("a", {"streamed": [1, 1], "second": [0, 1]}),
        ("a", {"streamed": [0, 1, 2], "second": [0, 1]}),
        ("a", {"streamed": [0.0, 1.0], "second": [0, 1]}),
        ("a", {"streamed": 7, "second": [0, 1]}),
        ("a", {"positions": [0, 1]}),
        ("b", {"positions": [0, 41]}),
        ("b", {"positions": [3, 2]}),
        ("b", {"positions": ["0", "1"]}),
    ],
    ids=str,
)
def test_what_is_no_part_of_a_stage_is_refused(name: str, part: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="part"):
        stage(name).run(part)


WHOLE = (range(4), range(3))
HALVES = [(range(2), range(3)), (range(2, 4), range(3))]


@pytest.mark.parametrize(
    ("boxes", "text"),
    [
        (HALVES[:1], "6 places"),
        ([*HALVES, HALVES[0]], "shares"),
        ([HALVES[0], (range(1, 4), range(3))], "shares"),
        ([HALVES[0], (range(2, 5), range(3))], "beyond"),
        ([(range(-1, 2), range(3)), HALVES[1]], "beyond"),
        # As many places as the whole, two of them twice.
        ([(range(4), range(2)), (range(2), range(1, 3))], "shares"),
    ],
    ids=str,
)
def test_parts_that_are_no_partition_are_refused(
    boxes: list[tuple[range, range]], text: str
) -> None:
    check_partition(HALVES, WHOLE)
    with pytest.raises(ValueError, match=text):
        check_partition(boxes, WHOLE)


def test_both_stages_take_as_long_as_the_estimate_says_of_the_search() -> None:
    def costs(nanoseconds: float) -> dict[str, Cost]:
        return dict.fromkeys(METRICS, Cost(nanoseconds, 0.0))  # whatever the number of bars

    known = Rate(costs(3e6), costs(5e6), costs(7e6), row=0.0, signal=0.0)
    asked = sweep().request
    assert len(shortlist(distinct=True)) == asked.preselect
    stages = [stage("a"), stage("b")]
    both = [work.seconds(known) for work in stages]
    assert both == pytest.approx([504 * 3e-3, 40 * (5e-3 + 24 * 7e-3)])
    assert sum(both) == pytest.approx(rate.seconds(asked, known))
