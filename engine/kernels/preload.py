"""Calls every entry point once on three bars, so that it is compiled or read from the cache."""

import numpy as np

from engine.kernels.execution import simulate
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
    tally_of,
)
from engine.kernels.rules import ExecutionRules
from engine.kernels.tiles import Tile, score_tile
from engine.metrics import equity_curve, variant_metrics
from engine.outcomes import Outcomes


def preload_kernels() -> None:
    """Compile, or load from the disk cache, the kernels of both stages and of the report."""
    rules = ExecutionRules(
        fee=0.0,
        slippage=0.0,
        direction=0,
        sizing=0,
        init_cash=1.0,
        fixed_quote=1.0,
        safe_fraction=0.0,
    )
    closes, times = np.array([1.0, 2.0, 3.0]), np.arange(3)
    long, short = np.array([[1]], np.uint64), np.zeros((1, 1), np.uint64)
    trades = simulate(long[0], short[0], closes, rules, sl=1.0)
    variant_metrics(trades, equity_curve(trades, closes, rules), times, rules)

    costs, allowed = costs_of(rules), allowed_planes(3, rules)
    market = market_of(closes, costs, times)
    order = order_of("total_return_pct", None, 0, 0, np.inf)
    tile = Tile(0, 1, 1, 0, 1, 0, 0, 1)
    prefix = np.zeros((0, 3), np.int64)
    tally = tally_of(Outcomes("total_return_pct", None))
    score_tile(long, short, allowed, tile, prefix, market, costs, order, room_for(1), tally)
    row, base = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    levels, corner = levels_of((None,), (None,), (None,)), RiskTile(0, 0, 0, 1, 1, 1)
    sizes = sizes_of(rules, (None,))
    expand_risk(long, short, allowed, row, base, corner, levels, market, *sizes, order, room_for(1))
