"""Risk levels that the close of the entry hits already are refused, to the last bit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.request import RequestError, complete
from tests.engine.requests import DEFAULTS, LIMITS, explicit, ranged, refusal_at, with_value

DIRECTIONS = ("long-short", "long-only", "short-only")
MARGIN = 1e-12


def wanted(direction: str, slippage: float, name: str, axis: Any) -> dict[str, Any]:
    whole = with_value(f"template.risk_grid.{name}", axis)
    whole["template"] |= {"direction_mode": direction, "execution": {"slippage_pct": slippage}}
    return whole


def accepted(direction: str, slippage: float, name: str, level: float) -> bool:
    try:
        complete(wanted(direction, slippage, name, level), DEFAULTS, LIMITS)
    except RequestError as error:
        return [found.path for found in error.errors] != [f"template.risk_grid.{name}"]
    return True


def trades_at_once(direction: str, slippage: float, name: str, level: float) -> bool:
    """Whether a position over flat prices of 1 ends at the bar after its entry.

    Written from the contract: levels are products, moved towards the price by the margin.
    """
    slip, p, close = slippage / 100, level / 100, 1.0
    long_fill, short_fill = close * (1 + slip), close * (1 - slip)
    long = {
        "sl": close <= long_fill * (1 - p) * (1 + MARGIN),
        "tp": close >= long_fill * (1 + p) * (1 - MARGIN),
        "tsl": close <= close * (1 - p) * (1 + MARGIN),
    }
    short = {
        "sl": close >= short_fill * (1 + p) * (1 - MARGIN),
        "tp": close <= short_fill * (1 - p) * (1 + MARGIN),
        "tsl": close >= close * (1 + p) * (1 - MARGIN),
    }
    return (direction != "short-only" and long[name]) or (direction != "long-only" and short[name])


def boundary(refuses: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest level that is not refused, by bisection down to neighbouring floats."""
    while math.nextafter(low, high) < high:
        middle = (low + high) / 2
        low, high = (middle, high) if refuses(middle) else (low, middle)
    return high


@pytest.mark.parametrize("slippage", [0.01, 0.5, 10.0, 49.9])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_stop_within_the_slippage_is_refused_and_the_next_float_accepted(
    direction: str, slippage: float
) -> None:
    first = boundary(
        lambda level: trades_at_once(direction, slippage, "sl", level), slippage / 4, 200.0
    )
    last = math.nextafter(first, 0)
    assert not accepted(direction, slippage, "sl", last)
    assert accepted(direction, slippage, "sl", first)
    slip = slippage / 100
    limit = slip / (1 + slip) if direction == "long-only" else slip / (1 - slip)
    assert first == pytest.approx(100 * limit, rel=1e-7)


@pytest.mark.parametrize("name", ["sl", "tp", "tsl"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_level_within_the_margin_is_refused_without_any_slippage(
    direction: str, name: str
) -> None:
    first = boundary(lambda level: trades_at_once(direction, 0.0, name, level), 1e-13, 1e-6)
    assert first == pytest.approx(1e-10, rel=1e-3)  # in percent
    assert accepted(direction, 0.0, name, first)
    assert not accepted(direction, 0.0, name, math.nextafter(first, 0))
    axis = with_value(f"template.risk_grid.{name}", 1e-11)
    axis["template"] |= {"execution": {"slippage_pct": 0}}
    assert "margin" in refusal_at(f"template.risk_grid.{name}", axis)


@pytest.mark.parametrize("name", ["tp", "tsl"])
def test_slippage_does_not_forbid_a_trailing_stop_or_a_goal(name: str) -> None:
    assert accepted("long-short", 10.0, name, 0.001)


def test_the_message_names_the_value_the_limit_and_what_to_do() -> None:
    message = refusal_at("template.risk_grid.sl", wanted("long-short", 0.5, "sl", 0.5))
    assert message == (
        "0.5 would fire on the first bar without any move of the price: an entry fills 0.5 % "
        "(slippage_pct) away from its price, so a stop must be more than 0.50251256; enlarge it, "
        "or give null for off, or lower template.execution.slippage_pct"
    )
    long_only = refusal_at("template.risk_grid.sl", wanted("long-only", 0.5, "sl", 0.4))
    assert "more than 0.49751244" in long_only


@pytest.mark.parametrize("entry_fill", ["close", "next_open"])
@pytest.mark.parametrize("stop_fill", ["close", "intrabar"])
def test_the_bound_is_the_same_however_fills_are_made(entry_fill: str, stop_fill: str) -> None:
    fills = {"entry_fill": entry_fill, "stop_fill": stop_fill}
    request = wanted("long-short", 0.5, "sl", explicit(0.5, 0.6))
    request["template"]["execution"] |= fills
    assert "more than 0.50251256" in refusal_at("template.risk_grid.sl.values[0]", request)
    request["template"]["risk_grid"]["sl"] = explicit(0.6)
    assert complete(request, DEFAULTS, LIMITS)["template"]["execution"].items() >= fills.items()


def test_the_configured_slippage_counts_as_well() -> None:
    wrong = with_value("template.risk_grid.sl", 0.01)
    assert "an entry fills 0.01 %" in refusal_at("template.risk_grid.sl", wrong)


def test_each_level_of_an_axis_is_named_where_it_stands() -> None:
    for axis, path in (
        ([None, 0.5, 3, 0.1], "[1]"),
        ([None, 0.5, 3, 0.1], "[3]"),
        (explicit(3, 0.2), ".values[1]"),
        (ranged(0.3, 5, 0.1), ".start"),
    ):
        wrong = wanted("long-short", 1.0, "sl", axis)
        assert "would fire" in refusal_at(f"template.risk_grid.sl{path}", wrong)


def test_a_range_of_stops_that_begins_beyond_the_slippage_is_accepted() -> None:
    assert complete(wanted("long-short", 1.0, "sl", ranged(1.1, 5, 0.1)), DEFAULTS, LIMITS)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_accepted_levels_do_not_fire_on_flat_prices_by_the_rule(direction: str) -> None:
    random = np.random.default_rng(7)
    for _ in range(300):
        slippage = float(10 ** random.uniform(-4, 1.6))
        level = slippage * float(random.uniform(0.9, 1.4))
        for name in ("sl", "tp", "tsl"):
            expected = not trades_at_once(direction, slippage, name, level)
            assert accepted(direction, slippage, name, level) is expected
