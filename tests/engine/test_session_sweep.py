"""Sweeps over markets that close, against the bar-by-bar simulator and pandas."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.candles import Candles
from engine.loading import Ordinary, load
from engine.report import reports
from engine.request import complete, parse
from engine.sweep import Sweep
from tests.engine.adapter import close_to
from tests.engine.markets import DAY, HOUR, ms, priced, reading, stock_hours, working_days
from tests.engine.plain_metrics import measure
from tests.engine.rederive import Signals, execution_of, rederive, traded_prices
from tests.engine.report_reference import Facts, figures, unequal, unequal_trades
from tests.engine.worlds import DEFAULTS, LIMITS, explicit, steps

MARKETS = {
    "a year of a stock's hours": (stock_hours((2023, 6, 1), (2024, 12, 31)), "1h", HOUR),
    "years of currency's days": (working_days(ms(2020, 1, 1), ms(2024, 12, 31)), "1d", DAY),
    "hours that open at half past": (
        [at + HOUR // 2 for at in stock_hours((2023, 6, 1), (2024, 12, 31))],
        "1h",
        HOUR,
    ),
    "days that open in the evening": (
        [at + 22 * HOUR for at in working_days(ms(2020, 1, 1), ms(2024, 12, 31))],
        "1d",
        DAY,
    ),
    # More days than bars: daily figures need more room than there are bars.
    "a bar a week": ([ms(2020, 1, 1) + 7 * DAY * week for week in range(260)], "1d", DAY),
}


AT_CLOSES = ("close", "close")
FILLS = [
    ("close", "intrabar"),
    ("next_open", "close"),
    ("next_open", "intrabar"),
]


def swept(market: str, metric: str, fills: tuple[str, str]) -> tuple[Sweep, list[Any]]:
    opens, timeframe, step = MARKETS[market]
    document = {
        "time_range": {"start": "2024-01-01", "end": "2025-01-01"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": timeframe,
            "indicator_grids": [
                {
                    "indicator_id": "ma.cross",
                    "params": {
                        "ma": explicit("sma", "ema"),
                        "fast": steps(2, 6, 2),
                        "slow": explicit(9, 14),
                    },
                }
            ],
            "execution": dict(zip(("entry_fill", "stop_fill"), fills, strict=True)),
            "risk_grid": {"sl": explicit(None, 2), "tp": explicit(None, 3)},
        },
        "warmup_bars": 30,
        "preselect": 12,
        "top_k": 20,
        "ranking": {"primary_metric": metric, "min_trades": 0},
    }
    request = parse(complete(document, DEFAULTS, LIMITS))
    known = Ordinary(timeframe_ms=step, sessions=True, phase_ms=opens[0] % step)
    bars = priced(opens, 5, gaps=0.0 if fills == AT_CLOSES else 0.01)
    sweep = Sweep(request, load(request, reading(bars), lambda *_: known))
    *_, stage_a = sweep.stage_a()
    *_, stage_b = sweep.stage_b(stage_a.top.indexes())
    indexes = stage_b.top.indexes().tolist()
    found = reports(sweep, indexes, top_trades_n=len(indexes), result_bytes=2**40)
    return sweep, list(found)


@pytest.mark.parametrize("metric", ["total_return_pct", "sharpe"])
@pytest.mark.parametrize("market", MARKETS)
def test_a_sweep_finds_what_the_simulator_and_pandas_find(market: str, metric: str) -> None:
    assert_found(market, metric, AT_CLOSES)


@pytest.mark.parametrize("fills", FILLS, ids=" ".join)
@pytest.mark.parametrize("market", ["years of currency's days", "hours that open at half past"])
def test_a_sweep_with_other_fills_finds_what_the_simulator_and_pandas_find(
    market: str, fills: tuple[str, str]
) -> None:
    assert_found(market, "sharpe", fills)


def assert_found(market: str, metric: str, fills: tuple[str, str]) -> None:
    sweep, found = swept(market, metric, fills)
    candles: Candles = sweep.candles
    assert candles.first == 30
    assert set(candles.ts_open.tolist()) <= set(MARKETS[market][0])
    prices, known = traded_prices(candles), Signals(candles)
    compared = 0
    for report in found:
        rederived = rederive(report.payload, candles, known)
        execution = execution_of(report.payload)
        run = rederived.run
        if rederived.doubtful or measure(run, execution.init_cash, prices.open_ms).fragile:
            continue
        assert close_to(report.total_return_pct, rederived.total_return_pct)
        facts = Facts(run.trades, run.equity, prices, execution)
        assert unequal(report.metrics, figures(facts), frozenset()) == {}
        assert unequal_trades(report.trades, facts) == []
        compared += 1
    assert compared >= len(found) / 2 > 2
    ranked = [report.metrics[metric] for report in found]
    numbers = [-math.inf if value is None else value for value in ranked]
    assert numbers == sorted(numbers, reverse=True)


def test_days_without_a_bar_have_a_return_of_zero() -> None:
    _, found = swept("years of currency's days", "sharpe", AT_CLOSES)
    best = found[0]
    times, equity = np.array(best.equity).T
    assert len(times) == 262

    # The equity of each of the 366 days, as if Saturdays and Sundays repeated Friday.
    days = np.arange(ms(2024, 1, 1), ms(2025, 1, 1), DAY)
    values = equity[np.searchsorted(times - DAY, days, side="right") - 1]
    returns = values / np.concatenate(([10_000.0], values[:-1])) - 1

    expected = math.sqrt(365) * returns.mean() / returns.std(ddof=1)
    assert best.metrics["sharpe"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("market", ["years of currency's days", "days that open in the evening"])
def test_what_is_decided_before_a_weekend_fills_at_the_open_after_it(market: str) -> None:
    sweep, found = swept(market, "total_return_pct", ("next_open", "intrabar"))
    candles: Candles = sweep.candles
    opens = {
        f"{np.datetime64(int(at), 's')}Z": price
        for at, price in zip(candles.ts_open // 1000, candles.open, strict=True)
    }
    after_the_weekend = {
        f"{np.datetime64(int(at), 's')}Z"
        for before, at in pairwise((candles.ts_open // 1000).tolist())
        if at - before == 3 * DAY // 1000
    }
    slip = sweep.rules.slippage
    entries = exits = 0
    for trade in (trade for report in found for trade in report.trades):
        way = 1 if trade["direction"] == "long" else -1
        if trade["entry_time"] in after_the_weekend:
            entries += 1
            wanted = opens[trade["entry_time"]] * (1 + way * slip)
            assert trade["entry_price"] == pytest.approx(wanted, rel=1e-12)
        if trade["exit_reason"] == "signal_exit" and trade["exit_time"] in after_the_weekend:
            exits += 1
            wanted = opens[trade["exit_time"]] * (1 - way * slip)
            assert trade["exit_price"] == pytest.approx(wanted, rel=1e-12)
    assert min(entries, exits) > 20
