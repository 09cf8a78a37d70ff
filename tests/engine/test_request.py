"""The effective request: complete, stable under repetition, storage and order."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from engine.request import (
    Defaults,
    canonical_json,
    complete,
    engine_params_hash,
    parse,
    read_json,
    request_hash,
)
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit, ranged, with_value

EXAMPLE = """
{"time_range": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
 "template": {
   "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"}, "timeframe": "15m",
   "indicator_grids": [
     {"indicator_id": "ma.sma", "source": {"mode": "explicit", "values": ["close"]},
      "params": {"window": {"mode": "range", "start": 5, "stop_incl": 200, "step": 1}}},
     {"indicator_id": "momentum.rsi", "output": "rsi",
      "params": {"window": {"mode": "explicit", "values": [7, 14, 21]}},
      "signals": {"long_threshold": {"mode": "range", "start": 20, "stop_incl": 40, "step": 2},
                  "short_threshold": {"mode": "explicit", "values": [60, 70, 80]}}}],
   "direction_mode": "long-short", "sizing_mode": "all_in",
   "execution": {"init_cash_quote": 10000, "fee_pct": 0.075, "slippage_pct": 0.01,
                 "fixed_quote": 100, "safe_profit_percent": 30},
   "risk_grid": {"sl": {"mode": "range", "start": 1, "stop_incl": 5, "step": 1},
                 "tp": {"mode": "explicit", "values": [null, 2, 4, 8]}, "tsl": null}},
 "warmup_bars": null, "preselect": 20000, "top_k": 300, "top_trades_n": 3,
 "ranking": {"primary_metric": "total_return_pct", "secondary_metric": null, "min_trades": 30,
             "distinct": true},
 "validation": null}
"""


def test_the_documented_example_is_accepted_and_means_what_it_says() -> None:
    request = parse(complete(read_json(EXAMPLE), DEFAULTS, LIMITS))
    sma, rsi = request.blocks
    assert sma.params == {"window": tuple(range(5, 201))}
    assert rsi.signals == {
        "long_threshold": tuple(float(value) for value in range(20, 41, 2)),
        "short_threshold": (60.0, 70.0, 80.0),
    }
    assert request.risk.sl == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert request.risk.tp == (None, 2.0, 4.0, 8.0)
    assert request.risk.tsl == (None,)
    assert (request.start_ms, request.end_ms) == (1_704_067_200_000, 1_735_689_600_000)
    assert request.timeframe_ms == 900_000
    assert (request.ranking.min_trades, request.ranking.distinct) == (30, True)


def test_what_is_left_out_is_filled_in() -> None:
    defaults = replace(DEFAULTS, min_trades=30, distinct=False)
    effective = complete(document(), defaults, LIMITS)
    template = effective["template"]
    assert template["execution"] == {
        "init_cash_quote": 10_000.0,
        "fee_pct": 0.075,
        "slippage_pct": 0.01,
        "fixed_quote": 100.0,
        "safe_profit_percent": 30.0,
        "entry_fill": "close",
        "stop_fill": "close",
        "reentry_after_bars": 0,
        "percent": 100.0,
        "risk_per_trade_pct": 1.0,
        "leverage": None,
        "funding_pct_per_8h": 0.0,
        "borrow_pct_per_year": 0.0,
    }
    assert (template["position"], template["exit_grids"]) == ("state", [])
    assert template["risk_grid"] == {"sl": None, "tp": None, "tsl": None}
    assert template["direction_mode"] == "long-short"
    assert template["sizing_mode"] == "all_in"
    assert [block["name"] for block in template["indicator_grids"]] == ["ma.sma", "momentum.rsi"]
    assert template["indicator_grids"][0]["source"] == explicit("close")
    assert template["indicator_grids"][0]["params"] == {"window": ranged(5, 200, 1)}
    assert effective["ranking"] == {
        "primary_metric": "total_return_pct",
        "secondary_metric": None,
        "min_trades": 30,
        "distinct": False,
    }
    assert (effective["warmup_bars"], effective["preselect"]) == (200, 20_000)
    assert effective["validation"] is None


def test_completing_twice_changes_nothing() -> None:
    once = complete(read_json(EXAMPLE), DEFAULTS, LIMITS)
    assert complete(once, DEFAULTS, LIMITS) == once
    assert canonical_json(complete(once, DEFAULTS, LIMITS)) == canonical_json(once)


def test_an_effective_request_takes_nothing_from_other_defaults() -> None:
    once = complete(document(), DEFAULTS, LIMITS)
    others = Defaults(
        warmup_bars=7,
        top_k=9,
        preselect=11,
        top_k_persisted=1000,
        top_trades_n=1,
        primary_metric="sqn",
        secondary_metric="sharpe",
        init_cash_quote=1.0,
        fixed_quote=1.0,
        safe_profit_percent=1.0,
        slippage_pct=1.0,
        fee_pct_by_market_id={},
        indicator_grids={},
        result_bytes_max=50_000_000,
        min_trades=77,
        distinct=False,
    )
    assert complete(once, others, LIMITS) == once
    assert parse(once).document == once


def test_the_request_given_is_left_alone() -> None:
    given = document()
    complete(given, DEFAULTS, LIMITS)
    assert given == document()


def test_the_order_of_blocks_and_the_spelling_of_numbers_do_not_change_the_hash() -> None:
    other = with_value("preselect", 20_000.0)
    other["template"]["indicator_grids"].reverse()
    other["time_range"]["start"] = "2024-01-01T03:00:00.000+03:00"
    other["template"]["risk_grid"] = {"sl": explicit(None)}
    one, two = complete(document(), DEFAULTS, LIMITS), complete(other, DEFAULTS, LIMITS)
    assert request_hash(one) == request_hash(two)


def test_hashes_survive_a_store_that_writes_numbers_its_own_way() -> None:
    """Postgres prints a jsonb number without an exponent; -0.0 comes back as 0.0."""
    wrong_way = with_value("template.execution.slippage_pct", 1e-7)
    wrong_way["template"]["execution"]["init_cash_quote"] = 1e15
    wrong_way["template"]["indicator_grids"][1]["signals"] = {"long_threshold": explicit(-0.0)}
    effective = complete(wrong_way, DEFAULTS, LIMITS)
    text = canonical_json(effective)
    assert "1000000000000000.0" in text
    assert "-0.0" not in text
    stored = json.loads(text.replace("1e-07", "0.0000001"))
    assert request_hash(stored) == request_hash(effective)


def test_hashes_are_the_same_on_every_machine() -> None:
    """The expected hash is that of the canonical text by another program (sha256sum)."""
    effective = complete(read_json(EXAMPLE), DEFAULTS, LIMITS)
    assert canonical_json({"b": [1, 2.5, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5,null]}'
    assert engine_params_hash(effective) == (
        "9d8e08177356427c4373e49eca58836a19f3d06cb73da3b9dfc2026a5fbe0ccb"
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_has_no_canonical_form(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": number})


def test_only_direction_sizing_and_execution_are_engine_parameters() -> None:
    base = engine_params_hash(complete(document(), DEFAULTS, LIMITS))
    same = with_value("top_k", 5)
    same["template"]["timeframe"] = "1h"
    others = [
        with_value("template.direction_mode", "long-only"),
        with_value("template.execution.entry_fill", "next_open"),
        with_value("template.execution.stop_fill", "intrabar"),
    ]
    assert engine_params_hash(complete(same, DEFAULTS, LIMITS)) == base
    hashes = {engine_params_hash(complete(other, DEFAULTS, LIMITS)) for other in others}
    assert len(hashes | {base}) == 4


def test_default_sizes_shrink_with_the_request_instead_of_refusing_it() -> None:
    effective = complete(with_value("preselect", 2), DEFAULTS, LIMITS)
    assert effective["top_k"] == 2
    assert effective["top_trades_n"] == 2


def test_preselect_may_exceed_the_variants() -> None:
    assert complete(with_value("preselect", 10**9), DEFAULTS, LIMITS)["preselect"] == 10**9


def test_an_indicator_may_appear_twice_under_two_names() -> None:
    grids = [{"indicator_id": "ma.sma", "name": name} for name in ("slow", "fast")]
    request = parse(complete(with_value("template.indicator_grids", grids), DEFAULTS, LIMITS))
    assert [block.name for block in request.blocks] == ["fast", "slow"]


def test_an_output_that_needs_fewer_parameters_gets_fewer() -> None:
    grids = [{"indicator_id": "momentum.macd", "output": "line"}]
    effective = complete(with_value("template.indicator_grids", grids), DEFAULTS, LIMITS)
    assert set(effective["template"]["indicator_grids"][0]["params"]) == {"fast", "slow"}


def test_reading_requests_does_not_load_the_compiler() -> None:
    program = "import sys, engine.request, engine.grid; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
