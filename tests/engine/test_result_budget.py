"""Trades and equity curves are kept in rank order until the budget of the result is used up."""

import json
import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernels import REASONS, Trades
from engine.report import VariantReport, reports
from engine.report.details import (
    EQUITY_POINTS,
    POINT_BYTES,
    TRADE_BYTES,
    equity_points,
    stored_bytes,
    trade_list,
)
from tests.engine.adapter import engine_trades
from tests.engine.simulator import Execution, RiskLevels
from tests.engine.test_report import World

# Three variants of one, four and two trades on 8 bars.
WORLD = World([100, 102, 99, 104, 101, 107, 103, 98], ["LLLLLLLL", "L.L.L.L.", "LL.LL..."])
TRADES = (1, 4, 2)
CHARGES = [stored_bytes(count, 8) for count in TRADES]


def kept(budget: int, top_trades_n: int = 3) -> list[VariantReport]:
    return list(reports(WORLD, range(3), top_trades_n=top_trades_n, result_bytes=budget))


def detailed(found: list[VariantReport]) -> list[bool]:
    for report in found:
        assert (report.trades is None) == (report.equity is None)
    return [report.trades is not None for report in found]


def omitted(found: list[VariantReport]) -> list[bool]:
    return [report.trades_omitted for report in found]


def test_the_charge_is_a_sum_over_trades_and_the_points_that_a_curve_may_have() -> None:
    assert stored_bytes(7, 100) == 7 * TRADE_BYTES + 100 * POINT_BYTES
    assert stored_bytes(0, 10**6) == EQUITY_POINTS * POINT_BYTES


def test_all_that_fits_exactly_is_kept() -> None:
    found = kept(sum(CHARGES))
    assert detailed(found) == [True, True, True]
    assert omitted(found) == [False, False, False]
    assert [len(report.trades or ()) for report in found] == list(TRADES)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (sum(CHARGES) - 1, [True, True, False]),
        (sum(CHARGES[:2]), [True, True, False]),
        # The second does not fit; the third would, and is left out all the same.
        (sum(CHARGES[:2]) - 1, [True, False, False]),
        (CHARGES[0] + CHARGES[2], [True, False, False]),
        (CHARGES[0] - 1, [False, False, False]),
        (0, [False, False, False]),
    ],
)
def test_the_first_that_does_not_fit_and_all_after_it_are_marked_and_left_out(
    budget: int, expected: list[bool]
) -> None:
    found = kept(budget)
    assert detailed(found) == expected
    assert omitted(found) == [not there for there in expected]


def test_nothing_else_of_a_report_depends_on_the_budget() -> None:
    bare = {"trades": None, "equity": None, "trades_omitted": False}
    rich, poor = kept(sum(CHARGES)), kept(0)
    assert [replace(r, **bare) for r in rich] == [replace(r, **bare) for r in poor]


def test_what_was_not_asked_for_is_neither_charged_nor_marked() -> None:
    found = kept(CHARGES[0], top_trades_n=1)
    assert detailed(found) == [True, False, False]
    assert omitted(found) == [False, False, False]


# --- the charge is an upper bound --------------------------------------------------------------

EXTREMES = (-sys.float_info.max, sys.float_info.max, -5e-324, -sys.float_info.min, -1 / 3, 0.0)
numbers = st.sampled_from(EXTREMES) | st.floats(allow_nan=True, allow_infinity=True)
SAID = ((), ("margin",), ("carry",), ("margin", "carry"))
LATE = 253_402_300_799_000  # the last second of the year 9999


def text_bytes(value: Any) -> int:
    return len(json.dumps(value, allow_nan=False).encode())


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=13, max_size=13), st.integers(1, 50), st.sampled_from(SAID))
def test_no_trade_takes_more_than_it_is_charged(
    amounts: list[float], count: int, charges: tuple[str, ...]
) -> None:
    one = engine_trades([1, 0], [1.0, 2.0], Execution(), RiskLevels())
    assert len(one) == 1
    columns = {field.name: np.repeat(getattr(one, field.name), count) for field in fields(Trades)}
    names = [name for name, column in columns.items() if column.dtype == np.float64]
    for name, amount in zip(names, amounts, strict=True):
        columns[name] = np.full(count, amount)
    longest = max(range(len(REASONS)), key=lambda reason: len(REASONS[reason]))
    columns |= {"direction": np.full(count, -1, np.int8)}
    columns |= {"reason": np.full(count, longest, np.int8)}
    times = np.array([0, LATE - 1]), np.array([0, LATE])
    listed = trade_list(Trades(**columns), *times, charges)
    for place, trade in enumerate(listed):
        trade["id"] = 9_999_999 - place  # of the last trades that a variant can have
    assert text_bytes(listed) <= stored_bytes(count, 0, charges) + 2


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=40), st.integers(1, 40))
def test_no_curve_takes_more_than_it_is_charged(values: list[float], repeats: int) -> None:
    equity = np.repeat(np.array(values), repeats)
    points = equity_points(equity, LATE - 60_000 * np.arange(len(equity))[::-1])
    assert text_bytes(points) <= stored_bytes(0, len(equity))


@pytest.mark.parametrize("value", [-sys.float_info.max, 1 / 3])
def test_a_curve_of_the_longest_numbers_is_charged_little_more_than_it_takes(value: float) -> None:
    points = equity_points(np.full(5_000, value), LATE - np.arange(5_000)[::-1])
    assert text_bytes(points) <= POINT_BYTES * len(points)
