"""The best variants of sweeps over real candles, re-derived and reported without the engine.

Signals come from plain formulas, trades from the bar-by-bar simulator, figures from pandas. Needs a
folder of real market data; skips where there is none.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from engine.candles import Candles, timeline
from engine.report import VariantReport, reports
from engine.request import Request, complete, parse
from engine.sweep import Sweep
from engine.timeframes import TIMEFRAMES
from tests.engine.adapter import close_to, signals_from
from tests.engine.plain_metrics import measure
from tests.engine.rederive import Rederived, Signals, execution_of, rederive, traded_prices
from tests.engine.report_reference import TABLE, Facts, figures, unequal, unequal_trades
from tests.engine.simulator import Prices, RiskLevels, simulate
from tests.engine.test_report_reference import table_rows, wrong_cell
from tests.engine.worlds import DEFAULTS, LIMITS, explicit, iso, steps

Trading = tuple[str, str, str, str]  # direction, sizing, entry fill, stop fill


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    ts_open: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]


def real_candles(path: Path, time_column: str, timeframe: str) -> Candles:
    """Return bars rolled up by pandas; the first 200 warm up."""
    minutes = pd.read_csv(path)
    minutes.index = pd.DatetimeIndex(
        pd.to_datetime(minutes[time_column], utc=True, format="ISO8601")
    )
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    bars = minutes.resample(timeframe.replace("m", "min")).agg(how).dropna()
    opens_at = pd.DatetimeIndex(bars.index).as_unit("ms").asi8
    columns = {name: bars[name].to_numpy(np.float64) for name in how}
    step = TIMEFRAMES[timeframe]
    return timeline(
        Rows(opens_at, **columns),
        start_ms=int(opens_at[0]) + 200 * step,
        end_ms=int(opens_at[-1]) + step,
        timeframe_ms=step,
    )


def real_request(candles: Candles, timeframe: str, trading: Trading) -> Request:
    direction, sizing, entry_fill, stop_fill = trading
    template = {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": timeframe,
        "indicator_grids": [
            {
                "indicator_id": "ma.cross",
                "source": explicit("close"),
                "params": {
                    "ma": explicit("sma", "ema"),
                    "fast": steps(5, 25, 10),
                    "slow": explicit(60),
                },
            },
            {
                "indicator_id": "momentum.rsi",
                "source": explicit("hlc3"),
                "params": {"window": explicit(7, 21)},
                "signals": {"long_threshold": explicit(51.3), "short_threshold": explicit(48.7)},
            },
        ],
        "direction_mode": direction,
        "sizing_mode": sizing,
        "execution": {
            "init_cash_quote": 10_000,
            "fee_pct": 0.075,
            "slippage_pct": 0.01,
            "fixed_quote": 4_000,
            "safe_profit_percent": 30,
            "entry_fill": entry_fill,
            "stop_fill": stop_fill,
        },
        "risk_grid": {"sl": explicit(1, None), "tp": explicit(None, 3), "tsl": explicit(None, 2)},
    }
    document = {
        "time_range": {
            "start": iso(int(candles.ts_open[candles.first])),
            "end": iso(int(candles.close_time()[-1])),
        },
        "template": template,
        "preselect": 8,
        "top_k": 10,
    }
    return parse(complete(document, DEFAULTS, LIMITS))


# --- what is reported, and what it should be -------------------------------------------------

FILES = {
    "perpetual 15m": ("btc-perp-1m-2022-01.csv", "timestamp", "15m"),
    "gappy 5m": ("unittest-btc-1m-gappy.csv.gz", "date", "5m"),
}
TRADING: list[Trading] = [
    ("long-short", "strategy_compound_profit_lock", "close", "close"),
    ("long-only", "all_in", "close", "close"),
    ("short-only", "fixed_quote", "close", "close"),
    ("long-short", "strategy_compound_profit_lock", "close", "intrabar"),
    ("long-short", "fixed_quote", "next_open", "close"),
    ("long-short", "all_in", "next_open", "intrabar"),
]


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """A report, and what a simulation of the signals in it says."""

    report: VariantReport
    signals: list[int]
    rederived: Rederived
    facts: Facts
    expected: dict[str, float]  # every figure


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    request: Request
    best: list[Reported]


@pytest.fixture(scope="module", params=FILES)
def market(request: pytest.FixtureRequest, market_data: Path) -> tuple[Candles, str]:
    name, time_column, timeframe = FILES[request.param]
    return real_candles(market_data / name, time_column, timeframe), timeframe


@pytest.fixture(scope="module")
def known(market: tuple[Candles, str]) -> Signals:
    return Signals(market[0])


@pytest.fixture(scope="module", params=TRADING, ids=" ".join)
def job(request: pytest.FixtureRequest, market: tuple[Candles, str], known: Signals) -> Job:
    candles, timeframe = market
    sweep = Sweep(real_request(candles, timeframe, request.param), candles)
    *_, stage_a = sweep.stage_a()
    *_, stage_b = sweep.stage_b(stage_a.top.indexes())
    indexes = stage_b.top.indexes().tolist()
    every = reports(sweep, indexes, top_trades_n=len(indexes), result_bytes=2**40)
    prices = traded_prices(candles)
    return Job(sweep.request, [reported(sweep, report, prices, known) for report in every])


def reported(sweep: Sweep, report: VariantReport, prices: Prices, known: Signals) -> Reported:
    base, _ = sweep.grid.split(report.variant_index)
    signals = signals_from(*sweep.planes_of(base), len(prices.close))
    execution = execution_of(report.payload)
    run = simulate(signals, prices.close, execution, RiskLevels(**report.payload["risk"]), prices)
    fragile = measure(run, execution.init_cash, prices.open_ms).fragile
    assert fragile == frozenset(), "choose another grid"
    facts = Facts(run.trades, run.equity, prices, execution)
    rederived = rederive(report.payload, sweep.candles, known)
    return Reported(report, signals, rederived, facts, figures(facts))


# --- the tests -------------------------------------------------------------------------------


def test_the_best_variants_are_rederived_from_their_stored_parameters(job: Job) -> None:
    for one in job.best:
        pairs = zip(one.signals, one.rederived.signals, strict=True)
        differing = {bar for bar, (ours, theirs) in enumerate(pairs) if ours != theirs}
        assert differing <= set(one.rederived.doubtful), "only roundings may differ"
        if not differing:
            assert close_to(one.report.total_return_pct, one.rederived.total_return_pct)


def test_every_figure_is_what_pandas_makes_of_the_trades(job: Job) -> None:
    for one in job.best:
        assert one.report.metrics.keys() == one.expected.keys()
        assert unequal(one.report.metrics, one.expected, frozenset()) == {}


def test_most_variants_have_every_figure(job: Job) -> None:
    whole = [all(map(math.isfinite, one.expected.values())) for one in job.best]
    assert sum(whole) > len(whole) / 2


def test_every_row_of_the_table_says_what_pandas_computes(job: Job) -> None:
    for one in job.best:
        rows = table_rows(one.report)
        assert list(rows) == ["Start", "End", "Duration", *TABLE]
        traded = one.facts.traded_rows()
        assert {label: rows[label] for label in traded} == traded
        expected = {**one.expected, "init_cash": one.facts.init_cash}
        wrong = {
            label: (rows[label], expected[key])
            for label, (key, decimals) in TABLE.items()
            if wrong_cell(rows[label], expected[key], decimals)
        }
        assert not wrong


def test_the_listed_trades_are_the_simulators(job: Job) -> None:
    for one in job.best:
        assert one.report.trades is not None
        assert unequal_trades(one.report.trades, one.facts) == []


def test_the_equity_curve_is_a_part_of_the_simulators_with_its_extremes(job: Job) -> None:
    for one in job.best:
        assert one.report.equity is not None
        times, kept = np.array(one.report.equity).T
        whole = np.array(one.facts.equity)
        closes_at = np.array(one.facts.prices.close_ms)
        places = np.searchsorted(closes_at, times)
        assert closes_at[places].tolist() == times.tolist()
        np.testing.assert_allclose(kept, whole[places], rtol=1e-9)
        assert len(kept) <= 1000
        assert [places[0], places[-1]] == [0, len(whole) - 1]
        assert (kept.min(), kept.max()) == pytest.approx((whole.min(), whole.max()), rel=1e-9)
