"""A variant of a sweep as a request of its own makes the same row, bit for bit."""

import copy
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from engine import one_variant
from engine.candles import Candles
from engine.grid import Grid
from engine.one_variant import OneVariant, base_variant, template_of, variant_by_index
from engine.report import VariantReport, reports
from engine.request import Request, complete, parse, saved_document
from engine.sweep import Sweep
from tests.engine.enumeration import base_variants, risk_variants
from tests.engine.properties_sweeps import last
from tests.engine.small_sweeps import DEFAULTS, LIMITS, candles, ruinous_candles
from tests.engine.worlds import steps

OTHER_DEFAULTS = replace(
    DEFAULTS,
    warmup_bars=None,
    top_k=7,
    preselect=5,
    top_trades_n=7,
    primary_metric="num_trades",
    secondary_metric="sqn",
    init_cash_quote=1.0,
    fixed_quote=1.0,
    safe_profit_percent=1.0,
    slippage_pct=1.0,
    fee_pct_by_market_id={1: 9.0},
    min_trades=77,
    distinct=False,
    result_bytes_max=2**22,
)
"""Settings that changed since the parent was submitted."""

CROSS = {
    "indicator_id": "ma.cross",
    "source": ["hl2", "close"],
    "params": {
        "ma": ["wma", "sma"],
        "fast": steps(3, 12, 3),
        "slow": [5, 9, 20],  # of 12 pairs, 7 are valid
    },
}
STRENGTH = {
    "indicator_id": "momentum.rsi",
    "name": "a",
    "params": {"window": steps(4, 8, 2)},
    "signals": {"long_threshold": steps(45.1, 52.3, 3.6), "short_threshold": [50, 48.7]},
}
BAND = {
    "indicator_id": "volatility.bbands",
    "output": "upper",
    "source": "ohlc4",
    "params": {"window": [9, 4], "mult": steps(0.1, 0.3, 0.1)},
}
RANGE = {
    "indicator_id": "volatility.atr",
    "params": {"window": [3, 11]},
    "signals": {"long_delta_periods": [1, 4], "short_delta_periods": [2]},
}
DIFFERENCE = {
    "indicator_id": "momentum.macd",
    "output": "line",
    "name": "z",
    "params": {"fast": [9, 3, 5], "slow": [6, 4, 15]},
}
TRENDS = [
    {
        "indicator_id": "ma.sma",
        "name": name,
        "source": ["open", "close"],
        "params": {"window": axis},
    }
    for name, axis in (("slow", [20, 30]), ("fast", [5, 3]))
]
RISK = {"sl": [2.5, None, 0.7], "tp": [None, 3, 0.25], "tsl": steps(0.3, 0.9, 0.3)}

PARENTS: dict[str, dict[str, Any]] = {
    "sources, choices and pairs": {"blocks": [CROSS, STRENGTH], "risk": RISK},
    "outputs": {"blocks": [BAND, RANGE], "risk": {"tp": [1, 4]}, "direction_mode": "short-only"},
    "no risk": {"blocks": [DIFFERENCE], "sizing_mode": "fixed_quote"},
    "stop alone": {
        "blocks": [STRENGTH],
        "risk": {"sl": [0.5, None]},
        "direction_mode": "long-only",
    },
    "trailing alone": {
        "blocks": TRENDS,
        "risk": {"tsl": 1.5},
        "sizing_mode": "strategy_compound_profit_lock",
    },
    "held, with exits and a pause": {
        "blocks": [STRENGTH],
        "exits": [STRENGTH | {"params": {"window": 5}}, DIFFERENCE, BAND | {"name": "0"}],
        "risk": {"sl": [0.3, None]},
        "execution": {"reentry_after_bars": 3},
        "position": "hold",
    },
    "larger timeframes": {
        "blocks": [STRENGTH | {"timeframe": "30m"}],
        "exits": [DIFFERENCE | {"timeframe": "1h"}],
        "position": "hold",
    },
    "held long, two open, filled at opens and inside bars": {
        "blocks": [STRENGTH, TRENDS[1]],
        "exits": [RANGE],
        "risk": {"sl": [0.5], "tp": [0.7, None]},
        "direction_mode": "long-only",
        "execution": {"entry_fill": "next_open", "stop_fill": "intrabar"},
        "position": "hold",
    },
    "held, nothing closes but what opens": {
        "blocks": [STRENGTH],
        "sizing_mode": "strategy_compound_profit_lock",
        "position": "hold",
    },
    "too few trades for the ranking": {
        "blocks": [DIFFERENCE, STRENGTH],
        "risk": RISK,
        "ranking": {"primary_metric": "sqn", "secondary_metric": "sharpe", "min_trades": 10**6},
    },
}


def submitted(parent: dict[str, Any]) -> dict[str, Any]:
    """Return the effective request of a parent that keeps all of its variants."""
    document = {
        "time_range": {"start": "2024-01-01", "end": "2024-06-01"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": "15m",
            "indicator_grids": parent["blocks"],
            "position": parent.get("position", "state"),
            "exit_grids": parent.get("exits", []),
            "execution": parent.get("execution", {}),
            "risk_grid": parent.get("risk", {}),
            "direction_mode": parent.get("direction_mode", "long-short"),
            "sizing_mode": parent.get("sizing_mode", "all_in"),
        },
        "warmup_bars": 30,
        "top_k": 1,
        "top_trades_n": 0,
        "ranking": {"distinct": False} | parent.get("ranking", {}),
        "result_bytes_max": 2**24,
    }
    effective = complete(document, DEFAULTS, LIMITS)
    effective["top_k"] = effective["preselect"] = 10**6  # as settings of that time allowed
    return effective


def rows(request: Request, bars: Candles, chosen: list[int] | None = None) -> list[VariantReport]:
    """Run a request through both stages; return the report of its rows, or of chosen ones."""
    sweep = Sweep(request, bars)
    shortlist = last(sweep.stage_a()).indexes()
    found = last(sweep.stage_b(shortlist)).indexes().tolist()
    assert chosen is None or set(chosen) <= set(found)
    made = reports(sweep, chosen or found, top_trades_n=len(found), result_bytes=2**30)
    return list(made)


def alone(variant: OneVariant) -> Request:
    sent = json.loads(json.dumps(variant.request))
    return parse(complete(sent, OTHER_DEFAULTS, LIMITS))


@cache
def indexes(name: str) -> list[int]:
    grid = Grid.of(parse(submitted(PARENTS[name])))
    total = grid.base_total * grid.risk_total
    rest = np.random.default_rng(7).choice(total, size=min(10, total), replace=False).tolist()
    return list(dict.fromkeys([0, total - 1, *rest]))


@pytest.mark.parametrize("ruinous", [False, True], ids=["calm", "ruinous"])
@pytest.mark.parametrize("name", PARENTS)
def test_a_variant_alone_makes_the_row_of_its_parent(name: str, *, ruinous: bool) -> None:
    parent, bars = submitted(PARENTS[name]), ruinous_candles() if ruinous else candles()
    wanted = rows(parse(parent), bars, indexes(name))
    assert any(row.trades for row in wanted)
    for row in wanted:
        variant = variant_by_index(parent, row.variant_index)
        (own,) = rows(alone(variant), bars)
        assert own == replace(row, rank=1, variant_index=0, twins=own.twins)
        assert (variant.payload, variant.variant_key) == (row.payload, row.variant_key)


@pytest.mark.parametrize("name", PARENTS)
def test_a_base_variant_alone_has_the_score_of_stage_a(name: str) -> None:
    parent = submitted(PARENTS[name])
    top = last(Sweep(parse(parent), candles()).stage_a())
    scores = dict(zip(top.indexes().tolist(), top.scores()[0].tolist(), strict=True))
    for base in list(scores)[:: max(1, len(scores) // 8)]:
        own = last(Sweep(alone(base_variant(parent, base)), candles()).stage_a())
        assert repr(own.scores()[0].tolist()) == repr([scores[base]])


@pytest.mark.parametrize("name", PARENTS)
def test_every_index_is_the_variant_of_a_plain_listing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = submitted(PARENTS[name])
    parsed = parse(parent)

    def parsed_once(document: dict[str, Any]) -> Request:
        """Spare reading the parent again for each of hundreds of variants."""
        assert document is parent
        return parsed

    monkeypatch.setattr(one_variant, "parse", parsed_once)
    template = parent["template"]
    bases, levels = base_variants(template), risk_variants(template)
    for index in range(0, len(bases) * len(levels), 7):
        variant = variant_by_index(parent, index)
        base, risk = divmod(index, len(levels))
        assert variant.base_index == base
        own = variant.request["template"]
        assert base_variants(own) == [bases[base]]
        assert risk_variants(own) == [levels[risk]]
        assert base_variant(parent, base).payload == variant.payload | {
            "risk": {"sl": None, "tp": None, "tsl": None}
        }


@pytest.mark.parametrize("name", PARENTS)
def test_one_variant_takes_everything_else_from_its_parent(name: str) -> None:
    parent = submitted(PARENTS[name])
    before = copy.deepcopy(parent)
    for variant in (base_variant(parent, 1), variant_by_index(parent, 1)):
        own = alone(variant).document
        assert {key: own[key] for key in ("preselect", "top_k", "top_trades_n")} == {
            "preselect": 1,
            "top_k": 1,
            "top_trades_n": 1,
        }
        for key in ("version", "time_range", "warmup_bars", "ranking", "validation"):
            assert own[key] == parent[key]
        for key in set(parent["template"]) - {"indicator_grids", "exit_grids", "risk_grid"}:
            assert own["template"][key] == parent["template"][key]
        assert own["result_bytes_max"] == OTHER_DEFAULTS.result_bytes_max
        assert Grid.of(alone(variant)).base_total * alone(variant).risk.total == 1
    assert parent == before


@pytest.mark.parametrize("name", ["sources, choices and pairs", "no risk"])
def test_an_index_that_does_not_exist_is_refused_with_the_range(name: str) -> None:
    parent = submitted(PARENTS[name])
    bases = len(base_variants(parent["template"]))
    variants = bases * len(risk_variants(parent["template"]))
    for index in (-1, bases, 10**30):
        with pytest.raises(IndexError, match=rf"base variants 0\.\.{bases - 1}, not {index}"):
            base_variant(parent, index)
    for index in (-1, variants, 10**30):
        with pytest.raises(IndexError, match=rf"are variants 0\.\.{variants - 1}, not {index}"):
            variant_by_index(parent, index)


def test_a_parent_of_version_1_gives_a_request_of_this_version_that_means_the_same() -> None:
    parent = submitted(PARENTS["outputs"])
    old = {key: value for key, value in parent.items() if key not in ("version", "validation")}
    old["ranking"] = {"primary_metric": "sqn", "secondary_metric": None}
    request = alone(variant_by_index(old, 3))
    assert (request.ranking.min_trades, request.ranking.distinct) == (0, False)


@pytest.mark.parametrize("name", PARENTS)
def test_a_variant_is_kept_as_a_template_and_runs_on_another_range(name: str) -> None:
    parent = submitted(PARENTS[name])
    (row,) = rows(parse(parent), candles(), [indexes(name)[-1]])
    template = json.loads(json.dumps(template_of(parent, row.payload)))
    again = saved_document(template, {"time_range": parent["time_range"], "warmup_bars": 30})
    (same,) = rows(parse(complete(again, OTHER_DEFAULTS, LIMITS)), candles())
    assert (same.variant_key, same.trades) == (row.variant_key, row.trades)
    elsewhere = saved_document(
        template, {"time_range": {"start": "2025-02-01", "end": "2025-03-01"}}
    )
    grid = Grid.of(parse(complete(elsewhere, OTHER_DEFAULTS, LIMITS)))
    assert grid.base_total * grid.risk_total == 1
    assert grid.variant(0) == row.payload | {"warmup_bars": grid.variant(0)["warmup_bars"]}
