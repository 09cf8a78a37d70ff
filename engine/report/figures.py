"""Figures of a report that no variant is ranked by, and how any figure is stored.

Undefined is None, and so is what overflows: infinite, or a difference or ratio of infinities.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.kernels import Trades

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Figures = dict[str, float | None]


def figures(
    trades: "Trades",
    equity: Float64,
    closes: Float64,
    times: tuple[Int64, Int64],
    init_cash: float,
) -> Figures:
    """Return the figures of one variant.

    `equity`, `closes` (float64) and `times` (int64, ms, when they open and close) belong to the
    n >= 1 traded bars. Percentages are human, durations in ms, `gross_exposure` is a fraction.
    """
    close_times = times[1]
    inside = _held(trades, len(equity), until=trades.flat_from + 1)
    with np.errstate(all="ignore"):
        found: Figures = {
            "total_profit": float(equity[-1] - init_cash),
            "benchmark_return_pct": float(100.0 * (closes[-1] / closes[0] - 1.0)),
            "position_coverage_pct": 100.0 * float(inside.mean()),
            "gross_exposure": _gross_exposure(trades, equity),
            **_drawdowns(trades, equity, close_times, init_cash),
            **_trade_figures(trades, *trade_times(trades, *times)),
        }
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in found.items()
    }


def as_stored(metrics: Mapping[str, float | None]) -> dict[str, Any]:
    """Return figures in JSON types: +inf is None too, and its name is listed as "infinite".

    The key is absent when no figure is infinite.
    """
    infinite = [name for name, value in metrics.items() if value == math.inf]
    stored: dict[str, Any] = {**metrics, **dict.fromkeys(infinite)}
    return stored | {"infinite": infinite} if infinite else stored


def trade_times(trades: "Trades", open_times: Int64, close_times: Int64) -> tuple[Int64, Int64]:
    """Return when the trades were entered and when they were closed, int64[trades] in ms.

    What fills at the open of a bar has its time, everything else the time of the bar's close.
    """
    last = len(open_times) - 1
    entered, left = trades.entry_bar, trades.exit_bar
    return (
        np.where(trades.held_from > entered, open_times[trades.held_from], close_times[entered]),
        np.where(
            trades.flat_from > left,
            open_times[np.minimum(trades.flat_from, last)],
            close_times[left],
        ),
    )


def _held(trades: "Trades", bars: int, *, until: Int64) -> NDArray[np.bool_]:
    """Return bool[bars]: whether a bar is in a trade, from where it is there to before `until`."""
    steps = np.zeros(bars + 1, dtype=np.int64)
    np.add.at(steps, trades.held_from, 1)
    np.add.at(steps, until, -1)
    held: NDArray[np.bool_] = np.cumsum(steps[:bars]) > 0
    return held


def _gross_exposure(trades: "Trades", equity: Float64) -> float | None:
    """Return the mean of Q / equity over all bars, 0 where flat; None once equity is gone."""
    if (equity <= 0).any():
        return None
    amounts = np.zeros(len(equity))
    held = _held(trades, len(equity), until=trades.flat_from)  # flat after the exit's actions
    amounts[held] = np.repeat(trades.quote, trades.flat_from - trades.held_from)
    return float((amounts / equity).mean())


def _drawdowns(trades: "Trades", equity: Float64, close_times: Int64, init_cash: float) -> Figures:
    """Return depth and durations below the running peak, which starts at the initial cash."""
    if not len(trades.entry_bar):
        return dict.fromkeys(
            ("avg_drawdown_pct", "max_drawdown_duration_ms", "avg_drawdown_duration_ms")
        )
    peak = np.maximum(np.maximum.accumulate(equity), init_cash)
    below = equity < peak
    edges = np.flatnonzero(np.diff(below, prepend=False))
    starts, ends = edges[0::2], edges[1::2]
    if len(ends) < len(starts):  # the last episode is still open
        ends = np.append(ends, len(equity) - 1)
    lengths = close_times[ends] - close_times[np.maximum(starts - 1, 0)]
    return {
        "avg_drawdown_pct": 100.0 * float(((peak - equity) / peak).mean()),
        "max_drawdown_duration_ms": float(lengths.max()) if len(lengths) else None,
        "avg_drawdown_duration_ms": float(lengths.mean()) if len(lengths) else None,
    }


def _trade_figures(trades: "Trades", entered: Int64, left: Int64) -> Figures:
    """Return best and worst trade and the durations from entry to exit."""
    names = ("best_trade_pct", "worst_trade_pct", "max_trade_duration_ms", "avg_trade_duration_ms")
    if not len(trades.entry_bar):
        return dict.fromkeys(names)
    returns = 100.0 * trades.net / trades.quote
    lengths = left - entered
    values = (returns.max(), returns.min(), lengths.max(), lengths.mean())
    return {name: float(value) for name, value in zip(names, values, strict=True)}
