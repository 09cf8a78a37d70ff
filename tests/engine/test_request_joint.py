"""Joint axes are counted, and read row by row, without being listed."""

import tracemalloc
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.indicators.declaration import Relation
from engine.request.joint import joint_row, joint_rows, joint_total

NAMES = "abcd"
VALUES = st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True)
RULES = st.builds(
    lambda pair, swap, strict: Relation(*(pair[::-1] if swap else pair), strict),
    st.sampled_from(list(combinations(NAMES, 2))),
    st.booleans(),
    st.booleans(),
)
PAIR = {"fast": np.arange(1.0, 5001), "slow": np.arange(5001.0, 10_001)}
CROSSING = [Relation("fast", "slow", strict=True)]


def plainly(axes: dict[str, list[int]], rules: list[Relation]) -> list[list[int]]:
    """List the valid combinations by loops."""
    found = []
    for values in product(*axes.values()):
        at = dict(zip(axes, values, strict=True))
        fits = [
            at[rule.low] < at[rule.high] or (not rule.strict and at[rule.low] == at[rule.high])
            for rule in rules
        ]
        if all(fits):
            found.append(list(values))
    return found


@given(
    values=st.lists(VALUES, min_size=1, max_size=4),
    rules=st.lists(RULES, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_rows_are_counted_and_found_as_they_are_listed(
    values: list[list[int]], rules: list[Relation]
) -> None:
    """Rules may form chains, forks and circles, or contradict each other."""
    axes = dict(zip(NAMES, values, strict=False))
    rules = [rule for rule in rules if {rule.low, rule.high} <= set(axes)]
    columns = {name: np.array(axis, dtype=np.float64) for name, axis in axes.items()}
    wanted = plainly(axes, rules)
    assert joint_total(columns, rules) == len(wanted)
    assert [joint_row(number, columns, rules) for number in range(len(wanted))] == wanted
    assert joint_rows(tuple(columns), tuple(columns.values()), rules).tolist() == wanted


@pytest.mark.parametrize(
    ("number", "row"), [(0, [1, 5001]), (5000, [2, 5001]), (24_999_999, [5000, 10_000])]
)
def test_a_row_among_25_million_takes_the_memory_of_the_axes(number: int, row: list[int]) -> None:
    tracemalloc.start()
    try:
        assert joint_row(number, PAIR, CROSSING) == row
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
