"""The best variants of a sweep over real candles, re-derived without the engine.

Needs a folder of real market data; skips where there is none.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from engine.candles import TIMEFRAMES, Candles, timeline
from engine.report import reports
from engine.request import Request, complete, parse
from engine.sweep import Sweep
from tests.engine.adapter import close_to, signals_from
from tests.engine.plain_metrics import measure
from tests.engine.rederive import execution_of, rederive, traded_closes
from tests.engine.report_reference import Facts, figures, unequal
from tests.engine.simulator import RiskLevels, simulate
from tests.engine.worlds import DEFAULTS, LIMITS, explicit, iso, steps


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
        end_ms=int(opens_at[-1]) + 2 * step,
        timeframe_ms=step,
    )


def real_request(candles: Candles, timeframe: str) -> Request:
    closes_at = candles.close_time()
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
        "direction_mode": "long-short",
        "sizing_mode": "strategy_compound_profit_lock",
        "execution": {
            "init_cash_quote": 10_000,
            "fee_pct": 0.075,
            "slippage_pct": 0.01,
            "fixed_quote": 100,
            "safe_profit_percent": 30,
        },
        "risk_grid": {"sl": explicit(1, None), "tp": explicit(None, 3), "tsl": explicit(None, 2)},
    }
    document = {
        "time_range": {
            "start": iso(int(closes_at[candles.first])),
            "end": iso(int(closes_at[-1]) + 1),
        },
        "template": template,
        "preselect": 8,
        "top_k": 10,
    }
    return parse(complete(document, DEFAULTS, LIMITS))


@pytest.mark.parametrize(
    ("name", "time_column", "timeframe"),
    [
        ("btc-perp-1m-2022-01.csv", "timestamp", "15m"),
        ("unittest-btc-1m-gappy.csv.gz", "date", "5m"),
    ],
)
def test_the_best_variants_on_real_data_are_rederived(
    market_data: Path, name: str, time_column: str, timeframe: str
) -> None:
    candles = real_candles(market_data / name, time_column, timeframe)
    sweep = Sweep(real_request(candles, timeframe), candles)
    *_, stage_a = sweep.stage_a()
    *_, stage_b = sweep.stage_b(stage_a.top.indexes())
    indexes = stage_b.top.indexes().tolist()
    closes = traded_closes(candles)
    times = candles.close_time()[candles.first :].tolist()
    for report in reports(sweep, indexes, top_trades_n=0):
        assert report.metrics["num_trades"]
        base, _ = sweep.grid.split(report.variant_index)
        signals = signals_from(*sweep.planes_of(base), len(closes))
        rederived = rederive(report.payload, candles)
        differing = {
            t for t, (a, b) in enumerate(zip(signals, rederived.signals, strict=True)) if a != b
        }
        assert differing <= set(rederived.doubtful), "only roundings may differ"

        execution = execution_of(report.payload)
        run = simulate(signals, closes, execution, RiskLevels(**report.payload["risk"]))
        facts = Facts(run.trades, run.equity, closes, times, execution.init_cash)
        fragile = measure(run, execution.init_cash, times).fragile
        assert unequal(report.metrics, figures(facts), fragile) == {}
        if not differing:
            assert close_to(report.total_return_pct, rederived.total_return_pct)
