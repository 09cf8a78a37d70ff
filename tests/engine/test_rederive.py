"""The plain indicators of the re-derivation equal TA-Lib where it has the function."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from tests.engine import plain_indicators as plain
from tests.engine.rederive import rederive
from tests.engine.worlds import World, random_candles

Floats = NDArray[np.float64]
Oracle = Callable[[Floats, Floats, Floats, Floats, int], Floats]

CANDLES = random_candles(7, traded=400, warmup=0, timeframe_ms=3_600_000)
PAIRS: dict[str, tuple[dict[str, float | str], Oracle]] = {
    "ma.sma ma": ({}, lambda _h, _l, c, _v, w: talib.SMA(c, w)),
    "ma.ema ma": ({}, lambda _h, _l, c, _v, w: talib.EMA(c, w)),
    "ma.cross diff": (
        {"ma": "wma", "fast": 5, "slow": 23},
        lambda _h, _l, c, _v, _w: talib.WMA(c, 5) - talib.WMA(c, 23),
    ),
    "momentum.rsi rsi": ({}, lambda _h, _l, c, _v, w: talib.RSI(c, w)),
    "momentum.macd line": (
        {"fast": 5, "slow": 23},
        lambda _h, _l, c, _v, _w: talib.EMA(c, 5) - talib.EMA(c, 23),
    ),
    "volatility.atr value": ({}, lambda h, low, c, _v, w: talib.ATR(h, low, c, w)),
    "volatility.bbands upper": ({"mult": 1.7}, lambda _h, _l, c, _v, w: talib.BBANDS(c, w, 1.7)[0]),
    "trend.supertrend supertrend": (
        {"mult": 1.7},
        lambda h, low, c, _v, w: talib.SUPERTREND(h, low, c, w, 1.7)[0],
    ),
    "volume.mfi value": ({}, lambda h, low, c, v, w: talib.MFI(h, low, c, v, w)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("window", [2, 9, 40])
def test_a_plain_indicator_equals_talib(name: str, window: int) -> None:
    extra, oracle = PAIRS[name]
    indicator, output = name.split()
    h, low, c, v = CANDLES.high, CANDLES.low, CANDLES.close, CANDLES.volume
    inputs = {
        "high": h.tolist(),
        "low": low.tolist(),
        "close": c.tolist(),
        "volume": v.tolist(),
        "source": c.tolist(),
    }
    ours = np.array(plain.compute(indicator, output, {"window": window, **extra}, inputs))
    theirs = oracle(h, low, c, v, window)
    filler = np.isnan(ours) & (theirs == 0)  # 0/0, which TA-Lib prints as 0
    np.testing.assert_array_equal(np.isnan(ours) & ~filler, np.isnan(theirs))
    known = ~np.isnan(ours)
    error = np.abs(ours[known] - theirs[known])
    assert (error <= 1e-9 * np.maximum(1, np.abs(theirs[known]))).all()


def test_a_stretch_between_undefined_inputs_is_a_series_of_its_own() -> None:
    rng = random.Random(1)
    values = [rng.uniform(90, 110) for _ in range(60)]
    holes = [*values[:25], plain.NAN, plain.NAN, *values[27:]]
    inputs = dict.fromkeys(("source", "high", "low", "close", "volume"), holes)
    got = plain.by_stretches("ma.ema", "ma", {"window": 5}, inputs)
    expected = [*plain.ema(values[:25], 5), plain.NAN, plain.NAN, *plain.ema(values[27:], 5)]
    np.testing.assert_array_equal(got, expected)


def test_a_bar_decided_by_rounding_is_reported_as_doubtful() -> None:
    world = World(1)
    closes = world.candles.close
    closes[:] = [100.1, 100.2, 100.3] * (len(closes) // 3) + [100.1] * (len(closes) % 3)
    payload = {
        "blocks": [
            {
                "indicator_id": "ma.sma",
                "output": "ma",
                "source": "close",
                "params": {"window": 3},
                "signals": {},
            }
        ],
        "direction_mode": "long-short",
        "sizing_mode": "all_in",
        "execution": world.template["execution"],
        "risk": {"sl": None, "tp": None, "tsl": None},
    }
    doubtful = rederive(payload, world.candles).doubtful
    assert doubtful
    assert all(closes[world.candles.first + bar] == 100.2 for bar in doubtful)
