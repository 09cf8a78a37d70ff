"""Two averages of one series against each other: crossing, MACD and PPO.

The rows of a call share averages: each is computed once for all of them, or for as many rows as
need no more than `SCRATCH` different ones.
"""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.ma import EMA, KINDS, averages
from engine.indicators.kernels.smoothing import subtract_smoothed

HIST = 0
SCRATCH = 64  # averages held at a time, each float64[T]
LONGEST = 1 << 32  # a key is kind * LONGEST + window


@kernel
def cross(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: kind of average, fast, slow."""
    kinds = params[:, 0].astype(np.int64)
    fast = params[:, 1].astype(np.int64)
    _compare(inputs[0], kinds, fast, params[:, 2].astype(np.int64), False, out)


@kernel
def macd(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: fast, slow, signal (histogram only)."""
    _oscillate(inputs[0], params, output, False, out)


@kernel
def ppo(inputs: tuple[Floats, ...], params: Floats, output: int, out: Floats) -> None:
    """Params: fast, slow, signal (histogram only)."""
    _oscillate(inputs[0], params, output, True, out)


@part
def _oscillate(x: Floats, params: Floats, output: int, percent: bool, out: Floats) -> None:
    fast = params[:, 0].astype(np.int64)
    slow = params[:, 1].astype(np.int64)
    _compare(x, np.full(fast.shape[0], EMA), fast, slow, percent, out)
    if output == HIST:
        subtract_smoothed(out, slow - 1, params[:, 2].astype(np.int64))


@part
def _compare(x: Floats, kinds: Ints, fast: Ints, slow: Ints, percent: bool, out: Floats) -> None:
    """Write fast - slow average to each row of `out`, in percent of the slow one if `percent`."""
    fast_keys = kinds * LONGEST + fast
    slow_keys = kinds * LONGEST + slow
    start = 0
    while start < out.shape[0]:
        stop = out.shape[0]
        keys = np.unique(np.concatenate((fast_keys[start:stop], slow_keys[start:stop])))
        while keys.shape[0] > SCRATCH:
            stop = start + (stop - start) // 2
            keys = np.unique(np.concatenate((fast_keys[start:stop], slow_keys[start:stop])))
        held = _averages_of_keys(x, keys)
        for p in range(start, stop):
            left = held[np.searchsorted(keys, fast_keys[p])]
            _subtract(left, held[np.searchsorted(keys, slow_keys[p])], percent, out[p])
        start = stop


@part
def _averages_of_keys(x: Floats, keys: Ints) -> Floats:
    """Return the average of each key, float64[len(keys), T]; keys ascend."""
    held = np.empty((keys.shape[0], x.shape[0]))
    for kind in range(KINDS):
        start = np.searchsorted(keys, kind * LONGEST)
        stop = np.searchsorted(keys, (kind + 1) * LONGEST)
        if start < stop:
            averages(kind, x, keys[start:stop] - kind * LONGEST, held[start:stop])
    return held


@part
def _subtract(fast: Floats, slow: Floats, percent: bool, out: Floats) -> None:
    for t in range(out.shape[0]):
        difference = fast[t] - slow[t]
        out[t] = 100.0 * (difference / slow[t]) if percent else difference
