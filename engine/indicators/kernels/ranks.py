"""How many of the previous values are below the present one, for many windows at once."""

import numpy as np

from engine.compiled import Floats, Ints, kernel, part
from engine.indicators.kernels.windows import equal_runs

TILE = 1024  # bars whose counts stay in the nearest cache while all lags are compared
FAR = 4096  # further than this from the window before, a tree finds a count faster


@kernel
def percent_rank(inputs: tuple[Floats, ...], params: Floats, _output: int, out: Floats) -> None:
    """Params: window. The windows of a call share their comparisons.

    Undefined where a price equals all those before it in the window: an outage is not a low.
    """
    x = inputs[0]
    windows = params[:, 0].astype(np.int64)
    order = np.argsort(windows)
    order = order[: np.sum(windows < x.shape[0])]  # longer ones have no value anywhere
    near = 0  # windows counted lag by lag: each costs the lags beyond the one before
    last = 0
    while near < order.shape[0] and windows[order[near]] - last <= FAR:
        last = windows[order[near]]
        near += 1
    _count_by_lag(x, windows, order[:near], out)
    if near < order.shape[0]:
        _count_by_tree(x, windows, order[near:], out)
    runs = equal_runs(x)
    flat = np.flatnonzero(runs > windows.min())
    for p in range(out.shape[0]):
        out[p, : min(windows[p], x.shape[0])] = np.nan
        for t in flat:
            if runs[t] > windows[p]:
                out[p, t] = np.nan


@part
def _count_by_lag(x: Floats, windows: Ints, order: Ints, out: Floats) -> None:
    """Write the share of x[t - w .. t - 1] below x[t] for each window w, the smallest first."""
    bars = x.shape[0]
    for start in range(0, bars, TILE):
        stop = min(start + TILE, bars)
        counts = np.zeros(stop - start, np.int64)
        lag = 1
        for p in order:
            last = min(windows[p], stop - 1)  # no bar of the tile has more before it
            while lag + 3 <= min(last, start):
                _compare_four(x[start:stop], x[start - lag - 3 :], counts)
                lag += 4
            while lag <= last:
                first = max(start, lag)
                _compare(x[first:stop], x[first - lag :], counts[first - start :])
                lag += 1
            for t in range(start, stop):
                out[p, t] = 100.0 * counts[t - start] / windows[p]


@part
def _compare(x: Floats, before: Floats, counts: Ints) -> None:
    for i in range(x.shape[0]):
        counts[i] += before[i] < x[i]


@part
def _compare_four(x: Floats, before: Floats, counts: Ints) -> None:
    """Compare x[i] with four values before it: it and its count are loaded once."""
    for i in range(x.shape[0]):
        value = x[i]
        counts[i] += (
            np.int64(before[i] < value)
            + np.int64(before[i + 1] < value)
            + np.int64(before[i + 2] < value)
            + np.int64(before[i + 3] < value)
        )


@part
def _count_by_tree(x: Floats, windows: Ints, order: Ints, out: Floats) -> None:
    """As `_count_by_lag`, by a Fenwick tree over the ranks of the values in the window."""
    ranks = _ranks(x)
    for p in order:
        tree = np.zeros(x.shape[0] + 1, np.int64)
        for t in range(x.shape[0]):
            below = 0
            node = ranks[t]
            while node > 0:
                below += tree[node]
                node -= node & -node
            out[p, t] = 100.0 * below / windows[p]
            _add(tree, ranks[t] + 1, 1)
            if t >= windows[p]:
                _add(tree, ranks[t - windows[p]] + 1, -1)


@part
def _add(tree: Ints, node: int, change: int) -> None:
    while node < tree.shape[0]:
        tree[node] += change
        node += node & -node


@part
def _ranks(x: Floats) -> Ints:
    """Return int64[T]: how many different values of the series are below x[t]."""
    order = np.argsort(x)
    ranks = np.empty(x.shape[0], np.int64)
    rank = 0
    for i in range(x.shape[0]):
        if i > 0 and x[order[i]] > x[order[i - 1]]:
            rank += 1
        ranks[order[i]] = rank
    return ranks
