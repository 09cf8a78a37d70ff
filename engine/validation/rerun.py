"""Single variants of a search, computed again for what is asked of a few."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels import ExecutionRules, Trades, simulate
from engine.kernels.inputs import day_ends
from engine.metrics import equity_curve
from engine.validation.deflated_sharpe import DailyMoments
from engine.validation.replays import replays

if TYPE_CHECKING:
    from engine.sweep import Sweep

Float64 = NDArray[np.float64]


def replayed(sweep: "Sweep", variant_index: int, seed: int) -> dict[str, Any]:
    """Return what replays of the trades of a stage-B variant made, in JSON types."""
    base_index, risk_index = sweep.grid.split(variant_index)
    levels = sweep.grid.risk_at(risk_index)
    rules = sweep.rules.sized(levels[0], sweep.grid.percent_at(risk_index))
    trades = _trades(sweep, base_index, rules, levels)
    return replays(trades, sweep.market, rules, seed=seed).document()


def daily_returns(sweep: "Sweep", base_index: int) -> Float64:
    """Return the daily returns float64[D] of a base variant without risk levels."""
    trades = _trades(sweep, base_index, sweep.rules, (None, None, None))
    equity = equity_curve(trades, sweep.closes, sweep.rules, market=sweep.market)
    equity = equity[day_ends(sweep.open_times)]
    before = np.concatenate(([float(sweep.rules.init_cash)], equity[:-1]))
    with np.errstate(all="ignore"):
        return np.asarray(equity / before - 1.0)


def moments(returns: Float64) -> DailyMoments:
    """Return what daily returns are like: sample deviation, population skewness and kurtosis."""
    if len(returns) < 2 or not np.isfinite(returns).all() or np.ptp(returns) == 0.0:
        return DailyMoments(np.nan, np.nan, np.nan, len(returns))
    away = returns - returns.mean()
    spread = float(np.sqrt(np.mean(away**2)))
    return DailyMoments(
        sharpe=float(returns.mean() / returns.std(ddof=1)),
        skewness=float(np.mean(away**3)) / spread**3,
        kurtosis=float(np.mean(away**4)) / spread**4,
        days=len(returns),
    )


def _trades(
    sweep: "Sweep",
    base_index: int,
    rules: ExecutionRules,
    levels: tuple[float | None, float | None, float | None],
) -> Trades:
    long, short = sweep.planes_of(base_index)
    exits = sweep.exit_planes_of(base_index) if rules.hold else None
    return simulate(long, short, sweep.closes, rules, *levels, market=sweep.market, exits=exits)
