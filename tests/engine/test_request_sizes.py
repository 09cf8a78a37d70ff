"""Requests that say how large a position is: percent as an axis, in model, grid and hashes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.grid import Grid, Variants, estimate
from engine.request import canonical_json, complete, engine_params_hash, parse, sha256_hex
from engine.request.model import FIRST_EXECUTION, RISK_AXES, Request
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit, ranged, refused, with_value
from tests.engine.test_request_hold import holding, read

PERCENT = "template.execution.percent"


def by_percent(percent: Any, **template: Any) -> dict[str, Any]:
    """A request whose positions take percents of the equity."""
    request = document()
    request["template"] |= {
        "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": [5, 10]}}],
        "sizing_mode": "percent",
        "execution": {"percent": percent},
        **template,
    }
    return request


def stored(percent: Any) -> Any:
    """What an effective request has of a percent that somebody wrote."""
    return complete(by_percent(percent), DEFAULTS, LIMITS)["template"]["execution"]["percent"]


def with_execution(**execution: Any) -> Request:
    return read(with_value("template.execution", execution))


def test_sizes_that_are_left_out_are_what_they_were_before_there_was_a_choice() -> None:
    execution = read(document()).execution
    assert (execution.percent, execution.risk_per_trade_pct) == (100.0, 1.0)
    assert execution.leverage is None
    assert (execution.funding_pct_per_8h, execution.borrow_pct_per_year) == (0.0, 0.0)
    assert read(document()).risk.percent == (None,)


def test_leverage_and_what_it_costs_are_read() -> None:
    execution = with_execution(
        leverage=2.5, funding_pct_per_8h=-0.01, borrow_pct_per_year=7, risk_per_trade_pct=0.5
    ).execution
    assert (execution.leverage, execution.funding_pct_per_8h) == (2.5, -0.01)
    assert (execution.borrow_pct_per_year, execution.risk_per_trade_pct) == (7.0, 0.5)


@pytest.mark.parametrize(
    ("written", "normal", "values"),
    [
        (25, 25.0, (25.0,)),
        ([25], 25.0, (25.0,)),
        (explicit(25), 25.0, (25.0,)),
        (ranged(25, 26, 5), 25.0, (25.0,)),
        ([50, 25], explicit(50.0, 25.0), (50.0, 25.0)),
        (explicit(1, 100), explicit(1.0, 100.0), (1.0, 100.0)),
        (ranged(10, 30, 10), ranged(10.0, 30.0, 10.0), (10.0, 20.0, 30.0)),
    ],
)
def test_every_form_of_an_axis_is_a_percent_and_one_value_is_stored_as_the_number(
    written: Any, normal: Any, values: tuple[float, ...]
) -> None:
    assert stored(written) == normal
    request = read(by_percent(written))
    assert request.risk.percent == values
    assert request.execution.percent == values[0]
    assert complete(request.document, DEFAULTS, LIMITS) == request.document


def test_a_number_means_nothing_where_sizing_is_not_by_percent() -> None:
    request = with_execution(percent=50)
    assert (request.risk.percent, request.risk.total) == ((None,), 1)
    assert Variants.of(request).variant(0)["execution"]["percent"] == 50.0


def test_percent_is_the_last_and_fastest_digit_of_a_risk_index() -> None:
    risk = {"sl": [1, 2], "tp": [None, 4], "tsl": [3, None]}
    grid = Grid.of(read(by_percent([30, 10, 20], risk_grid=risk)))
    assert grid.risk_total == 24
    found = [(*grid.risk_at(index), grid.percent_at(index)) for index in range(24)]
    assert found == [
        (sl, tp, tsl, percent)
        for sl in (1.0, 2.0)
        for tp in (None, 4.0)
        for tsl in (3.0, None)
        for percent in (30.0, 10.0, 20.0)
    ]


def test_a_grid_without_a_percent_has_none_at_any_index() -> None:
    grid = Grid.of(read(with_value("template.risk_grid", {"sl": [1, 2]})))
    assert [grid.percent_at(index) for index in range(2)] == [None, None]


@pytest.mark.parametrize("index", [-1, 6])
def test_there_is_no_percent_outside_the_grid(index: int) -> None:
    grid = Grid.of(read(by_percent([10, 20, 30], risk_grid={"sl": [1, 2]})))
    with pytest.raises(IndexError, match=rf"0\.\.5, not {index}"):
        grid.percent_at(index)


levels = st.lists(st.none() | st.integers(1, 50).map(float), min_size=1, max_size=3, unique=True)
percents = st.lists(st.integers(1, 100).map(float), min_size=1, max_size=4, unique=True)


@given(
    risk=st.fixed_dictionaries(dict.fromkeys(RISK_AXES, levels)),
    percent=percents,
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_every_index_is_turned_into_four_values_and_back(
    risk: dict[str, Any], percent: list[float], data: st.DataObject
) -> None:
    grid = Grid.of(read(by_percent(percent, risk_grid=risk)))
    axes = [[5, 10], *(risk[name] for name in RISK_AXES), percent]
    total = 2 * grid.risk_total
    index = data.draw(st.integers(0, total - 1))
    variant = grid.variant(index)
    values = [
        variant["blocks"][0]["params"]["window"],
        *(variant["risk"][name] for name in RISK_AXES),
        variant["execution"].get("percent", 100.0),
    ]
    rebuilt, combinations = 0, 1
    for axis, value in zip(axes, values, strict=True):
        rebuilt = rebuilt * len(axis) + axis.index(value)
        combinations *= len(axis)
    assert (rebuilt, combinations) == (index, total)


def test_a_variant_has_a_percent_of_its_own_and_a_base_variant_the_first() -> None:
    variants = Variants.of(read(by_percent([30, 100, 20])))
    assert [variants.variant(n)["execution"].get("percent") for n in range(3)] == [30, None, 20]
    assert variants.base_variant(1)["execution"]["percent"] == 30.0
    assert variants.variant(0)["risk"] == dict.fromkeys(RISK_AXES)
    assert len({variants.variant_key(index) for index in range(6)}) == 6
    assert len({variants.indicator_variant_key(index) for index in range(6)}) == 2


@pytest.mark.parametrize("percent", [20, 100])
def test_one_variant_has_the_same_key_in_another_grid_of_percents(percent: float) -> None:
    wide, alone = (Variants.of(read(by_percent(values))) for values in ([30, percent], percent))
    assert canonical_json(wide.variant(3)) == canonical_json(alone.variant(1))
    assert (
        wide.variant_key(3) == alone.variant_key(1) == sha256_hex(canonical_json(wide.variant(3)))
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("percent", 50),
        ("risk_per_trade_pct", 2),
        ("leverage", 3),
        ("funding_pct_per_8h", 0.01),
        ("funding_pct_per_8h", "stored"),
        ("borrow_pct_per_year", 5),
    ],
)
def test_another_size_or_cost_is_another_variant_of_the_same_indicators(
    name: str, value: float | str
) -> None:
    first, other = read(document()), with_execution(**{name: value})
    named = value if isinstance(value, str) else float(value)
    one, two = Variants.of(first), Variants.of(other)
    assert two.variant(0)["execution"] == one.variant(0)["execution"] | {name: named}
    assert two.variant_key(0) != one.variant_key(0)
    assert two.indicator_variant_key(0) == one.indicator_variant_key(0)
    assert engine_params_hash(other.document) != engine_params_hash(first.document)


def test_an_axis_of_percents_is_part_of_the_engine_parameters() -> None:
    found = {
        engine_params_hash(complete(by_percent(percent), DEFAULTS, LIMITS))
        for percent in (100, 20, [20, 30], [30, 20])
    }
    assert len(found) == 4


def test_keys_and_hashes_of_what_says_no_size_are_those_of_before() -> None:
    """The expected ones were written before an execution had sizes; version 1 and 2 are frozen."""
    request = holding(
        risk_grid={"sl": [None, 2]},
        sizing_mode="fixed_quote",
        execution={"entry_fill": "next_open", "reentry_after_bars": 3},
    )
    effective = complete(request, DEFAULTS, LIMITS)
    assert engine_params_hash(effective) == (
        "eaa351956c799f3a4592c7461e54816ce6c1fc36c89d2ba9f4f5531cbb6c181c"
    )
    variants = Variants.of(parse(effective))
    assert [variants.variant_key(index) for index in (0, 5, 13)] == [
        "5590242e51fa863f0f9cda44acbfb7d84b8720c924800e9c1d47e30c491716cf",
        "620980fc7ee86576bafac619c02d39ecf74cd3a01b075cf5eaea9f311e6999e0",
        "290401d40a59e865f4208e4eda70a9b98b73ce65fd11c0f6782dd4da82a58dd9",
    ]


@pytest.mark.parametrize("name", FIRST_EXECUTION)
def test_a_stored_request_may_leave_out_what_keys_leave_out(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["execution"][name]
    request = parse(effective)
    assert getattr(request.execution, name) == FIRST_EXECUTION[name]
    assert request.document == complete(document(), DEFAULTS, LIMITS)


def test_an_estimate_counts_the_percents_of_stage_b() -> None:
    one, three = (
        estimate(read(by_percent(percent, risk_grid={"sl": [1, 2]})))
        for percent in (30, [30, 5, 9])
    )
    assert (one.stage_b_variants, three.stage_b_variants) == (4, 12)
    assert one.stage_a_variants == three.stage_a_variants == 2


def test_more_variants_may_be_kept_where_there_are_percents() -> None:
    whole = by_percent([10, 20, 30]) | {"preselect": 2, "top_k": 6}
    assert read(whole).top_k == 6
    (error,) = refused(whole | {"top_k": 7}).errors
    assert error.message == ("must be at most preselect x risk combinations (2 x 3 = 6), got 7")


def test_too_many_percents_are_refused_by_their_number() -> None:
    wide = by_percent(ranged(1, 100, 0.0001))
    found = {error.path: error for error in refused(wide).errors}
    assert found[PERCENT].message == (
        "has 990001 values, more than the limit of 600000 variants (max_stage_b_variants): use a "
        "larger step or a shorter range"
    )
    assert all(error.code == "guard_exceeded" for error in found.values())
