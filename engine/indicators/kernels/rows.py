"""Which rows of a call share an intermediate series."""

import numpy as np

from engine.compiled import Floats, Ints, part

ABREAST = 4
"""Windows whose series are held and smoothed at a time: what `smooth` works on side by side."""


@part
def window_bounds(params: Floats) -> Ints:
    """Return int64[W + 1]: where each of the W runs of neighbouring rows of one window starts.

    The window is the first parameter; the last bound is the number of rows.
    """
    bounds = np.empty(params.shape[0] + 1, np.int64)
    count = 0
    for p in range(params.shape[0]):
        if p == 0 or params[p, 0] != params[p - 1, 0]:
            bounds[count] = p
            count += 1
    bounds[count] = params.shape[0]
    return bounds[: count + 1]


@part
def windows_of(params: Floats, bounds: Ints) -> Ints:
    """Return int64[W]: the windows of the runs between these bounds."""
    windows = np.empty(bounds.shape[0] - 1, np.int64)
    for k in range(windows.shape[0]):
        windows[k] = int(params[bounds[k], 0])
    return windows
