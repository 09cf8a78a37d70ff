"""Volume."""

import numpy as np

from engine.compiled import Floats, kernel, part
from engine.indicators.kernels.prices import hlc3, typical_price
from engine.indicators.kernels.weighted import (
    rolling_weighted_average,
    rolling_weighted_deviation,
    traded_prices,
    traded_runs,
)
from engine.indicators.kernels.windows import equal_runs, rolling_mean, rolling_sum

ROUNDING = 1e-14  # relative; the mean of three prices is rounded, so nearer ones are equal
UPPER, LOWER = 0, 1


@kernel
def ad_line(inputs: tuple[Floats, ...], _params: Floats, _output: int, out: Floats) -> None:
    """No params: money flow since the first bar."""
    flow = money_flow(inputs[0], inputs[1], inputs[2], inputs[3])
    for p in range(out.shape[0]):
        running_total(flow, out[p])


@kernel
def obv(inputs: tuple[Floats, ...], _params: Floats, _output: int, out: Floats) -> None:
    """No params: volume of rising less volume of falling closes; the first bar counts as rising."""
    close, volume = inputs
    flow = np.zeros(close.shape[0])
    flow[0] = volume[0]
    for t in range(1, close.shape[0]):
        if close[t] > close[t - 1]:
            flow[t] = volume[t]
        elif close[t] < close[t - 1]:
            flow[t] = -volume[t]
    for p in range(out.shape[0]):
        running_total(flow, out[p])


@kernel
def cmf(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. The money flow is computed once for all windows."""
    volume = inputs[3]
    flow = money_flow(inputs[0], inputs[1], inputs[2], volume)
    total = np.empty(volume.shape[0])
    for p in range(out.shape[0]):
        rolling_sum(flow, int(params[p, 0]), out[p])
        rolling_sum(volume, int(params[p, 0]), total)
        for t in range(out.shape[1]):
            out[p, t] /= total[t]


@kernel
def volume_sma(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window."""
    runs = equal_runs(inputs[0])
    for p in range(out.shape[0]):
        rolling_mean(inputs[0], runs, int(params[p, 0]), out[p])


@kernel
def vwap(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Undefined where a whole window has no volume."""
    typical = hlc3(inputs[0], inputs[1], inputs[2])
    rolling_weighted_average(typical, inputs[3], params[:, 0].astype(np.int64), out)


@kernel
def vwap_deviation(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: window, mult. Neighbouring rows of one window share its mean and deviation."""
    volume = inputs[3]
    typical = traded_prices(hlc3(inputs[0], inputs[1], inputs[2]), volume)
    runs = traded_runs(typical, volume)
    mean = np.empty(typical.shape[0])
    deviation = np.empty(typical.shape[0])
    for p in range(out.shape[0]):
        if p == 0 or params[p, 0] != params[p - 1, 0]:
            window = int(params[p, 0])
            rolling_weighted_deviation(typical, volume, runs, window, mean, deviation)
        mult = params[p, 1] if output == UPPER else -params[p, 1]
        for t in range(out.shape[1]):
            out[p, t] = mean[t] + mult * deviation[t]


@kernel
def mfi(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Money flowing in and out is split once for all windows."""
    high, low, close, volume = inputs
    inflow = np.zeros(close.shape[0])
    outflow = np.zeros(close.shape[0])
    before = typical_price(high[0], low[0], close[0])
    for t in range(1, close.shape[0]):
        typical = typical_price(high[t], low[t], close[t])
        least = ROUNDING * (typical + before)
        if typical - before > least:
            inflow[t] = typical * volume[t]
        elif before - typical > least:
            outflow[t] = typical * volume[t]
        before = typical
    outward = np.empty(close.shape[0])
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        out[p, 0] = np.nan
        outward[0] = np.nan
        rolling_sum(inflow[1:], window, out[p, 1:])
        rolling_sum(outflow[1:], window, outward[1:])
        for t in range(out.shape[1]):
            out[p, t] = 100.0 * (out[p, t] / (out[p, t] + outward[t]))


@part
def money_flow(high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    """Return volume times the place of the close in its bar, -1 (low) .. 1 (high); 0 if flat."""
    flow = np.zeros(close.shape[0])
    for t in range(close.shape[0]):
        width = high[t] - low[t]
        if width > 0.0:
            flow[t] = ((close[t] - low[t]) - (high[t] - close[t])) / width * volume[t]
    return flow


@kernel
def running_total(x: Floats, out: Floats) -> None:
    """Write the sum of x[: t + 1] to out[t], with the rounding error of every addition kept.

    A plain sum of a year of minutes is off by the rounding of its largest value, wherever it
    returns to near zero (Knuth's two-sum; a zero leaves the total exactly as it was).
    """
    total = 0.0
    rest = 0.0
    for t in range(x.shape[0]):
        after = total + x[t]
        taken = after - total
        rest += (total - (after - taken)) + (x[t] - taken)
        total = after
        out[t] = total + rest
