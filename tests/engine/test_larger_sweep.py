"""Sweeps with blocks on larger timeframes, every variant found again by the slow simulator."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from engine.candles import Candles, timeline
from engine.report import reports
from engine.request import Request, complete, parse
from engine.sweep import Sweep
from engine.synthetic import minutes
from storage.candles.roll_up import Rows, roll_up
from tests.engine.adapter import close_to, signals_from
from tests.engine.markets import ms
from tests.engine.properties_sweeps import last
from tests.engine.rederive import Signals, execution_of, rederive, traded_prices
from tests.engine.report_reference import Facts, unequal_trades
from tests.engine.worlds import DEFAULTS, LIMITS, explicit

QUARTER = 15 * 60_000
START, WARMUP, BARS = ms(2024, 1, 10), 320, 700
AVERAGE = {
    "indicator_id": "ma.sma",
    "output": "ma",
    "source": explicit("close"),
    "params": {"window": explicit(7, 12)},
    "signals": {},
}
STRENGTH = {
    "indicator_id": "momentum.rsi",
    "output": "rsi",
    "source": explicit("hlc3"),
    "params": {"window": explicit(5, 9)},
    "signals": {"long_threshold": explicit(52.3, 47.1), "short_threshold": explicit(44.7)},
    "timeframe": "1h",
}
MONEY_FLOW = {
    "indicator_id": "volume.mfi",
    "output": "value",
    "params": {"window": explicit(4)},
    "signals": {"long_threshold": explicit(31.7), "short_threshold": explicit(63.3, 71.9)},
    "timeframe": "4h",
}
STATE = {"indicator_grids": [AVERAGE, STRENGTH]}
HOLD = {"indicator_grids": [AVERAGE, STRENGTH], "position": "hold", "exit_grids": [MONEY_FLOW]}


@cache
def candles() -> Candles:
    """Quarters of an hour with outages from a few minutes up to half a day."""
    found = minutes(seed=8, start_ms=START - WARMUP * QUARTER, count=15 * (WARMUP + BARS))
    rng = np.random.default_rng(2)
    kept = rng.random(len(found.ts_open)) < 0.9
    for begin in rng.integers(200, len(kept) - 900, 40):
        kept[begin : begin + rng.integers(10, 90)] = False
    kept[6_000:6_700] = False
    kept[[0, -1]] = True
    columns = (found.open, found.high, found.low, found.close, found.volume)
    rows = Rows(
        found.ts_open[kept], *(column[kept] for column in columns), np.zeros(kept.sum(), np.int64)
    )
    end = START + BARS * QUARTER
    return timeline(roll_up(rows, QUARTER), start_ms=START, end_ms=end, timeframe_ms=QUARTER)


def asked(**template: Any) -> Request:
    document = {
        "time_range": {"start": "2024-01-10", "end": "2024-01-17T07:00:00Z"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": "15m",
            "risk_grid": {"sl": explicit(None, 0.9), "tp": explicit(None, 1.3)},
            **template,
        },
        "warmup_bars": WARMUP,
        "preselect": 100,
        "top_k": 100,
        "top_trades_n": 100,
        "ranking": {"primary_metric": "total_return_pct", "min_trades": 0, "distinct": False},
    }
    return parse(complete(document, DEFAULTS, LIMITS))


@pytest.mark.parametrize("template", [STATE, HOLD], ids=["state", "hold"])
def test_a_sweep_over_several_timeframes_finds_what_the_simulator_finds(
    template: dict[str, Any],
) -> None:
    request = asked(**template)
    sweep = Sweep(request, candles(), threads=2)
    assert len(candles().filled) > 100
    shortlist = last(sweep.stage_a()).indexes()
    indexes = last(sweep.stage_b(shortlist)).indexes().tolist()
    assert len(indexes) == sweep.grid.base_total * 4
    prices, known = traded_prices(candles()), Signals(candles())
    trades = 0
    for row in reports(sweep, indexes, top_trades_n=len(indexes), result_bytes=2**30):
        found = rederive(row.payload, candles(), known)
        assert not found.doubtful
        facts = Facts(found.run.trades, found.run.equity, prices, execution_of(row.payload))
        assert close_to(row.total_return_pct, found.total_return_pct)
        assert row.trades is not None
        assert unequal_trades(row.trades, facts) == []
        trades += len(row.trades)
    assert trades > 200


def test_the_planes_of_a_base_variant_are_the_signals_of_its_blocks() -> None:
    sweep, plain = Sweep(asked(**HOLD), candles()), Signals(candles())
    for base in range(sweep.grid.base_total):
        variant = sweep.grid.base_variant(base)
        found = signals_from(*sweep.planes_of(base), BARS)
        assert found == plain.of(variant["blocks"])[0]
        exits = sweep.exit_planes_of(base)
        assert exits is not None
        assert signals_from(*exits, BARS) == plain.of(variant["exit_blocks"])[0]


def test_the_rows_do_not_depend_on_threads_or_memory() -> None:
    once, again = (
        last(Sweep(asked(**HOLD), candles(), threads=threads, memory_bytes=memory).stage_a())
        for threads, memory in ((1, 2**28), (3, 1))
    )
    assert once.indexes().tolist() == again.indexes().tolist()
