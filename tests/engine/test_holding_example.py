"""Buy when RSI leaves oversold, sell when it is overbought: the example, bar by bar by TA-Lib."""

from itertools import product
from typing import Any

import numpy as np
import talib

from engine.candles import Candles, utc
from engine.report import reports
from engine.request import complete, example, holding_example, merge_patch, parse
from engine.sweep import Sweep
from engine.synthetic import bars
from tests.engine.properties_sweeps import last
from tests.engine.requests import DEFAULTS, LIMITS

QUARTER = 15 * 60_000
WINDOWS, OVERSOLD, OVERBOUGHT = (7, 14), (25, 30, 35), (65, 70, 75)


def asked() -> dict[str, Any]:
    """The example without stops, ranked whatever the number of trades."""
    whole = merge_patch(example(), holding_example())
    whole["template"]["risk_grid"] = {}
    return whole | {"preselect": 200, "top_k": 200, "top_trades_n": 200, "warmup_bars": 100}


def bought_and_sold(
    candles: Candles, opens: tuple[int, int], closes: tuple[int, int]
) -> list[tuple[str, str]]:
    """When it is bought and sold, in words: RSI reaches the level from below, or stands too high.

    `opens` and `closes` are windows with their levels.
    """
    first = candles.first
    low, high = (talib.RSI(candles.close, window)[first:] for window in (opens[0], closes[0]))
    times = [utc(int(ms) + QUARTER) for ms in candles.ts_open[first:]]
    trades: list[tuple[str, str]] = []
    bought, final = None, len(times) - 1
    for bar, time in enumerate(times):
        left_oversold = low[bar] >= opens[1] and not (bar and low[bar - 1] >= opens[1])
        overbought = high[bar] >= closes[1]
        if bought is not None and (overbought or bar == final):
            trades.append((bought, time))
            bought = None
        elif left_oversold and not overbought and bought is None and bar < final:
            bought = time
    return trades


def test_the_example_buys_when_rsi_leaves_oversold_and_sells_when_it_is_overbought() -> None:
    request = parse(complete(asked(), DEFAULTS, LIMITS))
    candles = bars(5, 2_000, QUARTER, warmup_bars=100)
    sweep = Sweep(request, candles)
    shortlist = last(sweep.stage_a()).indexes()
    found = np.sort(last(sweep.stage_b(shortlist)).indexes()).tolist()
    assert len(found) == sweep.grid.base_total == 36

    total = 0
    variants = product(product(WINDOWS, OVERSOLD), product(WINDOWS, OVERBOUGHT))
    made = reports(sweep, found, top_trades_n=len(found), result_bytes=2**30)
    for row, (opens, closes) in zip(made, variants, strict=True):
        assert row.trades is not None
        dated = [(trade["entry_time"], trade["exit_time"]) for trade in row.trades]
        assert dated == bought_and_sold(candles, opens, closes), row.payload
        assert {trade["direction"] for trade in row.trades} <= {"long"}
        total += len(dated)
    assert total > 300
