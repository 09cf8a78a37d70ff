"""Defaults from settings: checked as a request's own, every mistake with its file and key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.settings import ENVIRONMENTS, load
from engine.indicators.registry import catalogue
from engine.request import (
    Defaults,
    DefaultsError,
    Limits,
    complete,
    parse,
    read_defaults,
)
from tests.engine.requests import LIMITS, document, explicit, ranged, with_value

GIVEN: dict[str, Any] = {
    "warmup_bars": 200,
    "top_k": 300,
    "preselect": 20_000,
    "top_k_persisted": 300,
    "top_trades_n": 3,
    "result_bytes_max": 33_554_432,
    "primary_metric": "total_return_pct",
    "secondary_metric": None,
    "min_trades": 30,
    "distinct": True,
    "init_cash_quote": 10_000,
    "fixed_quote": 100,
    "safe_profit_percent": 30.0,
    "slippage_pct": 0.01,
    "fee_pct_by_market_id": {1: 0.075},
    "indicator_grids": {},
}


def refused(values: dict[str, Any], origins: dict[str, str] | None = None) -> DefaultsError:
    with pytest.raises(DefaultsError) as caught:
        read_defaults(values, origins or {})
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_defaults_are_the_values_of_the_settings() -> None:
    read = read_defaults(GIVEN)
    grids = read.indicator_grids
    assert read == Defaults(**(GIVEN | {"indicator_grids": grids}))
    assert list(grids) == [indicator.id for indicator in catalogue()]


def test_without_overrides_the_axes_are_the_declared_ones() -> None:
    grids = read_defaults(GIVEN).indicator_grids
    for indicator in catalogue():
        assert grids[indicator.id] == {
            "params": {param.name: param.default for param in indicator.params},
            "signals": indicator.signals,
        }


def test_an_override_replaces_the_axes_it_names_and_no_other() -> None:
    override = {
        "ma.cross": {"params": {"fast": explicit(7)}},
        "momentum.rsi": {"signals": {"long_threshold": ranged(1, 3, 1)}},
    }
    declared = read_defaults(GIVEN).indicator_grids
    grids = read_defaults(GIVEN | {"indicator_grids": override}).indicator_grids
    cross, rsi = grids["ma.cross"]["params"], grids["momentum.rsi"]
    assert cross == declared["ma.cross"]["params"] | {"fast": explicit(7)}
    assert rsi["params"] == declared["momentum.rsi"]["params"]
    assert rsi["signals"]["long_threshold"] == ranged(1, 3, 1)
    assert (
        rsi["signals"]["short_threshold"]
        == (declared["momentum.rsi"]["signals"]["short_threshold"])
    )
    changed = {name for name in grids if grids[name] != declared[name]}
    assert changed == {"ma.cross", "momentum.rsi"}
    assert read_defaults(GIVEN).indicator_grids == declared


def test_an_override_may_be_written_as_short_as_in_a_request() -> None:
    override = {"ma.sma": {"params": {"window": [7, 8]}}, "ma.ema": {"params": {"window": 9}}}
    grids = read_defaults(GIVEN | {"indicator_grids": override}).indicator_grids
    assert grids["ma.sma"]["params"]["window"] == explicit(7, 8)
    assert grids["ma.ema"]["params"]["window"] == explicit(9)


def test_a_request_is_filled_in_from_an_override() -> None:
    override = {"ma.sma": {"params": {"window": explicit(7, 8)}}}
    defaults = read_defaults(GIVEN | {"indicator_grids": override})
    effective = complete(document(), defaults, LIMITS)
    sma, _ = effective["template"]["indicator_grids"]
    assert sma["params"]["window"] == explicit(7, 8)


# Text of an indicators.yaml, the path that is refused, and what the message says.
WRONG_AXES = {
    "misspelt indicator": ("ma.demaa: {}", "ma.demaa", ["'ma.demaa'", "ma.dema"]),
    "misspelt parameter": (
        "ma.sma: {params: {windoww: {mode: explicit, values: [5]}}}",
        "ma.sma.params.windoww",
        ["unknown parameter", "did you mean window"],
    ),
    "misspelt parameter beside another": (
        "ma.cross: {params: {fst: 1, slow: {mode: explicit, values: [5]}}}",
        "ma.cross.params.fst",
        ["did you mean fast"],
    ),
    "parameter of one without any": (
        "volume.obv: {params: {window: {mode: explicit, values: [5]}}}",
        "volume.obv.params.window",
        ["has no parameters"],
    ),
    "not a number": (
        "ma.sma: {params: {window: {mode: range, start: .nan, stop_incl: 9, step: 1}}}",
        "ma.sma.params.window.start",
        ["finite number", "nan"],
    ),
    "infinite": (
        "momentum.rsi: {signals: {long_threshold: {mode: explicit, values: [-.inf]}}}",
        "momentum.rsi.signals.long_threshold.values[0]",
        ["finite number", "-inf"],
    ),
    "step of zero": (
        "ma.sma: {params: {window: {mode: range, start: 5, stop_incl: 9, step: 0}}}",
        "ma.sma.params.window.step",
        ["more than 0"],
    ),
    "window too small": (
        "momentum.rsi: {params: {window: {mode: explicit, values: [1]}}}",
        "momentum.rsi.params.window.values[0]",
        ["at least 2", "1"],
    ),
    "too many values": (
        "ma.sma: {params: {window: {mode: range, start: 1, stop_incl: 1000000000, step: 1}}}",
        "ma.sma.params.window.stop_incl",
        ["at most 1000000"],
    ),
    "unknown choice": (
        "ma.cross: {params: {ma: {mode: explicit, values: [smma]}}}",
        "ma.cross.params.ma.values[0]",
        ["smma", "sma"],
    ),
    "misspelt signal": (
        "momentum.rsi: {signals: {long_treshold: {mode: explicit, values: [5]}}}",
        "momentum.rsi.signals.long_treshold",
        ["did you mean long_threshold"],
    ),
    "signal of one without any": (
        "ma.sma: {signals: {long_threshold: {mode: explicit, values: [5]}}}",
        "ma.sma.signals.long_threshold",
        ["no parameters"],
    ),
    "misspelt section": ("ma.sma: {param: {}}", "ma.sma.param", ["did you mean params"]),
    "no valid pair": (
        "ma.cross: {params: {fast: {mode: explicit, values: [500]}}}",
        "ma.cross.params",
        ["fast < slow"],
    ),
    "null": ("ma.sma: ", "ma.sma", ["must be an object"]),
    "axes as a list": ("ma.sma: {params: [5]}", "ma.sma.params", ["must be an object of axes"]),
    "axis as a word": (
        "ma.sma: {params: {window: all}}",
        "ma.sma.params.window",
        ["a value", "all"],
    ),
    "axis as a date": (
        "ma.sma: {params: {window: 2024-01-01}}",
        "ma.sma.params.window",
        ["must be an integer", "2024"],
    ),
    "key that is no text": ("ma.sma: {params: {5: 5}}", "ma.sma.params.5", ["unknown parameter"]),
}


@pytest.mark.parametrize(("text", "path", "parts"), WRONG_AXES.values(), ids=WRONG_AXES.keys())
def test_a_wrong_axis_is_refused_with_the_file_the_path_and_what_is_known(
    text: str, path: str, parts: list[str]
) -> None:
    values = GIVEN | {"indicator_grids": yaml.safe_load(text)}
    error = refused(values, {"indicator_grids": "indicators.yaml: indicators"})
    (wrong,) = error.errors
    assert wrong.path == f"indicators.yaml: indicators.{path}"
    assert all(part in wrong.text for part in parts), wrong.text
    assert str(error) == f"{wrong.path}: {wrong.text}"


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("primary_metric", "total_return", "did you mean total_return_pct"),
        ("primary_metric", None, "must be a string"),
        ("secondary_metric", "sharpe_ratio", "did you mean sharpe"),
        ("top_k", 301, "at most 300 (jobs.top_k_persisted_default)"),
        ("min_trades", -1, "at least 0"),
        ("distinct", 1, "true or false"),
        ("top_k_persisted", 2049, "at most 2048"),
        ("warmup_bars", 100_001, "at most 100000"),
        ("preselect", 0, "at least 1"),
        ("top_trades_n", 2.5, "must be an integer"),
        ("result_bytes_max", 0, "at least 1"),
        ("slippage_pct", 50, "less than 50"),
        ("init_cash_quote", 0, "more than 0"),
        ("fixed_quote", float("nan"), "finite"),
        ("safe_profit_percent", 101, "at most 100"),
        ("fee_pct_by_market_id", [0.1], "must be an object"),
        ("indicator_grids", ["ma.sma"], "must be an object"),
    ],
)
def test_a_wrong_value_is_refused_where_it_was_written(name: str, value: Any, part: str) -> None:
    (wrong,) = refused(GIVEN | {name: value}, {name: f"file: key.of.{name}"}).errors
    assert wrong.path == f"file: key.of.{name}"
    assert part in wrong.text


@pytest.mark.parametrize(
    ("fees", "path"),
    [({1: 0.1, 2: 50}, "2"), ({1: -0.1}, "1"), ({"binance": 0.1}, "binance"), ({70_000: 1}, "")],
)
def test_a_wrong_fee_is_refused_with_its_market(fees: dict[Any, Any], path: str) -> None:
    (wrong,) = refused(GIVEN | {"fee_pct_by_market_id": fees}).errors
    assert wrong.path.startswith(f"fee_pct_by_market_id.{path}")


def test_everything_that_is_wrong_is_named_at_once() -> None:
    error = refused(GIVEN | {"top_k": 0, "primary_metric": "x", "indicator_grids": {"ma.smaa": {}}})
    assert [wrong.path for wrong in error.errors] == [
        "indicator_grids.ma.smaa",
        "primary_metric",
        "top_k",
    ]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_shipped_settings_complete_a_request_for_every_output(env: str) -> None:
    shipped = load(environ={"ROEHUB_ENV": env})
    defaults = read_defaults(*shipped.request_defaults())
    for indicator in catalogue():
        for output in indicator.outputs:
            grids = [{"indicator_id": indicator.id, "output": output.name}]
            wanted = with_value("template.indicator_grids", grids)
            parse(complete(wanted, defaults, Limits(**shipped.request_limits())))


def test_a_file_of_overrides_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "backtest.yaml").write_text(
        "backtest: {ranking: {primary_metric_default: total_return}}"
    )
    (tmp_path / "indicators.yaml").write_text("indicators: {ma.demaa: {}}")
    settings = load(tmp_path / "backtest.yaml", {"ROEHUB_ENV": "test"})
    with pytest.raises(DefaultsError) as caught:
        read_defaults(*settings.request_defaults())
    said = str(caught.value)
    assert f"{settings.path}: backtest.ranking.primary_metric_default: unknown metric" in said
    assert f"{tmp_path}/indicators.yaml: indicators.ma.demaa: unknown indicator" in said
