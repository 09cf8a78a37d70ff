"""Ranking metrics of one simulated run, as plain loops over its trades and its equity.

An undefined metric is NaN; a positive numerator over a zero denominator is +inf.

Some ratios are discontinuous: a drawdown of one rounding and no drawdown at all are worlds apart.
`fragile` names the metrics of a run whose value hangs on roundings, so that a comparison of two
correct programs can leave them out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tests.engine.simulator import Run, Trade

NAN = math.nan
DAY_MS = 86_400_000
TINY = 1e-5  # a smaller denominator loses more digits than a comparison to 1e-9 can spare
ROUNDING = 2.0**-52


@dataclass(frozen=True, slots=True)
class Measured:
    metrics: dict[str, float]
    fragile: frozenset[str]


def ratio(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return math.inf if numerator > 0 else NAN
    value = numerator / denominator
    return value if math.isfinite(value) else NAN


def drawdown(equity: Sequence[float], init_cash: float) -> float:
    """Return the largest fall below the highest equity so far (at first the initial cash)."""
    peak, worst = init_cash, 0.0
    for value in equity:
        peak = max(peak, value)
        worst = max(worst, (peak - value) / peak)
    return worst


def daily_equity(equity: Sequence[float], open_times_ms: Sequence[int]) -> list[float]:
    """Return the last equity of every UTC day; a bar belongs to the day it opens in.

    On a day without a bar, as a weekend of an exchange that closes, the equity stays what it was.
    """
    last_of_day: dict[int, float] = {}
    for time_ms, value in zip(open_times_ms, equity, strict=True):
        last_of_day[time_ms // DAY_MS] = value
    days: list[float] = []
    for day in range(min(last_of_day), max(last_of_day) + 1):
        days.append(last_of_day[day] if day in last_of_day else days[-1])
    return days


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation with ddof 1."""
    center = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - center) ** 2 for v in values) / (len(values) - 1))


def annual_growth(days: Sequence[float], init_cash: float) -> float:
    try:
        return float((days[-1] / init_cash) ** (365 / len(days)) - 1)
    except OverflowError:
        return math.inf


def trade_metrics(trades: Sequence[Trade]) -> Measured:
    nets = [t.net for t in trades]
    won = [t.net for t in trades if t.net > 1e-12 * t.quote]
    lost = [t.net for t in trades if t.net < -1e-12 * t.quote]
    metrics = {
        "profit_factor": ratio(math.fsum(won), -math.fsum(lost)),
        "win_rate_pct": 100 * len(won) / len(trades),
        "expectancy_pct": math.fsum(100 * t.net / t.quote for t in trades) / len(trades),
        "sqn": NAN,
    }
    fragile = set()
    if any(abs(t.net) <= 1e-11 * t.quote for t in trades):
        fragile |= {"profit_factor", "win_rate_pct"}
    if 0 < -math.fsum(lost) <= TINY * max(t.quote for t in trades):
        fragile.add("profit_factor")
    if len(trades) >= 2:
        mean, spread = math.fsum(nets) / len(nets), deviation(nets)
        metrics["sqn"] = ratio(math.sqrt(len(nets)) * mean, spread)
        if spread <= TINY * max(t.quote for t in trades):
            fragile.add("sqn")
    return Measured(metrics, frozenset(fragile))


def hangs_on_rounding(error: float, denominator: float, value: float) -> bool:
    """Return whether an error of the numerator shows in the ratio `value` when compared to 1e-9."""
    return not error / denominator < 1e-10 * max(1.0, abs(value)) if denominator else error > 0


def over_deviation(mean: float, deviation: float) -> float:
    """Return the annual ratio; a deviation that is a rounding of the mean counts as none."""
    counted = 0.0 if deviation <= 1e-12 * abs(mean) else deviation
    return ratio(mean * math.sqrt(365), counted)


def unclear(mean: float, deviation: float, error: float) -> bool:
    """Return whether an error of each return shows in mean / deviation when compared to 1e-9.

    It does not where the deviation counts as zero with the error as well as without it.
    """
    if deviation + error <= 1e-12 * abs(mean) and error <= 1e-3 * abs(mean):
        return False
    return deviation <= TINY or not 20 * error / deviation < 1e-10


def daily_metrics(
    days: Sequence[float], init_cash: float, worst: float, equity_roundings: int
) -> Measured:
    undefined = {"sharpe": NAN, "sortino": NAN, "calmar": NAN}
    most = max(init_cash, *days)
    if any(abs(value) <= TINY * most for value in days):
        return Measured(undefined, frozenset(undefined))
    if len(days) < 2 or min(days) <= 0:
        return Measured(undefined, frozenset())
    before = [init_cash, *days[:-1]]
    returns = [now / then - 1 for now, then in zip(days, before, strict=True)]
    mean = math.fsum(returns) / len(returns)
    spread = deviation(returns)
    downside = math.sqrt(math.fsum(min(r, 0.0) ** 2 for r in returns) / len(returns))
    annual = annual_growth(days, init_cash)
    metrics = {
        "sharpe": over_deviation(mean, spread),
        "sortino": over_deviation(mean, downside),
        "calmar": ratio(annual, worst),
    }
    # Equity is a sum of amounts as large as any so far, each rounded a few times a day.
    a_day = (8 + equity_roundings / len(days)) * ROUNDING
    error = max(
        (1 + r) * a_day * most / min(now, then)
        for r, now, then in zip(returns, days, before, strict=True)
    )
    fragile = {
        name
        for name, value in (("sharpe", spread), ("sortino", downside))
        if unclear(mean, value, error)
    }
    # The power multiplies the roundings of the last equity.
    error = (1 + annual) * 365 / len(days) * equity_roundings * ROUNDING
    if worst <= TINY or hangs_on_rounding(error, worst, metrics["calmar"]):
        fragile.add("calmar")
    return Measured(metrics, frozenset(fragile))


NEEDS_TRADES = (
    "max_drawdown_pct",
    "return_over_max_drawdown",
    "profit_factor",
    "win_rate_pct",
    "expectancy_pct",
    "sqn",
    "sharpe",
    "sortino",
    "calmar",
)


def measure(run: Run, init_cash: float, open_times_ms: Sequence[int]) -> Measured:
    """Return every ranking metric of a run."""
    known = {"total_return_pct": run.total_return_pct, "num_trades": float(len(run.trades))}
    if not run.trades:
        return Measured(known | dict.fromkeys(NEEDS_TRADES, NAN), frozenset())
    worst = drawdown(run.equity, init_cash)
    of_trades = trade_metrics(run.trades)
    of_days = daily_metrics(
        daily_equity(run.equity, open_times_ms), init_cash, worst, 8 * len(run.trades)
    )
    metrics = known | of_trades.metrics | of_days.metrics
    metrics["max_drawdown_pct"] = 100 * worst
    metrics["return_over_max_drawdown"] = ratio(run.total_return_pct, 100 * worst)
    fragile = of_trades.fragile | of_days.fragile
    if worst <= TINY:
        fragile |= {"return_over_max_drawdown", "calmar"}
    return Measured(metrics, fragile)
