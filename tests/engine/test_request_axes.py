"""Axes: exact decimal ranges, and valid pairs of parameters bound by a rule."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request.axes import axis_count, axis_numbers, axis_values, joint_groups, joint_rows
from tests.engine.requests import explicit, ranged

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


def test_the_count_of_a_range_costs_nothing() -> None:
    assert axis_count(ranged(1, 1e15, 1e-15)) == 10**30 - 10**15 + 1


def test_parameters_bound_by_a_rule_share_an_axis_where_the_first_one_stands() -> None:
    names = ("ma", "fast", "smoothing", "slow")
    assert joint_groups(names, [("fast", "slow")]) == (("ma",), ("fast", "slow"), ("smoothing",))
    assert joint_groups(names, [("fast", "absent")]) == tuple((name,) for name in names)
    assert joint_groups(("a", "b", "c"), [("a", "b"), ("b", "c")]) == (("a", "b", "c"),)


@given(
    fast=st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True),
    slow=st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True),
)
@settings(max_examples=100)
def test_a_joint_axis_lists_the_valid_pairs_in_order(fast: list[int], slow: list[int]) -> None:
    columns = [axis_numbers(explicit(*values)) for values in (fast, slow)]
    rows = joint_rows(("fast", "slow"), columns, [("fast", "slow")])
    assert rows.tolist() == [[f, s] for f in fast for s in slow if f < s]
    assert rows.dtype == np.float64
