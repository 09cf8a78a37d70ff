"""Any variant of any grid, found without listing, is the one that listing has there."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.blocks import Block, UnlistedBlock
from engine.coverage import Coverage, Presence
from engine.grid import Grid, Variants, estimate
from engine.indicators.declaration import SOURCES, Indicator, Output, Param
from engine.indicators.registry import RULES, catalogue
from engine.one_variant import base_variant, template_of, variant_by_index
from engine.request import Limits, Request, complete, parse
from engine.request.model import BlockRequest
from engine.request.warnings import of_coverage, of_levels
from tests.engine.requests import DEFAULTS, document, explicit, ranged, with_value

ROOM = 6
OUTPUTS = [(indicator, output) for indicator in catalogue() for output in indicator.outputs]
IDS = [f"{indicator.id}-{output.name}" for indicator, output in OUTPUTS]
Values = tuple[float | str, ...]


def distinct(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Values]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(tuple)


def axis(param: Param) -> st.SearchStrategy[Values]:
    """Draw the values of an axis, in any order; the ranges of all overlap, so that rules bite."""
    if param.kind == "choice":
        return distinct(st.sampled_from(param.choices))
    low = 1 if param.minimum is None else param.minimum
    high = min(low + ROOM, low + ROOM if param.maximum is None else param.maximum)
    if param.kind == "int":
        return distinct(st.integers(int(low), int(high)))
    return distinct(st.integers(0, 40).map(lambda k: low + (high - low) * k / 40))


@st.composite
def block_of(
    draw: st.DrawFn, indicator: Indicator, output: Output, name: str = "a"
) -> BlockRequest:
    params = [param for param in indicator.params if param.name in output.params]
    return BlockRequest(
        name=name,
        indicator=indicator,
        output=output,
        sources=draw(distinct(st.sampled_from(SOURCES))) if indicator.has_source else (),
        params={param.name: draw(axis(param)) for param in params},
        signals={param.name: draw(axis(param)) for param in RULES[output.rule].params},
    )


@st.composite
def several(draw: st.DrawFn) -> list[BlockRequest]:
    drawn = draw(st.lists(st.sampled_from(OUTPUTS), min_size=1, max_size=3))
    return [draw(block_of(*each, name=f"b{9 - at}")) for at, each in enumerate(drawn)]


def same(block: BlockRequest) -> None:
    listed, unlisted = Block.of(block), UnlistedBlock.of(block)
    assert unlisted.total == listed.total
    for number in range(listed.total):
        found, wanted = unlisted.parameters(number), listed.parameters(number)
        assert repr(found) == repr(wanted)  # 3 is not 3.0: keys are hashes of the text
    for outside in (-1, listed.total, 10**30):
        messages = []
        for each in (listed, unlisted):
            with pytest.raises(IndexError) as error:
                each.parameters(outside)
            messages.append(str(error.value))
        assert messages[0] == messages[1]


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_every_variant_of_a_block_is_that_of_the_list(
    indicator: Indicator, output: Output, data: st.DataObject
) -> None:
    same(data.draw(block_of(indicator, output)))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_variant_of_parameters_in_a_chain_is_that_of_the_list(data: st.DataObject) -> None:
    """No indicator of ours has three parameters that bind each other; a plugin may."""
    names = ("first", "second", "third", "free")
    pairs = data.draw(st.lists(st.sampled_from([(0, 1), (1, 2), (0, 2), (2, 0)]), max_size=3))
    made = replace(
        catalogue()[0],
        params=tuple(Param(name, "int", 1, 9) for name in names),
        outputs=(replace(catalogue()[0].outputs[0], params=names, lookback=None),),
        ordered=tuple((names[low], names[high]) for low, high in pairs[:2]),
        not_above=tuple((names[low], names[high]) for low, high in pairs[2:]),
    )
    same(data.draw(block_of(made, made.outputs[0])))


@given(blocks=several(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_variant_of_a_grid_is_that_of_the_list(
    blocks: list[BlockRequest], data: st.DataObject
) -> None:
    request = replace(parse(complete(document(), DEFAULTS, Limits(10**6, 2**50))), blocks=blocks)
    listed, unlisted = Grid.of(request), Variants.of(request)
    assert unlisted.base_total == listed.base_total
    total = listed.base_total * listed.risk_total
    for index in _some_of(total, data):
        assert unlisted.variant(index) == listed.variant(index)
        assert unlisted.variant_key(index) == listed.variant_key(index)
        assert unlisted.split(index) == listed.split(index)
    for base in _some_of(listed.base_total, data):
        assert unlisted.base_variant(base) == listed.base_variant(base)
        assert unlisted.base_index(unlisted.block_variants(base)) == base


def _some_of(total: int, data: st.DataObject) -> list[int]:
    """Return all numbers, or the ends and some between."""
    if total <= 60:
        return list(range(total))
    drawn = data.draw(st.lists(st.integers(0, total - 1), min_size=20, max_size=20))
    return [0, total - 1, *drawn]


# --------------------------------------------------------------------------------- what it costs


CROSSINGS = {
    "indicator_id": "ma.cross",
    "params": {"ma": ["sma"], "fast": ranged(1, 5000, 1), "slow": ranged(5001, 10_000, 1)},
}
"""25 million valid pairs."""
THRESHOLDS = {
    "indicator_id": "momentum.rsi",
    "params": {"window": ranged(2, 21, 1)},
    "signals": {"long_threshold": ranged(0, 100, 0.1), "short_threshold": ranged(0, 100, 0.1)},
}
"""20 million combinations of axes that nothing binds."""
LARGE = Limits(10**8, 2**50, max_stage_b_variants=10**9)
HISTORY = Presence(99, 0, 99, 0, None, 0, 99, 1.0, 2.0)


def large(block: dict[str, Any]) -> dict[str, Any]:
    wanted = with_value("template.indicator_grids", [block])
    wanted["template"]["risk_grid"] = {"sl": explicit(None, 2.5)}
    return complete(wanted, DEFAULTS, LARGE)


@contextmanager
def at_most(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def _coverage(request: Request) -> Any:
    found = replace(HISTORY, first_ms=request.start_ms, last_ms=request.start_ms)
    coverage = Coverage.of(request, replace(found, earliest_ms=0, latest_ms=request.start_ms))
    assert coverage is not None
    return of_coverage(request, coverage), of_levels(request, found)


CALLS: dict[str, Callable[[dict[str, Any], Request], Any]] = {
    "completing": lambda effective, _: complete(effective, DEFAULTS, LARGE),
    "reading": lambda effective, _: parse(effective),
    "estimate": lambda _, request: estimate(request),
    "coverage and warnings": lambda _, request: _coverage(request),
    "base variant": lambda effective, _: base_variant(effective, 19_999_999),
    "variant": lambda effective, _: variant_by_index(effective, 39_999_999),
    "template": lambda effective, request: template_of(effective, Variants.of(request).variant(5)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("block", [CROSSINGS, THRESHOLDS], ids=["pairs", "thresholds"])
def test_no_call_takes_memory_for_the_variants_of_a_large_request(
    block: dict[str, Any], call: str
) -> None:
    """A list of 20 million variants would take 160 MB at least."""
    effective = large(block)
    request = parse(effective)
    assert estimate(request).stage_a_variants >= 20_000_000
    with at_most(2**22):
        CALLS[call](effective, request)


@pytest.mark.parametrize(
    ("index", "fast", "slow"),
    [(0, 1, 5001), (4999, 1, 10_000), (5000, 2, 5001), (24_999_999, 5000, 10_000)],
)
def test_a_variant_of_25_million_is_the_one_of_its_number(index: int, fast: int, slow: int) -> None:
    found = base_variant(large(CROSSINGS), index)
    assert found.payload["blocks"][0]["params"] == {"ma": "sma", "fast": fast, "slow": slow}


def test_an_index_beyond_25_million_is_refused_with_the_range() -> None:
    with pytest.raises(IndexError, match=r"base variants 0\.\.24999999, not 25000000"):
        base_variant(large(CROSSINGS), 25_000_000)


def test_a_variant_among_valid_pairs_only_is_the_one_of_its_number() -> None:
    """Row f of n values has n - f pairs: pair (f, s) is number f(2n - f - 1)/2 + s - f - 1."""
    both = {"ma": ["sma"], "fast": ranged(1, 5000, 1), "slow": ranged(1, 5000, 1)}
    parent = large({"indicator_id": "ma.cross", "params": both})
    for f, s in ((0, 1), (17, 4000), (3000, 3001), (4998, 4999)):
        found = base_variant(parent, f * (2 * 5000 - f - 1) // 2 + s - f - 1)
        assert found.payload["blocks"][0]["params"] == {"ma": "sma", "fast": f + 1, "slow": s + 1}
