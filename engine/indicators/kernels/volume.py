"""Volume."""

import numpy as np

from engine.compiled import Floats, kernel
from engine.indicators.kernels.windows import rolling_sum

ROUNDING = 1e-14  # relative; the mean of three prices is rounded, so nearer ones are equal


@kernel
def mfi(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. Money flowing in and out is split once for all windows."""
    high, low, close, volume = inputs
    inflow = np.zeros(close.shape[0])
    outflow = np.zeros(close.shape[0])
    before = (high[0] + low[0] + close[0]) / 3.0
    for t in range(1, close.shape[0]):
        typical = (high[t] + low[t] + close[t]) / 3.0
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
