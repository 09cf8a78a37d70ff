"""Random bars with open, high and low, and their times, for cases of the modes.

Always low <= open, close <= high.
"""

import math
import random

from tests.engine.cases import HIGHEST, LOWEST, with_leaps
from tests.engine.simulator import Prices

START_MS = 1_704_067_200_000  # 2024-01-01
MINUTE = 60_000
STEPS = tuple(minutes * MINUTE for minutes in (1, 15, 60, 120, 240, 360, 720, 1440))

Bar = tuple[float, float, float, float]  # open, high, low, close


def times(count: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """Return opens and closes of bars: one after the other, or with hours in which nothing trades.

    Bars of hours may open at half past.
    """
    step = rng.choice(STEPS)
    opens = START_MS + step * rng.randrange(48) + (30 * MINUTE if rng.random() < 0.2 else 0)
    closed = rng.choice((0.0, 0.0, 0.1))
    open_ms = []
    for _ in range(count):
        open_ms.append(opens)
        opens += step * (1 if rng.random() >= closed else rng.randint(2, 20))
    return open_ms, [at + step for at in open_ms]


def bars_of(prices: Prices) -> list[Bar]:
    return list(zip(prices.open, prices.high, prices.low, prices.close, strict=True))


def prices_of(bars: list[Bar], rng: random.Random) -> Prices:
    open_ms, close_ms = times(len(bars), rng)
    return Prices(*([bar[part] for bar in bars] for part in range(4)), open_ms, close_ms)


def whole(bar_open: float, high: float, low: float, close: float) -> Bar:
    """Return a bar whose range holds its open and close."""
    o, c = (min(max(price, LOWEST), HIGHEST) for price in (bar_open, close))
    return o, max(o, c, min(high, HIGHEST)), min(o, c, max(low, LOWEST)), c


def random_bars(rng: random.Random, count: int) -> list[Bar]:
    """Return a walk with gaps, spikes, bars without a range, leaps at times, and whole ticks."""
    volatility = rng.choice((0.0, 1e-4, 0.003, 0.03, 0.2))
    gaps = rng.choice((0.0, 0.1, 0.9))
    flat = rng.choice((0.0, 0.1, 0.6))
    spikes = rng.choice((0.0, 0.05, 0.5))
    on_ticks = rng.random() < 0.3
    close, bars = rng.choice((0.07, 1.0, 100.0, 43_210.5)), list[Bar]()
    for _ in range(count):
        bar_open = close * math.exp(rng.gauss(0, volatility)) if rng.random() < gaps else close
        still = rng.random() < flat
        close = bar_open if still else bar_open * math.exp(rng.gauss(0, volatility))
        top, bottom = max(bar_open, close), min(bar_open, close)
        if not still:
            top *= math.exp(abs(rng.gauss(0, volatility)))
            bottom *= math.exp(-abs(rng.gauss(0, volatility)))
        if rng.random() < spikes:
            top, bottom = top * rng.uniform(1, 1.15), bottom * rng.uniform(0.85, 1)
        bar = whole(bar_open, top, bottom, close)
        bars.append(whole(*(max(round(price, 2), 0.01) for price in bar)) if on_ticks else bar)
        close = bars[-1][3]
    if rng.random() < 0.2:
        times_up = with_leaps([1.0] * count, rng)
        bars = [
            whole(*(price * up for price in bar)) for bar, up in zip(bars, times_up, strict=True)
        ]
    return bars


def with_price(bar: Bar, part: int, price: float) -> Bar:
    """Set one of open, high, low, close and move the others as far as the bar needs."""
    o, high, low, c = bar
    if part == 1:
        return min(o, price), price, min(low, price), min(c, price)
    if part == 2:
        return max(o, price), max(high, price), price, max(c, price)
    return whole(price, high, low, c) if part == 0 else whole(o, high, low, price)
