"""Indicators as slow loops over plain lists, written from their definitions.

Every function takes series without undefined values (see `by_stretches`) and returns a list of the
same length with NaN where there is no value yet. Windows are summed from scratch on every bar with
`math.fsum`, so there is no running sum whose error could grow.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

NAN = math.nan
EPSILON = 2.0**-52
Series = list[float]
Params = Mapping[str, float | str]


def _window(params: Params, name: str = "window") -> int:
    return int(params[name])


def _trailing(x: Sequence[float], w: int, f: Callable[[Sequence[float]], float]) -> Series:
    """f of the last w values of every bar that has as many."""
    return [f(x[t - w + 1 : t + 1]) if t >= w - 1 else NAN for t in range(len(x))]


def mean(x: Sequence[float]) -> float:
    """Return the arithmetic mean; of equal values exactly that value."""
    return x[0] if min(x) == max(x) else math.fsum(x) / len(x)


def deviation(x: Sequence[float]) -> float:
    """Return the population standard deviation; of equal values exactly 0."""
    if min(x) == max(x):
        return 0.0
    center = mean(x)
    return math.sqrt(math.fsum((v - center) ** 2 for v in x) / len(x))


def weighted(x: Sequence[float]) -> float:
    """Return the mean with weights 1, 2, ... towards the newest value."""
    if min(x) == max(x):
        return x[0]
    return math.fsum(v * (i + 1) for i, v in enumerate(x)) / (len(x) * (len(x) + 1) / 2)


def smoothed(x: Sequence[float], w: int, share: float, first: int = 0) -> Series:
    """Seed with the mean of x[first : first + w], then move by `share` of the distance."""
    out = [NAN] * len(x)
    seed = first + w - 1
    if seed < len(x):
        out[seed] = mean(x[first : seed + 1])
        for t in range(seed + 1, len(x)):
            out[t] = out[t - 1] + share * (x[t] - out[t - 1])
    return out


def sma(x: Sequence[float], w: int) -> Series:
    return _trailing(x, w, mean)


def wma(x: Sequence[float], w: int) -> Series:
    return _trailing(x, w, weighted)


def ema(x: Sequence[float], w: int, first: int = 0) -> Series:
    return smoothed(x, w, 2 / (w + 1), first)


def wilder(x: Sequence[float], w: int, first: int = 0) -> Series:
    return smoothed(x, w, 1 / w, first)


def cross(x: Series, params: Params) -> Series:
    average = {"sma": sma, "ema": ema, "wma": wma}[str(params["ma"])]
    fast, slow = average(x, _window(params, "fast")), average(x, _window(params, "slow"))
    return [a - b for a, b in zip(fast, slow, strict=True)]


def rsi(x: Series, w: int) -> Series:
    """100 * mean gain / (mean gain + mean loss), both Wilder-smoothed; undefined without moves."""
    moves = [0.0] + [b - a for a, b in pairwise(x)]
    up = wilder([max(m, 0.0) for m in moves], w, first=1)
    down = wilder([max(-m, 0.0) for m in moves], w, first=1)
    return [100 * u / (u + d) if u + d > 0 else NAN for u, d in zip(up, down, strict=True)]


def macd(x: Series, fast: int, slow: int, signal: int | None) -> Series:
    line = [a - b for a, b in zip(ema(x, fast), ema(x, slow), strict=True)]
    if signal is None:
        return line
    return [a - b for a, b in zip(line, ema(line, signal, first=slow - 1), strict=True)]


def atr(high: Series, low: Series, close: Series, w: int) -> Series:
    """Return the Wilder mean of the true range, which begins on bar 1."""
    ranges = [0.0]
    for t in range(1, len(close)):
        before = close[t - 1]
        ranges.append(max(high[t] - low[t], abs(high[t] - before), abs(low[t] - before)))
    return wilder(ranges, w, first=1)


def bbands(x: Series, output: str, params: Params) -> Series:
    w = _window(params)
    out = [NAN] * len(x)
    for t in range(w - 1, len(x)):
        last = x[t - w + 1 : t + 1]
        middle, spread = mean(last), deviation(last)
        if output == "middle":
            out[t] = middle
        elif output == "bandwidth":
            out[t] = 2 * 2 * spread / middle
        else:
            upper = middle + float(params["mult"]) * spread
            lower = middle - float(params["mult"]) * spread
            if output == "upper":
                out[t] = upper
            elif output == "lower":
                out[t] = lower
            elif upper != lower:
                out[t] = (x[t] - lower) / (upper - lower)
    return out


def supertrend(high: Series, low: Series, close: Series, w: int, mult: float) -> Series:
    """Return the lower band while rising and the upper while falling; bands only tighten.

    The band of a bar is hl2 -/+ mult * ATR, held at its previous value unless the new one is
    tighter or the previous close was beyond it. The trend turns when the close is beyond the band.
    """
    out = [NAN] * len(close)
    spread = atr(high, low, close, w)
    rising, upper, lower = True, NAN, NAN
    for t in range(w, len(close)):
        middle = (high[t] + low[t]) / 2
        new_upper, new_lower = middle + mult * spread[t], middle - mult * spread[t]
        if t == w:
            upper, lower = new_upper, new_lower
        else:
            if new_upper < upper or close[t - 1] > upper:
                upper = new_upper
            if new_lower > lower or close[t - 1] < lower:
                lower = new_lower
            if rising and close[t] < lower:
                rising = False
            elif not rising and close[t] > upper:
                rising = True
        out[t] = lower if rising else upper
    return out


def typical_price(*prices: float) -> float:
    """Return the mean of the prices of one bar; of equal ones exactly that price."""
    return prices[0] if min(prices) == max(prices) else sum(prices) / len(prices)


def mfi(high: Series, low: Series, close: Series, volume: Series, w: int) -> Series:
    """100 * money that came with rises / all money that moved, over the last w changes.

    As in TA-Lib, a change of the typical price within 100 roundings is none: the same three prices
    added in another order must not count as a move.
    """
    typical = [typical_price(*prices) for prices in zip(high, low, close, strict=True)]
    out = [NAN] * len(close)
    for t in range(w, len(close)):
        up: Series = []
        down: Series = []
        for i in range(t - w + 1, t + 1):
            change = typical[i] - typical[i - 1]
            if abs(change) <= 100 * EPSILON * typical[i]:
                continue
            (up if change > 0 else down).append(typical[i] * volume[i])
        total = math.fsum(up) + math.fsum(down)
        if total > 0:
            out[t] = 100 * math.fsum(up) / total
    return out


def compute(indicator_id: str, output: str, params: Params, inputs: Mapping[str, Series]) -> Series:
    """Return one output of one indicator; `inputs` holds source, high, low, close and volume."""
    x, high, low = inputs["source"], inputs["high"], inputs["low"]
    close, volume = inputs["close"], inputs["volume"]
    if indicator_id == "ma.sma":
        return sma(x, _window(params))
    if indicator_id == "ma.ema":
        return ema(x, _window(params))
    if indicator_id == "ma.cross":
        return cross(x, params)
    if indicator_id == "momentum.rsi":
        return rsi(x, _window(params))
    if indicator_id == "momentum.macd":
        signal = _window(params, "signal") if output == "hist" else None
        return macd(x, _window(params, "fast"), _window(params, "slow"), signal)
    if indicator_id == "volatility.atr":
        return atr(high, low, close, _window(params))
    if indicator_id == "volatility.bbands":
        return bbands(x, output, params)
    if indicator_id == "trend.supertrend":
        return supertrend(high, low, close, _window(params), float(params["mult"]))
    if indicator_id == "volume.mfi":
        return mfi(high, low, close, volume, _window(params))
    raise LookupError(f"no plain formula for {indicator_id}")


def by_stretches(
    indicator_id: str, output: str, params: Params, inputs: Mapping[str, Series]
) -> Series:
    """Compute every maximal stretch of defined inputs as a series of its own."""
    count = len(inputs["close"])
    defined = [all(math.isfinite(series[t]) for series in inputs.values()) for t in range(count)]
    out = [NAN] * count
    start = 0
    while start < count:
        stop = start
        while stop < count and defined[stop]:
            stop += 1
        if stop > start:
            part = {name: series[start:stop] for name, series in inputs.items()}
            out[start:stop] = compute(indicator_id, output, params, part)
        start = stop + 1
    return out
