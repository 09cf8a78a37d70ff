"""Every mistake a request can hold: one clear message with the path, the value and the limit."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request import Limits, RequestError, complete, parse, read_json
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    document,
    explicit,
    ranged,
    with_value,
    without,
)

RSI = "template.indicator_grids[1]"
SMA = "template.indicator_grids[0]"
WINDOW = f"{SMA}.params.window"


def refused(wrong: Any, limits: Limits = LIMITS) -> RequestError:
    with pytest.raises(RequestError) as caught:
        complete(wrong, DEFAULTS, limits)
    return caught.value


def swapped(position: int, **block: Any) -> dict[str, Any]:
    return with_value(f"template.indicator_grids[{position}]", block)


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
    "unknown key in a block": (
        swapped(0, indicator_id="ma.sma", sorce=1),
        f"{SMA}.sorce",
        ["did you mean source"],
    ),
    "unknown key in an axis": (
        with_value(WINDOW, {"mode": "explicit", "values": [5], "stop": 3}),
        f"{WINDOW}.stop",
        ["unknown key"],
    ),
    "unknown indicator": (
        swapped(0, indicator_id="ma.smaa"),
        f"{SMA}.indicator_id",
        ["ma.smaa", "ma.sma"],
    ),
    "indicator not a string": (swapped(0, indicator_id=7), f"{SMA}.indicator_id", ["string"]),
    "no indicator": (swapped(0), f"{SMA}.indicator_id", ["is missing"]),
    "block not an object": (with_value(SMA, "ma.sma"), SMA, ["must be an object"]),
    "unknown output": (
        swapped(1, indicator_id="momentum.macd", output="histo"),
        f"{RSI}.output",
        ["histo", "hist"],
    ),
    "unknown source": (
        swapped(0, indicator_id="ma.sma", source=explicit("closes")),
        f"{SMA}.source.values[0]",
        ["closes", "close"],
    ),
    "source twice": (
        swapped(0, indicator_id="ma.sma", source=explicit("close", "close")),
        f"{SMA}.source.values[1]",
        ["given twice"],
    ),
    "source of an indicator without one": (
        swapped(0, indicator_id="volatility.atr", source=explicit("close")),
        f"{SMA}.source",
        ["does not choose a source", "remove it"],
    ),
    "unknown parameter": (
        swapped(0, indicator_id="ma.sma", params={"windw": explicit(5)}),
        f"{SMA}.params.windw",
        ["did you mean window"],
    ),
    "unused parameter": (
        swapped(0, indicator_id="momentum.macd", output="line", params={"signal": explicit(9)}),
        f"{SMA}.params.signal",
        ["line", "does not use it", "multiply equal variants"],
    ),
    "signal parameter of a rule without any": (
        swapped(0, indicator_id="ma.sma", signals={"long_threshold": explicit(1)}),
        f"{SMA}.signals.long_threshold",
        ["price_vs_output", "no parameters"],
    ),
    "unknown signal parameter": (
        swapped(1, indicator_id="momentum.rsi", signals={"long_treshold": explicit(1)}),
        f"{RSI}.signals.long_treshold",
        ["did you mean long_threshold"],
    ),
    "parameter without a default": (
        swapped(0, indicator_id="volatility.bbands"),
        f"{SMA}.params.window",
        ["has no default"],
    ),
    "same name twice": (
        swapped(1, indicator_id="ma.sma"),
        RSI,
        ["ma.sma", "given twice", "name"],
    ),
    "bad name": (swapped(0, indicator_id="ma.sma", name="slow one"), f"{SMA}.name", ["slow one"]),
    "axis as a number": (with_value(WINDOW, 20), WINDOW, ["must be an axis", "20"]),
    "axis without a mode": (with_value(WINDOW, {"values": [5]}), f"{WINDOW}.mode", ["missing"]),
    "unknown mode": (
        with_value(WINDOW, {"mode": "list", "values": [5]}),
        f"{WINDOW}.mode",
        ["list", "explicit"],
    ),
    "explicit without values": (
        with_value(WINDOW, {"mode": "explicit"}),
        f"{WINDOW}.values",
        ["is missing"],
    ),
    "no values": (with_value(WINDOW, explicit()), f"{WINDOW}.values", ["must not be empty"]),
    "value twice": (with_value(WINDOW, explicit(5, 5.0)), f"{WINDOW}.values[1]", ["given twice"]),
    "fraction for an integer": (
        with_value(WINDOW, explicit(5.5)),
        f"{WINDOW}.values[0]",
        ["must be an integer", "5.5"],
    ),
    "bool for a number": (
        with_value(WINDOW, explicit(True)),
        f"{WINDOW}.values[0]",
        ["must be an integer", "true"],
    ),
    "text for a number": (
        with_value(WINDOW, explicit("20")),
        f"{WINDOW}.values[0]",
        ["without quotes"],
    ),
    "null for a number": (with_value(WINDOW, explicit(None)), f"{WINDOW}.values[0]", ["null"]),
    "NaN": (
        with_value(f"{RSI}.signals.long_threshold", explicit(float("nan"))),
        f"{RSI}.signals.long_threshold.values[0]",
        ["finite"],
    ),
    "infinity": (
        with_value(f"{RSI}.signals.long_threshold", ranged(0, float("inf"), 1)),
        f"{RSI}.signals.long_threshold.stop_incl",
        ["finite"],
    ),
    "a number of 400 digits": (
        with_value(f"{RSI}.signals.long_threshold", explicit(10**400)),
        f"{RSI}.signals.long_threshold.values[0]",
        ["60 digits"],
    ),
    "window below the smallest": (
        with_value(WINDOW, ranged(0, 20, 1)),
        f"{WINDOW}.start",
        ["at least 1", "0"],
    ),
    "rsi window below the smallest": (
        with_value(f"{RSI}.params.window", explicit(1)),
        f"{RSI}.params.window.values[0]",
        ["at least 2", "1"],
    ),
    "zero step": (with_value(WINDOW, ranged(5, 20, 0)), f"{WINDOW}.step", ["more than 0", "0"]),
    "negative step": (with_value(WINDOW, ranged(5, 20, -1)), f"{WINDOW}.step", ["more than 0"]),
    "fractional step of an integer": (
        with_value(WINDOW, ranged(5, 20, 0.5)),
        f"{WINDOW}.step",
        ["must be an integer", "0.5"],
    ),
    "step too small for floats": (
        with_value(f"{RSI}.signals.long_threshold", ranged(1e14, 1e14 + 1, 1e-4)),
        f"{RSI}.signals.long_threshold.step",
        ["too small"],
    ),
    "stop before start": (
        with_value(WINDOW, ranged(20, 5, 1)),
        f"{WINDOW}.stop_incl",
        ["at least start (20)", "5"],
    ),
    "range without a step": (
        with_value(WINDOW, {"mode": "range", "start": 5, "stop_incl": 9}),
        f"{WINDOW}.step",
        ["is missing"],
    ),
    "range of names": (
        swapped(0, indicator_id="ma.cross", params={"ma": ranged(0, 1, 1)}),
        f"{SMA}.params.ma.mode",
        ["by name", "sma", "ema"],
    ),
    "no valid pair": (
        swapped(0, indicator_id="ma.cross", params={"fast": explicit(300)}),
        f"{SMA}.params",
        ["fast < slow", "no combination"],
    ),
    "no pair with equality either": (
        swapped(
            0,
            indicator_id="trend.psar",
            params={
                "accel_start": explicit(0.3),
                "accel_step": explicit(0.02),
                "accel_max": explicit(0.1, 0.2),
            },
        ),
        f"{SMA}.params",
        ["accel_start <= accel_max", "no combination"],
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
    "stop of zero": (
        with_value("template.risk_grid.sl", explicit(0)),
        "template.risk_grid.sl.values[0]",
        ["more than 0"],
    ),
    "null twice in a risk axis": (
        with_value("template.risk_grid.tp", explicit(None, 2, None)),
        "template.risk_grid.tp.values[2]",
        ["null is given twice"],
    ),
    "unknown risk axis": (
        with_value("template.risk_grid.stop", None),
        "template.risk_grid.stop",
        ["unknown key"],
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
    "saved strategy": ({"strategy_id": "x", "overrides": {}}, "strategy_id", ["template"]),
    "not an object": ([1], "request", ["must be an object"]),
}


@pytest.mark.parametrize(("wrong", "path", "parts"), INVALID.values(), ids=INVALID.keys())
def test_a_mistake_is_named_with_its_path_and_what_to_do(
    wrong: Any, path: str, parts: list[str]
) -> None:
    error = refused(wrong)
    messages = [found.message for found in error.errors if found.path == path]
    assert messages, f"no error at {path}: {error}"
    assert all(part in messages[0] for part in parts), messages[0]
    assert error.code == "invalid_request"


def test_the_small_request_itself_is_accepted() -> None:
    assert complete(document(), DEFAULTS, LIMITS)


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
        ["1000 preselected x 1000 risk = 1000000", "600000"],
    ),
    "risk axis of a billion": (
        with_value("template.risk_grid.sl", ranged(1, 10**9, 1)),
        "template.risk_grid.sl",
        ["1000000000", "600000"],
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


def test_a_mistake_outweighs_the_guard() -> None:
    wrong = with_value(WINDOW, ranged(1, 10**6, 1))
    wrong["top_k"] = 0
    assert refused(wrong).code == "invalid_request"


def test_the_text_of_the_error_is_one_line_per_mistake() -> None:
    wrong = with_value("top_k", 0)
    wrong["preselect"] = 0
    assert [line.split(":")[0] for line in str(refused(wrong)).splitlines()] == [
        "preselect",
        "top_k",
    ]


def test_a_thousand_wrong_values_of_one_axis_are_not_a_thousand_errors() -> None:
    assert len(refused(with_value(WINDOW, explicit(*["x"] * 1000))).errors) <= 10


@pytest.mark.parametrize("path", ["warmup_bars", "top_k", "ranking", "template"])
def test_an_effective_request_must_name_everything(path: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective[path]
    with pytest.raises(RequestError, match=f"{path}: is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["fee_pct", "init_cash_quote", "fixed_quote"])
def test_an_effective_request_must_name_every_cost(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["execution"][name]
    with pytest.raises(RequestError, match=f"template.execution.{name}: is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["name", "output", "source", "params", "signals"])
def test_an_effective_block_must_name_everything(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["indicator_grids"][0][name]
    with pytest.raises(RequestError, match="is missing"):
        parse(effective)


def test_a_forged_effective_request_meets_the_guard() -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    with pytest.raises(RequestError) as caught:
        parse(effective, Limits(max_variants_per_compute=10, max_compute_bytes_total=10**9))
    assert caught.value.code == "guard_exceeded"


TEXTS = {
    "not json": ("{", "line 1, column 2"),
    "key twice": ('{"a": 1, "a": 2}', '"a" twice'),
    "NaN": ('{"a": NaN}', "NaN"),
    "infinity": ('{"a": -Infinity}', "-Infinity"),
    "nested": ("[" * 100_000, "nested too deeply"),
    "digits": ('{"a": ' + "1" * 5000 + "}", "more digits"),
    "not utf-8": (b'{"a": "\xff"}', "UTF-8"),
    "large": (" " * (2**20 + 1), "limit is 1048576"),
}


@pytest.mark.parametrize(("text", "part"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_is_no_request_is_refused_with_the_reason(text: str | bytes, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_json(text)
    assert part in str(caught.value)


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
