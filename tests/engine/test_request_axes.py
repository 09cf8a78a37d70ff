"""Axes: exact decimal ranges, and valid pairs of parameters bound by a rule."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.grid import Grid
from engine.indicators.declaration import Relation
from engine.request import complete, parse
from engine.request.axes import (
    axis_count,
    axis_numbers,
    axis_value,
    axis_values,
)
from engine.request.joint import joint_groups, joint_rows
from tests.engine.enumeration import block_variants
from tests.engine.requests import DEFAULTS, LIMITS, explicit, ranged, with_value

decimals = st.decimals(-1000, 1000, places=3)
steps = st.decimals("0.001", "50", places=3)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (ranged(0.1, 0.3, 0.1), (0.1, 0.2, 0.3)),
        (ranged(0.5, 4.0, 0.5), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)),
        (ranged(5, 10, 2), (5, 7, 9)),
        (ranged(5, 5, 1), (5,)),
        (ranged(-0.3, 0.3, 0.3), (-0.3, 0.0, 0.3)),
        (ranged(1e-7, 3e-7, 1e-7), (1e-7, 2e-7, 3e-7)),
        (explicit(21, 7, 14), (21, 7, 14)),
        (explicit(None, 2.0), (None, 2.0)),
        (explicit("close", "hl2"), ("close", "hl2")),
    ],
)
def test_an_axis_has_the_values_its_literals_say(
    axis: dict[str, Any], values: tuple[Any, ...]
) -> None:
    assert axis_values(axis) == values
    assert axis_count(axis) == len(values)


@given(start=decimals, step=steps, count=st.integers(1, 200), beyond=st.floats(0, 0.99))
@settings(max_examples=200)
def test_a_range_ends_where_decimal_arithmetic_says(
    start: Decimal, step: Decimal, count: int, beyond: float
) -> None:
    stop = start + step * (count - 1) + (step * Decimal(beyond)).quantize(Decimal("1e-9"))
    values = axis_values(ranged(float(start), float(stop), float(step)))
    assert values == tuple(float(start + step * k) for k in range(count))


def test_a_range_too_fine_for_integer_arithmetic_in_floats_is_still_exact() -> None:
    axis = ranged(0.1234567890123, 0.1234567890123 + 1e-11, 1e-13)
    start, step = Decimal("0.1234567890123"), Decimal("1e-13")
    assert axis_values(axis)[:100] == tuple(float(start + step * k) for k in range(100))


def test_a_start_of_more_digits_than_integers_in_floats_have_is_rounded_once() -> None:
    """The expected values are those of decimal arithmetic, rounded to floats by reading them."""
    axis = ranged(0.6772320258726261, 1.3, 0.3)
    wanted = [float(text) for text in ("0.6772320258726261", "0.9772320258726261")]
    assert axis_numbers(axis).tolist() == [*wanted, float("1.2772320258726261")]


def test_the_count_of_a_range_costs_nothing() -> None:
    assert axis_count(ranged(1, 1e15, 1e-15)) == 10**30 - 10**15 + 1


def test_parameters_bound_by_a_rule_share_an_axis_where_the_first_one_stands() -> None:
    names = ("ma", "fast", "smoothing", "slow")
    rule = Relation("fast", "slow", strict=True)
    assert joint_groups(names, [rule]) == (("ma",), ("fast", "slow"), ("smoothing",))
    absent = Relation("fast", "absent", strict=True)
    assert joint_groups(names, [absent]) == tuple((name,) for name in names)
    chain = [Relation("a", "b", strict=True), Relation("b", "c", strict=False)]
    assert joint_groups(("a", "b", "c"), chain) == (("a", "b", "c"),)


@given(
    fast=st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True),
    slow=st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True),
    strict=st.booleans(),
)
@settings(max_examples=100)
def test_a_joint_axis_lists_the_valid_pairs_in_order(
    fast: list[int], slow: list[int], strict: bool
) -> None:
    columns = [axis_numbers(explicit(*values)) for values in (fast, slow)]
    rows = joint_rows(("fast", "slow"), columns, [Relation("fast", "slow", strict)])
    valid = [[f, s] for f in fast for s in slow if f < s or (f == s and not strict)]
    assert rows.tolist() == valid
    assert rows.dtype == np.float64


def test_a_joint_axis_of_many_portions_lists_every_valid_pair_once_and_in_order() -> None:
    """1500 x 1500 raw pairs are tried in three portions."""
    numbers = axis_numbers(ranged(1, 1500, 1))
    rows = joint_rows(("low", "high"), [numbers, numbers], [Relation("low", "high", strict=True)])
    low, high = np.triu_indices(1500, k=1)
    assert np.array_equal(rows, np.stack([numbers[low], numbers[high]], axis=1))


def test_one_value_of_an_axis_is_that_of_the_list() -> None:
    for axis in (ranged(0.1, 7.3, 0.1), ranged(5, 10, 2), explicit(21, 7, 14)):
        values = axis_values(axis)
        assert tuple(axis_value(axis, number) for number in range(len(values))) == values


def test_a_joint_axis_with_equality_is_walked_in_the_documented_order() -> None:
    params = {
        "accel_start": explicit(0.1, 0.02, 0.2),
        "accel_step": explicit(0.03, 0.01),
        "accel_max": ranged(0.1, 0.2, 0.1),
    }
    block = {"indicator_id": "trend.psar", "output": "psar", "params": params}
    request = parse(complete(with_value("template.indicator_grids", [block]), DEFAULTS, LIMITS))
    (built,) = Grid.of(request).blocks
    listed = [built.parameters(number) for number in range(built.total)]
    assert listed == list(block_variants(block))
    assert [tuple(variant["params"].values()) for variant in listed[:3]] == [
        (0.1, 0.03, 0.1),
        (0.1, 0.01, 0.1),
        (0.1, 0.03, 0.2),
    ]
    assert len(listed) == (2 + 2 + 1) * 2


def test_equal_values_of_two_ranges_are_equal_however_their_steps_add_up() -> None:
    columns = [axis_numbers(ranged(0.1, 0.3, 0.1)), axis_numbers(ranged(0.05, 0.3, 0.05))]
    rows = joint_rows(("low", "high"), columns, [Relation("low", "high", strict=False)])
    assert [0.3, 0.3] in rows.tolist()
    assert len(rows) == 5 + 3 + 1
