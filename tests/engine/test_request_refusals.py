"""Every mistake a request can hold: one clear message with the path, the value and the limit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request import RequestError, complete, parse
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    RSI,
    SMA,
    WINDOW,
    document,
    explicit,
    refusal_at,
    refused,
    with_value,
    without,
)

INVALID = {
    "no time range": (without("time_range"), "time_range", ["is missing"]),
    "no template": (without("template"), "template", ["is missing"]),
    "no instrument": (without("template.instrument_id"), "template.instrument_id", ["missing"]),
    "no timeframe": (without("template.timeframe"), "template.timeframe", ["15m"]),
    "no grids": (
        without("template.indicator_grids"),
        "template.indicator_grids",
        ["is missing"],
    ),
    "empty grids": (
        with_value("template.indicator_grids", []),
        "template.indicator_grids",
        ["must not be empty"],
    ),
    "grids not an array": (
        with_value("template.indicator_grids", {}),
        "template.indicator_grids",
        ["must be an array"],
    ),
    "end before start": (
        with_value("time_range.end", "2023-01-01T00:00:00Z"),
        "time_range.end",
        ["after start", "2024-01-01T00:00:00Z", "2023-01-01T00:00:00Z"],
    ),
    "empty range": (
        with_value("time_range.end", "2024-01-01T00:00:00Z"),
        "time_range.end",
        ["after start"],
    ),
    "not a time": (with_value("time_range.start", "yesterday"), "time_range.start", ["yesterday"]),
    "no such day": (
        with_value("time_range.start", "2024-02-30T00:00:00Z"),
        "time_range.start",
        ["2024-02-30"],
    ),
    "no time zone": (
        with_value("time_range.start", "2024-01-01T00:00:00"),
        "time_range.start",
        ["2024-01-01T00:00:00Z"],
    ),
    "time as number": (with_value("time_range.start", 1704067200), "time_range.start", ["like"]),
    "microseconds": (
        with_value("time_range.start", "2024-01-01T00:00:00.000001Z"),
        "time_range.start",
        ["milliseconds"],
    ),
    "before 1970": (
        with_value("time_range.start", "1969-12-31T00:00:00Z"),
        "time_range.start",
        ["1970-01-01T00:00:00Z"],
    ),
    "unknown timeframe": (
        with_value("template.timeframe", "15min"),
        "template.timeframe",
        ["15min", "15m"],
    ),
    "market as text": (
        with_value("template.instrument_id.market_id", "1"),
        "template.instrument_id.market_id",
        ["integer", "quotes"],
    ),
    "market too large": (
        with_value("template.instrument_id.market_id", 65536),
        "template.instrument_id.market_id",
        ["at most 65535", "65536"],
    ),
    "symbol with a space": (
        with_value("template.instrument_id.symbol", "BTC USDT"),
        "template.instrument_id.symbol",
        ["BTC USDT"],
    ),
    "empty symbol": (
        with_value("template.instrument_id.symbol", ""),
        "template.instrument_id.symbol",
        ["1 to 64"],
    ),
    "unknown key at the top": (with_value("warmup", 3), "warmup", ["unknown key", "warmup_bars"]),
    "unknown key in the template": (
        with_value("template.timeframes", "1m"),
        "template.timeframes",
        ["unknown key", "did you mean timeframe"],
    ),
    "unknown direction": (
        with_value("template.direction_mode", "long"),
        "template.direction_mode",
        ["long", "long-only"],
    ),
    "unknown sizing": (
        with_value("template.sizing_mode", "all-in"),
        "template.sizing_mode",
        ["all_in"],
    ),
    "unknown entry fill": (
        with_value("template.execution.entry_fill", "next-open"),
        "template.execution.entry_fill",
        ["unknown entry fill", '"next-open"', "did you mean next_open"],
    ),
    "unknown stop fill": (
        with_value("template.execution.stop_fill", "tick"),
        "template.execution.stop_fill",
        ["unknown stop fill", '"tick"', "close, intrabar"],
    ),
    "no stop fill": (
        with_value("template.execution.stop_fill", None),
        "template.execution.stop_fill",
        ["must be a string, the stop fill, got null"],
    ),
    "fee of 50 percent": (
        with_value("template.execution.fee_pct", 50),
        "template.execution.fee_pct",
        ["less than 50", "50"],
    ),
    "negative slippage": (
        with_value("template.execution.slippage_pct", -0.1),
        "template.execution.slippage_pct",
        ["at least 0", "-0.1"],
    ),
    "no cash": (
        with_value("template.execution.init_cash_quote", 0),
        "template.execution.init_cash_quote",
        ["more than 0"],
    ),
    "no fixed amount": (
        with_value("template.execution.fixed_quote", 0),
        "template.execution.fixed_quote",
        ["more than 0"],
    ),
    "safe share above all": (
        with_value("template.execution.safe_profit_percent", 100.5),
        "template.execution.safe_profit_percent",
        ["at most 100"],
    ),
    "market without a default fee": (
        with_value("template.instrument_id.market_id", 9),
        "template.execution.fee_pct",
        ["market 9", "no default fee"],
    ),
    "negative warm-up": (with_value("warmup_bars", -1), "warmup_bars", ["at least 0"]),
    "endless warm-up": (with_value("warmup_bars", 10**6), "warmup_bars", ["at most 100000"]),
    "no preselect": (with_value("preselect", 0), "preselect", ["at least 1"]),
    "more kept than stored": (with_value("top_k", 301), "top_k", ["at most 300", "301"]),
    "more kept than preselected": (
        {**with_value("preselect", 10), "top_k": 11},
        "top_k",
        ["preselect", "10", "11"],
    ),
    "more trades than kept": (
        {**with_value("top_k", 2), "top_trades_n": 3},
        "top_trades_n",
        ["at most top_k (2)", "3"],
    ),
    "unknown metric": (
        with_value("ranking.primary_metric", "sharpe_ratio"),
        "ranking.primary_metric",
        ["sharpe_ratio", "sharpe"],
    ),
    "no primary metric": (
        with_value("ranking.primary_metric", None),
        "ranking.primary_metric",
        ["null"],
    ),
    "negative number of trades": (
        with_value("ranking.min_trades", -1),
        "ranking.min_trades",
        ["at least 0"],
    ),
    "saved strategy": ({"strategy_id": "x", "overrides": {}}, "strategy_id", ["overrides"]),
    "not an object": ([1], "request", ["must be an object"]),
}


@pytest.mark.parametrize(("wrong", "path", "parts"), INVALID.values(), ids=INVALID.keys())
def test_a_mistake_is_named_with_its_path_and_what_to_do(
    wrong: Any, path: str, parts: list[str]
) -> None:
    message = refusal_at(path, wrong)
    assert all(part in message for part in parts), message
    assert refused(wrong).code == "invalid_request"


def test_the_small_request_itself_is_accepted() -> None:
    assert complete(document(), DEFAULTS, LIMITS)


def test_all_mistakes_are_reported_at_once_sorted_by_path() -> None:
    wrong = with_value("time_range.end", "2020-01-01T00:00:00Z")
    wrong["template"]["indicator_grids"] = [
        {"indicator_id": "ma.smaa"},
        {"indicator_id": "momentum.rsi", "output": "rsy", "params": {"windw": explicit(3)}},
    ]
    wrong["ranking"] = {"primary_metric": "sharp"}
    paths = [error.path for error in refused(wrong).errors]
    assert paths == [
        "ranking.primary_metric",
        "template.indicator_grids[0].indicator_id",
        "template.indicator_grids[1].output",
        "template.indicator_grids[1].params.windw",
        "time_range.end",
    ]


def test_the_text_of_the_error_is_one_line_per_mistake() -> None:
    wrong = with_value("top_k", 0)
    wrong["preselect"] = 0
    assert [line.split(":")[0] for line in str(refused(wrong)).splitlines()] == [
        "preselect",
        "top_k",
    ]


def test_a_thousand_wrong_values_of_one_axis_are_not_a_thousand_errors() -> None:
    assert len(refused(with_value(WINDOW, explicit(*["x"] * 1000))).errors) <= 10


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["close", "ma.sma", "range", "explicit", "2024-01-01T00:00:00Z"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["mode", "values", "start", "stop_incl", "step", "window", "sl"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        "time_range",
        "time_range.start",
        "template",
        "template.instrument_id",
        "template.instrument_id.symbol",
        "template.timeframe",
        "template.indicator_grids",
        SMA,
        f"{SMA}.name",
        f"{SMA}.indicator_id",
        f"{SMA}.output",
        f"{SMA}.source",
        f"{SMA}.params",
        WINDOW,
        f"{RSI}.signals",
        f"{RSI}.signals.long_threshold",
        "template.execution",
        "template.execution.fee_pct",
        "template.risk_grid",
        "template.risk_grid.sl",
        "preselect",
        "top_k",
        "ranking",
        "ranking.secondary_metric",
        "ranking.min_trades",
        "ranking.distinct",
        "validation",
        "version",
        "warmup_bars",
        "result_bytes_max",
    ]
)


@given(place=PLACES, value=ANYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_request_is_accepted_or_refused_but_never_crashes(
    place: str, value: Any
) -> None:
    try:
        effective = complete(with_value(place, value), DEFAULTS, LIMITS)
    except RequestError:
        return
    assert complete(effective, DEFAULTS, LIMITS) == effective
    assert parse(effective).document == effective


def test_a_strange_key_does_not_break_the_line() -> None:
    wrong = document() | {"a\nb: c": 1, "x" * 1000: 2}
    assert [len(line) < 200 for line in str(refused(wrong)).splitlines()] == [True, True]
