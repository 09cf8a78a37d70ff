"""Every figure of a report, computed with pandas from trades and equity alone.

Written from the definitions of the figures; shares no code with the engine or with the plain loops
of `plain_metrics`. NaN is undefined, +inf a positive numerator over zero.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tests.engine.adapter import close_to
from tests.engine.simulator import LONG, SHORT, Execution, Prices, Trade

NAN = math.nan


@dataclass(frozen=True)
class Facts:
    """What a report is about: the trades, one equity per traded bar, the bars and the rules."""

    trades: Sequence[Trade]
    equity: Sequence[float]
    prices: Prices
    execution: Execution

    @property
    def init_cash(self) -> float:
        return self.execution.init_cash

    def equity_series(self) -> "pd.Series[float]":
        return pd.Series(list(self.equity), index=self.times(), dtype="float64")

    def times(self) -> pd.DatetimeIndex:
        return pd.to_datetime(list(self.prices.close_ms), unit="ms", utc=True)

    def days(self) -> pd.DatetimeIndex:
        """Return the UTC day of each bar: the one it opens in."""
        return pd.to_datetime(list(self.prices.open_ms), unit="ms", utc=True).floor("D")

    def traded_rows(self) -> dict[str, str]:
        """Return what a table says of the traded time: first open, last close, time between."""
        opens, closes = pd.to_datetime(list(self.prices.open_ms), unit="ms"), self.times()
        start, end = opens[0], closes[-1].tz_localize(None)
        length = end - start
        clock = length - pd.Timedelta(days=length.days)
        return {
            "Start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "End": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "Duration": f"{length.days} days {str(clock).split()[-1]}",
        }

    @cached_property
    def trade_frame(self) -> pd.DataFrame:
        """Return the trades, with the bar and the time in ms of their fills.

        A fill at an open belongs to the bar that opens there and has its time; every other fill
        has the close time of its bar.
        """
        frame = pd.DataFrame.from_records(list(self.trades), columns=Trade._fields)
        last = len(self.equity) - 1
        at_open = {
            "entry": [self.execution.entry_fill == "next_open" for _ in self.trades],
            "exit": [self.leaves_at_an_open(t) and t.exit_bar < last for t in self.trades],
        }
        for end, opens in at_open.items():
            bars = frame[f"{end}_bar"].to_numpy(np.int64) + np.array(opens, np.int64)
            frame[f"{end}_fill_bar"] = bars
            frame[f"{end}_ms"] = [
                (self.prices.open_ms if at else self.prices.close_ms)[bar]
                for bar, at in zip(bars, opens, strict=True)
            ]
        return frame

    def leaves_at_an_open(self, trade: Trade) -> bool:
        """Return whether an exit like this one waits for the next open, if there is one."""
        stop = trade.reason in ("sl", "tsl", "tp")
        waits = trade.reason == "signal_exit" or (stop and self.execution.stop_fill == "close")
        return waits and self.execution.entry_fill == "next_open"


def ratio(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return math.inf if numerator > 0 else NAN
    value = numerator / denominator
    return value if math.isfinite(value) else NAN


def drawdown_figures(facts: Facts) -> dict[str, float]:
    equity = facts.equity_series()
    peak = equity.cummax().clip(lower=facts.init_cash)
    drawdown = (peak - equity) / peak
    lengths = episodes(equity < peak) / pd.Timedelta(milliseconds=1)
    return {
        "max_drawdown_pct": 100 * drawdown.max(),
        "avg_drawdown_pct": 100 * drawdown.mean(),
        "max_drawdown_duration_ms": float(lengths.max()),  # NaN where there is none
        "avg_drawdown_duration_ms": float(lengths.mean()),
    }


def episodes(below: "pd.Series[bool]") -> "pd.Series[pd.Timedelta]":
    """Return the length of each stretch below the peak: from the bar before it to the bar after.

    Where there is no such bar, the first or the last one stands in.
    """
    number = (below != below.shift(fill_value=False)).cumsum()
    places = pd.Series(range(len(below)), index=below.index)
    stretches = places[below].groupby(number[below])
    starts = (stretches.first() - 1).clip(lower=0)
    stops = (stretches.last() + 1).clip(upper=len(below) - 1)
    return pd.Series(below.index[stops] - below.index[starts])


def daily_figures(facts: Facts, max_drawdown: float) -> dict[str, float]:
    equity = facts.equity_series()
    daily = equity.groupby(facts.days()).last().asfreq("D", method="ffill")
    growth = daily / daily.shift(fill_value=facts.init_cash)
    returns = growth - 1
    if len(daily) < 2 or (daily <= 0).any():
        return dict.fromkeys(("sharpe", "sortino", "calmar"), NAN)
    with np.errstate(over="ignore"):
        annual = float(np.expm1(365 * np.log(growth).mean()))
    mean = float(returns.mean())
    deviations = {
        "sharpe": float(returns.std(ddof=1)),
        "sortino": math.sqrt((returns.clip(upper=0) ** 2).mean()),
    }
    noise = 1e-12 * abs(mean)
    return {
        name: math.sqrt(365) * ratio(mean, 0.0 if value <= noise else value)
        for name, value in deviations.items()
    } | {"calmar": ratio(annual, max_drawdown)}


def trade_figures(facts: Facts) -> dict[str, float]:
    trades = facts.trade_frame
    held = trades["exit_ms"] - trades["entry_ms"]
    returns = 100 * trades["net"] / trades["quote"]
    won = trades["net"] > 1e-12 * trades["quote"]
    net = trades["net"]
    spread = net.std(ddof=1)  # NaN for a single trade
    return {
        "win_rate_pct": 100 * won.mean(),
        "best_trade_pct": returns.max(),
        "worst_trade_pct": returns.min(),
        "avg_trade_pct": returns.mean(),
        "expectancy_pct": returns.mean(),
        "max_trade_duration_ms": float(held.max()),
        "avg_trade_duration_ms": float(held.mean()),
        "sqn": NAN if len(net) < 2 else ratio(math.sqrt(len(net)) * net.mean(), spread),
        "profit_factor": ratio(net[net > 0].sum(), abs(net[net < 0].sum())),
    }


def exposure_figures(facts: Facts) -> dict[str, float]:
    invested = np.zeros(len(facts.equity))
    covered = np.zeros(len(facts.equity), dtype=bool)
    for trade in facts.trade_frame.itertuples():
        covered[trade.entry_fill_bar : trade.exit_fill_bar + 1] = True
        invested[trade.entry_fill_bar : trade.exit_fill_bar] = trade.quote  # at closes
    equity = np.asarray(facts.equity)
    exposure = NAN if (equity <= 0).any() else float((invested / equity).mean())
    return {"position_coverage_pct": 100 * float(covered.mean()), "gross_exposure": exposure}


NEEDS_TRADES = (
    *("max_drawdown_pct", "avg_drawdown_pct", "max_drawdown_duration_ms"),
    *("avg_drawdown_duration_ms", "return_over_max_drawdown", "profit_factor", "win_rate_pct"),
    *("expectancy_pct", "sqn", "sharpe", "sortino", "calmar", "best_trade_pct", "worst_trade_pct"),
    *("avg_trade_pct", "max_trade_duration_ms", "avg_trade_duration_ms"),
)


def figures(facts: Facts) -> dict[str, float]:
    """Return every figure under the key it is stored by."""
    final, closes = facts.equity[-1], facts.prices.close
    known = {
        "total_profit": final - facts.init_cash,
        "total_return_pct": 100 * (final / facts.init_cash - 1),
        "benchmark_return_pct": 100 * (closes[-1] / closes[0] - 1),
        "num_trades": float(len(facts.trades)),
    }
    known |= exposure_figures(facts)
    if not facts.trades:
        return known | dict.fromkeys(NEEDS_TRADES, NAN)
    known |= drawdown_figures(facts)
    known |= daily_figures(facts, known["max_drawdown_pct"] / 100)
    known["return_over_max_drawdown"] = ratio(known["total_return_pct"], known["max_drawdown_pct"])
    return known | trade_figures(facts)


TABLE = {  # label -> (stored key, decimals), in the order of the table
    "Init. Cash": ("init_cash", 2),
    "Total Profit": ("total_profit", 2),
    "Total Return [%]": ("total_return_pct", 4),
    "Benchmark Return [%]": ("benchmark_return_pct", 4),
    "Position Coverage [%]": ("position_coverage_pct", 4),
    "Max. Drawdown [%]": ("max_drawdown_pct", 4),
    "Avg. Drawdown [%]": ("avg_drawdown_pct", 4),
    "Max. Drawdown Duration": ("max_drawdown_duration_ms", None),
    "Avg. Drawdown Duration": ("avg_drawdown_duration_ms", None),
    "Num. Trades": ("num_trades", 0),
    "Win Rate [%]": ("win_rate_pct", 4),
    "Best Trade [%]": ("best_trade_pct", 4),
    "Worst Trade [%]": ("worst_trade_pct", 4),
    "Avg. Trade [%]": ("avg_trade_pct", 4),
    "Max. Trade Duration": ("max_trade_duration_ms", None),
    "Avg. Trade Duration": ("avg_trade_duration_ms", None),
    "Expectancy [%]": ("expectancy_pct", 4),
    "SQN": ("sqn", 5),
    "Profit Factor": ("profit_factor", 5),
    "Gross Exposure": ("gross_exposure", 5),
    "Sharpe": ("sharpe", 5),
    "Sortino": ("sortino", 5),
    "Calmar": ("calmar", 5),
}


DIRECTIONS = {LONG: "long", SHORT: "short"}


def second_of(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def unequal_trades(
    listed: Sequence[Mapping[str, Any]], facts: Facts
) -> list[tuple[int, str, Any, Any]]:
    """Return what differs between the trades of a report and those there were."""
    assert len(listed) == len(facts.trades)
    wrong = []
    for number, (row, trade) in enumerate(
        zip(listed, facts.trade_frame.itertuples(), strict=True), start=1
    ):
        exact = {
            "id": number,
            "direction": DIRECTIONS[trade.direction],
            "exit_reason": trade.reason,
            "entry_time": second_of(trade.entry_ms),
            "exit_time": second_of(trade.exit_ms),
        }
        amounts = {
            "entry_price": trade.entry_fill,
            "exit_price": trade.exit_fill,
            "quantity": trade.quantity,
            "entry_quote": trade.quote,
            "exit_quote": trade.quantity * trade.exit_fill,
            "entry_fee": trade.entry_fee,
            "exit_fee": trade.exit_fee,
            "gross_pnl": trade.gross,
            "net_pnl": trade.net,
            "return_pct": 100 * trade.net / trade.quote,
        }
        for charge in row.keys() & {"margin", "carry"}:
            amounts[charge] = getattr(trade, charge)
        assert row.keys() == exact.keys() | amounts.keys()
        wrong += [(number, k, row[k], v) for k, v in exact.items() if row[k] != v]
        wrong += [
            (number, k, row[k], v)
            for k, v in amounts.items()
            if not close_to(row[k], v, trade.quote)
        ]
    return wrong


def unequal(
    ours: Mapping[str, Any], reference: Mapping[str, float], skip: frozenset[str]
) -> dict[str, tuple[Any, float]]:
    """Return the figures that differ.

    A stored None is undefined, or infinite where "infinite" lists its key.
    """
    infinite = ours.get("infinite", [])

    def equal(key: str, mine: float | None) -> bool:
        theirs = reference[key]
        if mine is None or not math.isfinite(theirs):
            return mine is None and (theirs == math.inf if key in infinite else math.isnan(theirs))
        return close_to(mine, theirs)

    figures = {key: value for key, value in ours.items() if key != "infinite"}
    assert figures.keys() <= reference.keys()
    assert set(infinite) <= figures.keys()
    return {
        key: (mine, reference[key])
        for key, mine in figures.items()
        if key not in skip and not equal(key, mine)
    }
