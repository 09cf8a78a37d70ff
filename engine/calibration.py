"""Measuring the rate of this machine: small sweeps of seeded synthetic candles, in a second.

Time is that of the thread, not of the wall, and the best of a few turns: what else the machine does
now says little about when the sweep will run. They are large enough for what a sweep of any size
costs, which is a millisecond, to be little beside them.
"""

from collections.abc import Iterator
from dataclasses import replace
from time import thread_time_ns
from typing import Any

import numpy as np

from engine import rate, synthetic
from engine.metric_names import METRICS
from engine.rate import Cost, Rate
from engine.request import parse
from engine.request.model import Ranking
from engine.rules import block_planes
from engine.sweep import Batch, Sweep

FEW_WORDS, MANY_WORDS = 16, 128
KEPT = 24
TURNS = 2
_TIMEFRAME, _TIMEFRAME_MS = "15m", 900_000


def _explicit(*values: Any) -> dict[str, Any]:
    return {"mode": "explicit", "values": list(values)}


_AVERAGES = {
    "name": "averages",
    "indicator_id": "ma.sma",
    "output": "ma",
    "source": _explicit("close"),
    "params": {"window": _explicit(*range(5, 200, 4))},
    "signals": {},
}
_THRESHOLDS = {
    "name": "thresholds",
    "indicator_id": "momentum.rsi",
    "output": "rsi",
    "source": _explicit("close"),
    "params": {"window": _explicit(14)},
    "signals": {
        "long_threshold": _explicit(*range(25, 55, 5)),
        "short_threshold": _explicit(*range(45, 75, 5)),
    },
}
_OFF: list[float | None] = [None]
_LEVELS = [1.0, 2.0, 4.0, None]


def measure_once() -> None:
    """Measure the rate unless it is known for these kernels, and remember it."""
    found = rate.known()
    if found is None:
        found = measured()
        rate.keep(found)
    rate.remember(found)


def measured() -> Rate:
    """Measure every metric in both stages, and the planes of two indicators."""
    short = _sweep([_AVERAGES, _THRESHOLDS], FEW_WORDS, _LEVELS)
    long = _sweep([_AVERAGES, _THRESHOLDS], MANY_WORDS, _LEVELS)
    without_risk = _sweep([_AVERAGES, _THRESHOLDS], MANY_WORDS, _OFF)
    for sweep in (short, long, without_risk):
        _stages(sweep, METRICS[0])  # planes, and kernels that run for the first time
    scored, expanded, combined = {}, {}, {}
    for metric in METRICS:
        few, many, alone = (_stages(sweep, metric) for sweep in (short, long, without_risk))
        scored[metric] = Cost.through((FEW_WORDS, few[0]), (MANY_WORDS, many[0]))
        risks = len(_LEVELS) ** 3
        combination = max(0.0, (many[1] - alone[1]) / (risks - 1) / MANY_WORDS)
        variant = max(0.0, alone[1] / MANY_WORDS - combination)
        rest = few[1] - FEW_WORDS * (variant + risks * combination)
        expanded[metric] = Cost(0.0, variant)
        combined[metric] = Cost(max(0.0, rest / risks), combination)
    return Rate(scored, expanded, combined, row=_planes(_AVERAGES), signal=_planes(_THRESHOLDS))


def _stages(sweep: Sweep, metric: str) -> tuple[float, float]:
    """Return the nanoseconds of a base variant in stage A, and in stage B with all its levels."""
    sweep.request = replace(sweep.request, ranking=Ranking(metric, None, min_trades=0))
    scored, expanded = [], []
    for _ in range(TURNS):
        begin = thread_time_ns()
        shortlist = _run(sweep.stage_a()).top.indexes()
        between = thread_time_ns()
        _run(sweep.stage_b(shortlist))
        scored.append(between - begin)
        expanded.append(thread_time_ns() - between)
    return min(scored) / sweep.grid.base_total, min(expanded) / len(shortlist)


def _planes(grid: dict[str, Any]) -> float:
    """Return the nanoseconds of a variant's planes, per word: the best of a few turns."""
    sweep = _sweep([grid], MANY_WORDS, _OFF)
    (block,) = sweep.grid.blocks
    long, short = (np.empty((block.total, MANY_WORDS), np.uint64) for _ in range(2))
    spent = []
    for _ in range(TURNS):
        begin = thread_time_ns()
        block_planes(block, sweep.candles, 0, block.total, long, short)
        spent.append(thread_time_ns() - begin)
    return min(spent) / block.total / MANY_WORDS


def _run(batches: Iterator[Batch]) -> Batch:
    for batch in batches:
        last = batch
    return last


def _sweep(grids: list[dict[str, Any]], words: int, levels: list[float | None]) -> Sweep:
    candles = synthetic.bars(1, 64 * words, _TIMEFRAME_MS, warmup_bars=200)
    # Of version 1, which every later one can read.
    document = {
        "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "SYNTHETIC"},
            "timeframe": _TIMEFRAME,
            "indicator_grids": grids,
            "direction_mode": "long-short",
            "sizing_mode": "all_in",
            "execution": {
                "init_cash_quote": 10_000.0,
                "fee_pct": 0.075,
                "slippage_pct": 0.01,
                "fixed_quote": 100.0,
                "safe_profit_percent": 30.0,
            },
            "risk_grid": dict.fromkeys(("sl", "tp", "tsl"), _explicit(*levels)),
        },
        "warmup_bars": 200,
        "preselect": KEPT,
        "top_k": KEPT,
        "top_trades_n": 0,
        "result_bytes_max": 1,
        "ranking": {"primary_metric": METRICS[0], "secondary_metric": None, "min_trades": 0},
    }
    return Sweep(parse(document), candles)
