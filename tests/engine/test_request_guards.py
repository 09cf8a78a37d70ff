"""Requests that are well-formed and only too large: refused by arithmetic, with the numbers."""

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.grid import estimate
from engine.indicators.declaration import Relation
from engine.request import UNGUARDED, Limits, RequestError, TooLarge, complete, parse
from engine.request.axes import axis_values
from engine.request.joint import joint_count
from engine.request.model import RISK_AXES
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    RSI,
    SMA,
    WINDOW,
    document,
    explicit,
    ranged,
    refused,
    swapped,
    with_value,
)

GUARDED = {
    "axis of a billion": (
        with_value(f"{RSI}.signals.long_threshold", ranged(0, 1, 1e-9)),
        f"{RSI}.signals.long_threshold",
        ["1000000001", "600000"],
    ),
    "total of 10^15": (
        with_value(
            "template.indicator_grids",
            [
                {"indicator_id": "ma.sma", "params": {"window": ranged(1, 100_000, 1)}},
                {
                    "indicator_id": "momentum.rsi",
                    "params": {"window": ranged(2, 100_001, 1)},
                    "signals": {
                        "long_threshold": ranged(1, 100_000, 1),
                        "short_threshold": explicit(1),
                    },
                },
            ],
        ),
        "template.indicator_grids",
        ["1000000000000000", "600000"],
    ),
    "more pairs than the guard": (
        swapped(
            0,
            indicator_id="ma.cross",
            params={"fast": ranged(1, 1000, 1), "slow": ranged(1, 1000, 1)},
        ),
        f"{SMA}.params",
        ["1000000", "fast < slow", "600000"],
    ),
    "stage B": (
        {
            **with_value("template.risk_grid.sl", ranged(0.1, 100, 0.1)),
            "preselect": 1000,
        },
        "template.risk_grid",
        ["1000 preselected x 1000 risk = 1000000", "600000", "max_stage_b_variants"],
    ),
    "axis of 10^12": (
        swapped(
            0,
            indicator_id="volatility.bbands",
            output="upper",
            params={"window": 5, "mult": ranged(0.01, 1000, 1e-9)},
        ),
        f"{SMA}.params.mult",
        ["999990000001", "600000"],
    ),
    "risk axis of 10^12": (
        with_value("template.risk_grid.sl", ranged(1, 1_000_001, 1e-6)),
        "template.risk_grid.sl",
        ["1000000000001", "600000"],
    ),
    "stage B of 10^12 levels": (
        with_value("template.risk_grid.sl", ranged(1, 1_000_001, 1e-6)),
        "template.risk_grid",
        ["8820 preselected x 1000000000001 risk = 8820000000008820 "],
    ),
    "pairs of 10^12": (
        swapped(
            0,
            indicator_id="ma.cross",
            params={"fast": ranged(2, 1_000_000, 1), "slow": ranged(2, 1_000_000, 1)},
        ),
        f"{SMA}.params",
        ["999998000001 pairs", "600000"],
    ),
    "risk axis of a billion": (
        with_value("template.risk_grid.sl", ranged(1, 10**9, 1)),
        "template.risk_grid.sl",
        ["1000000000", "600000", "max_stage_b_variants"],
    ),
}


@pytest.mark.parametrize(("wrong", "path", "parts"), GUARDED.values(), ids=GUARDED.keys())
def test_a_request_that_is_only_too_large_is_guarded_with_its_numbers(
    wrong: Any, path: str, parts: list[str]
) -> None:
    error = refused(wrong)
    messages = [found.message for found in error.errors if found.path == path]
    assert messages, f"no error at {path}: {error}"
    assert all(part in messages[0] for part in parts), messages[0]
    assert error.code == "guard_exceeded"


def test_too_many_bytes_are_guarded_with_both_numbers() -> None:
    error = refused(document(), Limits(600_000, 1_000_000))
    (only,) = error.errors
    assert "1000000" in only.message
    assert "max_compute_bytes_total" in only.message
    assert error.code == "guard_exceeded"


def test_indexes_that_do_not_fit_63_bits_are_refused_even_without_a_guard() -> None:
    wrong = with_value(f"{RSI}.signals.long_threshold", ranged(0, 0.999999, 1e-7))
    wrong["template"]["indicator_grids"][1] |= {"params": {"window": ranged(2, 1_000_000, 1)}}
    wrong["template"]["indicator_grids"][0] |= {"params": {"window": ranged(1, 1_000_000, 1)}}
    error = refused(wrong, Limits(10**30, 10**30))
    assert "2^63" in str(error)
    assert error.code == "guard_exceeded"


def test_what_no_memory_could_hold_is_refused_by_arithmetic() -> None:
    wrong = with_value(f"{RSI}.signals.long_threshold", ranged(0, 1, 1e-15))
    wrong["template"]["risk_grid"] = {"sl": ranged(1e-15, 1, 1e-15)}
    assert "1000000000000001" in str(refused(wrong))


def test_a_mistake_outweighs_the_guard() -> None:
    wrong = with_value(WINDOW, ranged(1, 10**6, 1))
    wrong["top_k"] = 0
    assert refused(wrong).code == "invalid_request"


def test_a_forged_effective_request_meets_the_guard() -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    with pytest.raises(RequestError) as caught:
        parse(effective, Limits(max_variants_per_compute=10, max_compute_bytes_total=10**9))
    assert caught.value.code == "guard_exceeded"


def pairs(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    block = {"indicator_id": "ma.cross", "params": {"ma": "sma", "fast": low, "slow": high}}
    return with_value("template.indicator_grids", [block])


def test_each_stage_has_its_own_limit() -> None:
    wanted = with_value("template.risk_grid.tp", ranged(1, 10, 1))
    sizes = estimate(parse(complete(wanted, DEFAULTS, LIMITS)))
    enough = Limits(sizes.stage_a_variants, 2**40, sizes.stage_b_variants)
    assert complete(wanted, DEFAULTS, enough)
    few_a = refused(wanted, replace(enough, max_variants_per_compute=sizes.stage_a_variants - 1))
    few_b = refused(wanted, replace(enough, max_stage_b_variants=sizes.stage_b_variants - 1))
    assert "(max_variants_per_compute)" in str(few_a)
    assert "(max_stage_b_variants)" in str(few_b)
    assert (few_a.code, few_b.code) == ("guard_exceeded", "guard_exceeded")


def test_both_stages_are_named_when_both_are_too_large() -> None:
    wanted = with_value("template.risk_grid.tp", ranged(1, 10, 1))
    paths = [error.path for error in refused(wanted, Limits(1000, 2**40, 1000)).errors]
    assert paths == ["template.indicator_grids", "template.risk_grid"]


PLENTY = Limits(10**9, 2**60, 10**9, max_axis_values=10**9)


def test_a_guard_of_a_billion_accepts_more_than_ten_million_variants() -> None:
    grids = [
        {"indicator_id": "ma.sma", "name": name, "params": {"window": ranged(1, 4000, 1)}}
        for name in ("one", "two")
    ]
    wanted = with_value("template.indicator_grids", grids)
    wanted["template"]["risk_grid"] = {"tp": ranged(1, 1000, 1)}
    request = parse(complete(wanted, DEFAULTS, PLENTY), PLENTY)
    sizes = estimate(request)
    assert (sizes.stage_a_variants, sizes.stage_b_variants) == (16_000_000, 20_000_000)
    assert parse(request.document) == request


def test_an_axis_of_more_than_ten_million_values_is_what_the_configured_guard_says() -> None:
    rsi = {"window": 14}, {"long_threshold": ranged(0, 12_000_000, 1), "short_threshold": 70}
    block = {"indicator_id": "momentum.rsi", "params": rsi[0], "signals": rsi[1]}
    wanted = with_value("template.indicator_grids", [block])
    effective = complete(wanted, DEFAULTS, PLENTY)
    with pytest.raises(RequestError, match="12000001 values, more than the limit of 10000000 "):
        parse(effective, replace(PLENTY, max_variants_per_compute=10**7))


def test_what_a_guard_accepted_is_read_without_one() -> None:
    wanted = pairs(ranged(1, 4000, 1), ranged(1, 4000, 1))
    effective = complete(wanted, DEFAULTS, PLENTY)
    assert [len(axis) for axis in parse(effective).blocks[0].params.values()] == [1, 4000, 4000]


def test_pairs_under_a_rule_are_counted_without_being_listed() -> None:
    """So 9 * 10^8 raw pairs are counted at once, in no more memory than the shorter axis."""
    tracemalloc.start()
    complete(pairs(ranged(1, 30_000, 1), ranged(1, 30_000, 1)), DEFAULTS, PLENTY)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**24


@given(
    fast=st.lists(st.integers(1, 60), min_size=1, max_size=12, unique=True),
    slow=st.tuples(st.integers(1, 60), st.integers(0, 60), st.integers(1, 7)),
    swap=st.booleans(),
    strict=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_count_of_pairs_is_that_of_the_list(
    fast: list[int], slow: tuple[int, int, int], swap: bool, strict: bool
) -> None:
    start, length, step = slow
    axes = {"low": explicit(*fast), "high": ranged(start, start + length, step)}
    if swap:
        axes = {"low": axes["high"], "high": axes["low"]}
    rule = Relation("low", "high", strict)
    lows, highs = (axis_values(axes[name]) for name in ("low", "high"))
    listed = [
        (low, high) for low in lows for high in highs if low < high or (low == high and not strict)
    ]
    assert joint_count(("low", "high"), axes, [rule]) == len(listed)


def test_a_request_of_10_to_the_15_is_refused_without_being_listed() -> None:
    wanted = with_value("template.risk_grid", {name: ranged(1, 10**5, 1) for name in RISK_AXES})
    wanted["template"]["indicator_grids"] = [
        {"indicator_id": "ma.cross", "params": {"fast": ranged(1, 10**6, 1)}},
        {"indicator_id": "momentum.macd", "params": {"slow": ranged(2, 10**6, 1)}},
    ]
    tracemalloc.start()
    error = refused(wanted, PLENTY)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == "guard_exceeded"
    assert "1000000000000000 risk" in str(error)
    assert most < 2**24


def test_a_list_of_too_many_levels_is_counted_in_stage_b() -> None:
    levels = with_value("template.risk_grid.tp", [None, *range(1, 700)])
    error = refused(levels, replace(LIMITS, max_stage_b_variants=600))
    assert {found.path: found.message.split(",")[0] for found in error.errors} == {
        "template.risk_grid.tp": "has 700 values",
        "template.risk_grid": "has 8820 preselected x 700 risk = 6174000 variants in stage B",
    }


def test_an_axis_of_10_to_the_12_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        refused(with_value("template.risk_grid.sl", ranged(1, 1_000_001, 1e-6)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


TOO_LARGE: dict[str, tuple[Any, int, int]] = {
    "range": (with_value("template.risk_grid.sl", ranged(1, 1_000_001, 1e-6)), 8820, 10**12 + 1),
    "list": (with_value("template.risk_grid.sl", [*range(1, 700), None]), 8820, 700),
    "windows": (with_value(WINDOW, ranged(1, 100_000, 1)), 100_000 * 45, 1),
}


@pytest.mark.parametrize(("wrong", "bases", "risks"), TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_what_is_only_too_large_says_how_large_it_is(wrong: Any, bases: int, risks: int) -> None:
    error = refused(wrong, replace(LIMITS, max_stage_b_variants=600))
    assert isinstance(error, TooLarge)
    assert (error.estimate.stage_a_variants, error.risk_total) == (bases, risks)
    assert error.estimate.stage_b_variants == min(20_000, bases) * risks
    assert error.effective == complete(wrong, DEFAULTS, UNGUARDED)


def test_what_is_wrong_besides_has_no_size() -> None:
    wrong = with_value(WINDOW, ranged(1, 100_000, 1)) | {"colour": "red"}
    assert not isinstance(refused(wrong), TooLarge)


def test_a_range_holds_as_many_values_as_the_configured_guard_says() -> None:
    path = "template.risk_grid.sl"
    wide = with_value(path, ranged(1, 11, 0.000001))
    errors = refused(wide, replace(PLENTY, max_axis_values=1_000_000)).errors
    (said,) = [error.message for error in errors if error.path == path]
    assert "has 10000001 values, one axis may have 1000000 (max_axis_values)" in said
