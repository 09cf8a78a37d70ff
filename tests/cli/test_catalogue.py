from engine.indicators.registry import catalogue
from tests.cli.conftest import Backtest


def test_every_indicator_is_listed_with_its_parameters_and_outputs(backtest: Backtest) -> None:
    shown = backtest("indicators").out
    for indicator in catalogue():
        line = next(line for line in shown.splitlines() if line.startswith(f"{indicator.id} "))
        assert indicator.outputs[0].name in line


def test_the_list_for_machines_holds_what_a_request_needs(backtest: Backtest) -> None:
    listed = {item["indicator_id"]: item for item in backtest("indicators", "--json").json}
    assert list(listed) == [indicator.id for indicator in catalogue()]
    rsi = listed["momentum.rsi"]
    assert rsi["params"] == [
        {
            "name": "window",
            "type": "int",
            "minimum": 2,
            "maximum": 1_000_000,
            "choices": [],
            "default": {"mode": "range", "start": 3, "stop_incl": 120, "step": 1},
        }
    ]
    (output,) = rsi["outputs"]
    assert (output["name"], output["rule"]) == ("rsi", "threshold_band")
    assert [signal["name"] for signal in output["signals"]] == ["long_threshold", "short_threshold"]
    assert all(item["formula"] and item["description"] for item in listed.values())


def test_one_indicator_is_explained(backtest: Backtest) -> None:
    shown = backtest("indicators", "ma.cross").out
    for part in ("fast < slow", "sma, ema, wma", "5..50 step 1", "above zero: LONG", "hlc3"):
        assert part in shown


def test_an_output_is_shown_with_the_history_it_takes(backtest: Backtest) -> None:
    shown = backtest("indicators", "ma.tema").out
    assert "history at the default axes: 597 bars to a value, 2,670 until it settles" in shown
    assert "history at the default axes: 139 bars" in backtest("indicators", "trend.ichimoku").out
    (output,) = backtest("indicators", "volume.obv", "--json").json["outputs"]
    assert output["lookback"] == {"defined_after": 20, "settled_after": 20}


def test_an_unknown_indicator_is_refused_with_what_it_may_have_been(backtest: Backtest) -> None:
    refused = backtest("indicators", "momentum.rsj")
    assert refused.code == 2
    assert "'momentum.rsj'" in refused.err
    assert "momentum.rsi" in refused.err
