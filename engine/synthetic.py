"""Seeded, realistic candles for demonstrations, benchmarks and tests.

The log price is a random walk whose volatility clusters (three autoregressive factors that fade
over hours, days and weeks, and a daily rhythm), whose drift changes sign every few days, and whose
volume follows the size of the moves. Everything is computed on whole arrays: a year of minutes
takes about a second.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.candles import Candles, timeline
from engine.timeframes import MINUTE_MS

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

START_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
START_PRICE = 42_000.0
DAY_MINUTES = 1440

# Standard deviation of a one-minute log return: about 60 % a year.
MINUTE_VOLATILITY = 8.5e-4
# (half-life in minutes, weight) of the factors of log volatility.
VOLATILITY_FACTORS = ((120.0, 0.35), (2_880.0, 0.30), (20_160.0, 0.20))
# Half-life and size of the drift, in minutes and in minute volatilities.
TREND_HALF_LIFE = 4_320.0
TREND_SIZE = 0.006
# Outages: how many a month, and their mean length in minutes.
OUTAGES_PER_MONTH = 3.0
OUTAGE_MINUTES = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """1-minute candles as a structure of arrays, ascending by `ts_open` (ms), gaps left out."""

    ts_open: Int64
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    volume: Float64


def minutes(
    *,
    seed: int,
    start_ms: int = START_MS,
    count: int,
    start_price: float = START_PRICE,
    gaps: bool = True,
) -> Minutes:
    """`count` minutes from `start_ms` on, less those that fall into outages when `gaps`.

    The same arguments give the same candles. Raises `ValueError` when `start_ms` is no whole minute
    or `count` is not positive.
    """
    if start_ms % MINUTE_MS or count < 1:
        raise ValueError(f"need a whole minute and at least one candle, got {start_ms}, {count}")
    return _generate(seed, start_ms, count, MINUTE_MS, start_price, gaps)


def bars(
    seed: int,
    count: int,
    timeframe_ms: int,
    *,
    start_ms: int = START_MS,
    warmup_bars: int = 0,
    start_price: float = START_PRICE,
) -> Candles:
    """`warmup_bars + count` gapless bars, the last `count` of them traded.

    The first traded bar opens at `start_ms`, which must be a multiple of `timeframe_ms`.
    """
    opens_at = start_ms - warmup_bars * timeframe_ms
    rows = _generate(seed, opens_at, warmup_bars + count, timeframe_ms, start_price, gaps=False)
    return timeline(
        rows,
        start_ms=start_ms,
        end_ms=start_ms + count * timeframe_ms,
        timeframe_ms=timeframe_ms,
    )


def _generate(
    seed: int, start_ms: int, count: int, step_ms: int, start_price: float, gaps: bool
) -> Minutes:
    random = np.random.default_rng(seed)
    step = step_ms / MINUTE_MS
    ts_open = start_ms + np.arange(count, dtype=np.int64) * step_ms
    scale = MINUTE_VOLATILITY * np.sqrt(step) * _volatility(random, ts_open, step)
    drift = TREND_SIZE * np.sqrt(step) * _autoregression(random, count, TREND_HALF_LIFE / step)
    log_close = np.log(start_price) + np.cumsum(scale * (random.standard_normal(count) + drift))
    log_open = np.concatenate(([np.log(start_price)], log_close[:-1]))
    # How far the price strayed beyond open and close within the bar.
    above, below = 0.5 * scale * np.abs(random.standard_normal((2, count)))
    digits = 5 - math.floor(math.log10(start_price))
    tick = 10.0**-digits

    def price(log_price: Float64) -> Float64:
        return np.asarray(np.round(np.maximum(np.exp(log_price), tick), digits))

    columns = (
        price(log_open),
        price(np.maximum(log_open, log_close) + above),
        price(np.minimum(log_open, log_close) - below),
        price(log_close),
        _volume(random, log_close - log_open, step),
    )
    if not gaps:
        return Minutes(ts_open, *columns)
    keep = _outside_outages(random, count)
    return Minutes(ts_open[keep], *(column[keep] for column in columns))


def _volatility(random: np.random.Generator, ts_open: Int64, step: float) -> Float64:
    """Multiplier of the volatility with mean square about 1: clusters times the daily rhythm."""
    log_factor = np.zeros(len(ts_open))
    for half_life, weight in VOLATILITY_FACTORS:
        log_factor += weight * _autoregression(random, len(ts_open), half_life / step)
    variance = sum(weight**2 for _, weight in VOLATILITY_FACTORS)
    phase = 2 * np.pi * (ts_open / (DAY_MINUTES * MINUTE_MS))
    rhythm = 1 + 0.3 * np.sin(phase - 2.0)
    return np.asarray(np.exp(log_factor - variance) * rhythm)


def _volume(random: np.random.Generator, log_return: Float64, step: float) -> Float64:
    activity = 1 + np.abs(log_return) / (MINUTE_VOLATILITY * np.sqrt(step))
    noise = np.exp(0.5 * random.standard_normal(len(log_return)))
    return np.asarray(np.round(step * 5.0 * activity * noise, 4))


def _outside_outages(random: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Mask of the minutes that were recorded; the first and the last one always are."""
    outages = random.poisson(OUTAGES_PER_MONTH * count / (30 * DAY_MINUTES))
    starts = random.integers(1, max(count - 1, 2), size=outages)
    lengths = random.geometric(1 / OUTAGE_MINUTES, size=outages)
    change = np.zeros(count + 1, dtype=np.int64)
    np.add.at(change, np.minimum(starts, count), 1)
    np.add.at(change, np.minimum(starts + lengths, count), -1)
    recorded = np.cumsum(change[:count]) == 0
    recorded[[0, -1]] = True
    return np.asarray(recorded)


def _autoregression(random: np.random.Generator, count: int, half_life: float) -> Float64:
    """Stationary AR(1) series of unit variance: `x[t] = a x[t-1] + sqrt(1 - a²) e[t]`.

    The recursion is unrolled block by block: inside a block of B steps the filter is one cumulative
    sum of `e[t] a^-t`, with B small enough that the powers stay harmless.
    """
    decay = 0.5 ** (1 / max(half_life, 1e-3))
    shocks = random.standard_normal(count) * np.sqrt(1 - decay**2)
    state = float(random.standard_normal())
    block = int(np.clip(20 * half_life, 1, count))
    powers = decay ** np.arange(1, block + 1)
    out = np.empty(count)
    for begin in range(0, count, block):
        part = shocks[begin : begin + block]
        power = powers[: len(part)]
        out[begin : begin + block] = power * (state + np.cumsum(part / power))
        state = float(out[begin + len(part) - 1])
    return out
