"""Every mistake in the indicators of a request and in its axes, with its path and what to do."""

from typing import Any

import pytest

from tests.engine.requests import (
    RSI,
    SMA,
    WINDOW,
    explicit,
    ranged,
    refusal_at,
    refused,
    swapped,
    with_value,
)

INVALID = {
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
    "axis as a word": (with_value(WINDOW, "20"), WINDOW, ["a value, an array", '"20"']),
    "axis as null": (with_value(WINDOW, None), WINDOW, ["a value, an array", "null"]),
    "axis as true": (with_value(WINDOW, True), WINDOW, ["must be an integer", "true"]),
    "fraction alone for an integer": (with_value(WINDOW, 5.5), WINDOW, ["an integer", "5.5"]),
    "value too small alone": (with_value(WINDOW, 0), WINDOW, ["at least 1", "0"]),
    "value too small in an array": (with_value(WINDOW, [5, 0]), f"{WINDOW}[1]", ["at least 1"]),
    "value twice in an array": (with_value(WINDOW, [5, 7, 5]), f"{WINDOW}[2]", ["given twice"]),
    "empty array": (with_value(WINDOW, []), WINDOW, ["must not be empty"]),
    "array in an array": (with_value(WINDOW, [[5]]), f"{WINDOW}[0]", ["integer", "an array"]),
    "unknown source alone": (
        swapped(0, indicator_id="ma.sma", source="closes"),
        f"{SMA}.source",
        ["closes", "did you mean close"],
    ),
    "stop of zero alone": (
        with_value("template.risk_grid.sl", 0),
        "template.risk_grid.sl",
        ["more than 0"],
    ),
    "more values than may be listed": (
        with_value(WINDOW, list(range(1, 10_002))),
        WINDOW,
        ["lists 10001 values", "at most 10000", "range"],
    ),
    "more explicit values than may be listed": (
        with_value(WINDOW, explicit(*range(1, 10_002))),
        f"{WINDOW}.values",
        ["lists 10001 values", "at most 10000", "range"],
    ),
    "negative body": (
        swapped(0, indicator_id="structure.candle_body", signals={"min_body": explicit(-0.1)}),
        f"{SMA}.signals.min_body.values[0]",
        ["at least 0", "-0.1"],
    ),
    "negative threshold around a center": (
        swapped(
            0,
            indicator_id="trend.vortex",
            output="vi_plus",
            params={"window": 14},
            signals={"abs_threshold": -0.1},
        ),
        f"{SMA}.signals.abs_threshold",
        ["at least 0", "-0.1"],
    ),
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
}


@pytest.mark.parametrize(("wrong", "path", "parts"), INVALID.values(), ids=INVALID.keys())
def test_a_mistake_is_named_with_its_path_and_what_to_do(
    wrong: Any, path: str, parts: list[str]
) -> None:
    message = refusal_at(path, wrong)
    assert all(part in message for part in parts), message
    assert refused(wrong).code == "invalid_request"
