"""Calls every entry point once on three bars, so that it is compiled or read from the cache.

The three of which each takes long to compile are apart, so that processes can share them.
"""

import numpy as np
from numpy.typing import NDArray

from engine.kernels.account import Costs, Market
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
from engine.kernels.measures import Order
from engine.kernels.periods import Periods, Records
from engine.kernels.recording import record_tile
from engine.kernels.rules import ExecutionRules
from engine.kernels.tiles import Tile, score_tile
from engine.metrics import equity_curve, variant_metrics
from engine.outcomes import Outcomes

RULES = ExecutionRules(
    fee=0.0,
    slippage=0.0,
    direction=0,
    sizing=0,
    init_cash=1.0,
    fixed_quote=1.0,
    safe_fraction=0.0,
)
CLOSES, TIMES = np.array([1.0, 2.0, 3.0]), np.arange(3)
LONG, SHORT = np.array([[1]], np.uint64), np.zeros((1, 1), np.uint64)


def preload_report() -> None:
    """Compile, or load from the disk cache, what writes a variant out."""
    trades = simulate(LONG[0], SHORT[0], CLOSES, RULES, sl=1.0)
    variant_metrics(trades, equity_curve(trades, CLOSES, RULES), TIMES, RULES)


def preload_stage_a() -> None:
    """Compile, or load from the disk cache, stage A."""
    tile = Tile(0, 1, 1, 0, 1, 0)
    prefix = np.zeros((0, 3), np.int64)
    tally = tally_of(Outcomes("total_return_pct", None))
    market, costs, allowed, order = _inputs()
    score_tile(LONG, SHORT, allowed, tile, prefix, market, costs, order, room_for(1), tally)


def preload_stage_b() -> None:
    """Compile, or load from the disk cache, stage B."""
    row, base = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)
    levels, corner = levels_of((None,), (None,), (None,)), RiskTile(0, 0, 0, 1, 1, 1)
    sizes = sizes_of(RULES, (None,))
    market, _, allowed, order = _inputs()
    expand_risk(LONG, SHORT, allowed, row, base, corner, levels, market, *sizes, order, room_for(1))


def preload_records() -> None:
    """Compile, or load from the disk cache, what records variants for later questions."""
    market, costs, allowed, order = _inputs()
    first = np.zeros(1, np.int64)
    periods = Periods(np.array([2]), np.zeros(3, np.uint32), first, first, 1.0, 1.0)
    values, counts = np.empty(1), np.empty((1, 1), np.int32)
    records = Records(
        1,
        np.empty(1, np.bool_),
        np.empty(1, np.int64),
        *(values, values, values),
        *(counts, counts),
        np.empty(1, np.uint64),
    )
    prefix = np.zeros((0, 3), np.int64)
    tile = Tile(0, 1, 1, 0, 1, 0)
    record_tile(LONG, SHORT, allowed, tile, prefix, market, costs, order, periods, records)


def _inputs() -> tuple[Market, Costs, NDArray[np.uint64], Order]:
    costs = costs_of(RULES)
    order = order_of("total_return_pct", None, 0, 0, np.inf)
    return market_of(CLOSES, costs, TIMES), costs, allowed_planes(3, RULES), order
