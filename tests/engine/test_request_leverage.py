"""What is refused of sizes and leverage, what is warned of, and how they are said."""

import math
from typing import Any

import pytest

from engine.request import complete, parse
from engine.request.model import SIZING_MODES
from engine.request.warnings import of_leverage
from engine.request.words import modes_text
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    document,
    explicit,
    ranged,
    refusal_at,
    refused,
    with_value,
)
from tests.engine.test_request_hold import read

SL = "template.risk_grid.sl"
PERCENT = "template.execution.percent"
LEVERAGE = "template.execution.leverage"


def traded(sizing_mode: str = "all_in", sl: Any = None, **execution: Any) -> dict[str, Any]:
    request = document()
    request["template"] |= {
        "sizing_mode": sizing_mode,
        "execution": execution,
        "risk_grid": {"sl": sl},
    }
    return request


@pytest.mark.parametrize("percents", [[10, 20], explicit(10, 20), ranged(10, 20, 10)])
def test_an_axis_of_percents_needs_the_sizing_that_uses_it(percents: Any) -> None:
    for sizing in set(SIZING_MODES) - {"percent"}:
        wrong = traded(sizing, sl=2, percent=percents)
        assert [(error.path, error.message) for error in refused(wrong).errors] == [
            (
                PERCENT,
                f'has several values, and template.sizing_mode is "{sizing}", which uses none: '
                'set it to "percent", or give one number',
            )
        ]


@pytest.mark.parametrize(
    ("percent", "path", "message"),
    [
        (0.5, PERCENT, "must be at least 1, got 0.5"),
        ([50, 100.5], f"{PERCENT}[1]", "must be at most 100, got 100.5"),
        ([10, 10.0], f"{PERCENT}[1]", "10.0 is given twice: remove one"),
        ([None, 50], f"{PERCENT}[0]", "must be a number, got null"),
        (ranged(50, 110, 10), f"{PERCENT}.stop_incl", "must be at most 100, got 110"),
    ],
)
def test_a_wrong_percent_is_refused_where_it_stands(percent: Any, path: str, message: str) -> None:
    (error,) = refused(traded("percent", percent=percent)).errors
    assert (error.path, error.message) == (path, message)


def test_a_wrong_percent_is_no_reason_to_blame_a_size() -> None:
    wrong = traded("percent", percent=[10, 500]) | {"preselect": 1, "top_k": 2}
    assert [error.path for error in refused(wrong).errors] == [f"{PERCENT}[1]"]


def test_risk_per_trade_needs_a_stop_loss_in_every_variant() -> None:
    remedy = (
        ', and template.sizing_mode is "risk_per_trade", which sizes a position by its stop loss: '
        "give levels in percent, without null, or another sizing mode"
    )
    for sl in (None, [None], explicit(None)):
        assert refusal_at(SL, traded("risk_per_trade", sl=sl)) == f"is off{remedy}"
    left_out = with_value("template.sizing_mode", "risk_per_trade")
    assert refusal_at(SL, left_out) == f"is off{remedy}"
    some_off = traded("risk_per_trade", sl=[None, 2])
    assert refusal_at(SL, some_off) == f"has null, which is off{remedy}"
    for sl in (2, [1, 2], ranged(1, 3, 1)):
        assert read(traded("risk_per_trade", sl=sl)).sizing_mode == "risk_per_trade"


def test_a_stop_loss_that_is_wrong_is_refused_for_that_alone() -> None:
    (error,) = refused(traded("risk_per_trade", sl=[2, -1])).errors
    assert (error.path, error.message) == (f"{SL}[1]", "must be more than 0, got -1")


@pytest.mark.parametrize(
    ("direction", "slippage_pct", "limit"),
    [("long-short", 10, "9"), ("short-only", 10, "9"), ("long-only", 12.5, "9")],
)
def test_a_leverage_that_the_slippage_of_the_entry_uses_up_is_refused(
    direction: str, slippage_pct: float, limit: str
) -> None:
    wrong = traded(leverage=9, slippage_pct=slippage_pct)
    wrong["template"]["direction_mode"] = direction
    assert refusal_at(LEVERAGE, wrong) == (
        "9 would be liquidated on the first bar without any move of the price: an entry fills "
        f"{slippage_pct:g} % (slippage_pct) away from its price, so leverage must be less than "
        f"{limit}; lower it, or slippage_pct"
    )


def liquidated_at_once(direction: str, leverage: float, slippage_pct: float) -> bool:
    """Whether an entry at a price of 1 is liquidated at 1. Written from the contract."""
    slip, margin = slippage_pct / 100, 1e-12
    long = (1 + slip) * (1 - 1 / leverage) * (1 + margin) >= 1
    short = (1 - slip) * (1 + 1 / leverage) * (1 - margin) <= 1
    return (direction != "short-only" and long) or (direction != "long-only" and short)


@pytest.mark.parametrize("leverage", [1.5, 3.0, 10.0, 125.0])
@pytest.mark.parametrize("direction", ["long-short", "long-only", "short-only"])
def test_what_is_refused_of_a_leverage_is_what_would_be_liquidated_at_once(
    direction: str, leverage: float
) -> None:
    def accepted(slippage_pct: float) -> bool:
        wanted = traded(leverage=leverage, slippage_pct=slippage_pct)
        wanted["template"]["direction_mode"] = direction
        try:
            complete(wanted, DEFAULTS, LIMITS)
        except ValueError:
            return False
        return True

    low, high = 0.0, 49.99
    while math.nextafter(low, high) < high:
        middle = (low + high) / 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    assert accepted(low)
    assert not liquidated_at_once(direction, leverage, low)
    if high < 49.99:
        assert not accepted(high)
        assert liquidated_at_once(direction, leverage, high)
    else:
        assert not liquidated_at_once(direction, leverage, 49.99)


def test_a_stored_leverage_stays_readable() -> None:
    effective = complete(traded(leverage=9), DEFAULTS, LIMITS)
    effective["template"]["execution"]["slippage_pct"] = 10.0
    assert parse(effective).execution.leverage == 9.0


def test_stop_losses_beyond_the_liquidation_are_warned_of() -> None:
    found = of_leverage(read(traded(leverage=8, sl=[None, 2, 12.49, 12.5, 20])))
    assert found == [
        {
            "code": "stops_beyond_liquidation",
            "message": "no position reaches these stop losses, in percent: 12.5, 20; with leverage "
            "8 it is liquidated first, 12.5 % from its entry",
            "path": SL,
        }
    ]


@pytest.mark.parametrize(
    "quiet",
    [traded(sl=[50, 99]), traded(leverage=10), traded(leverage=10, sl=[None, 2, 9.9])],
)
def test_of_stops_that_come_first_nobody_is_warned(quiet: dict[str, Any]) -> None:
    assert of_leverage(read(quiet)) == []


def test_a_trailing_stop_as_wide_as_the_margin_is_no_reason_to_warn() -> None:
    """It follows the price away from the liquidation: from a peak of 200 it is 20 lower."""
    wide = traded(leverage=10)
    wide["template"]["risk_grid"] = {"tsl": [10, 20]}
    assert of_leverage(read(wide)) == []


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        ({}, ""),
        ({"leverage": None, "funding_pct_per_8h": 0, "borrow_pct_per_year": 0.0}, ""),
        ({"leverage": 10.0}, "leverage 10"),
        ({"leverage": 2.5, "borrow_pct_per_year": 7}, "leverage 2.5, borrowing 7 % a year"),
        ({"funding_pct_per_8h": -0.01}, "funding -0.01 % every 8 hours"),
        (
            {"entry_fill": "next_open", "leverage": 3, "funding_pct_per_8h": 0.01},
            "entries at the next open, leverage 3, funding 0.01 % every 8 hours",
        ),
    ],
)
def test_leverage_and_the_costs_of_holding_are_said_where_there_are_any(
    execution: dict[str, Any], words: str
) -> None:
    assert modes_text({"execution": execution}) == words


@pytest.mark.parametrize("name", ["leverage", "percent", "risk_per_trade_pct"])
def test_a_size_in_a_wrong_place_is_sent_to_its_own(name: str) -> None:
    (error,) = refused(with_value(f"template.{name}", 5)).errors
    assert error.hint == "it belongs in template.execution"
