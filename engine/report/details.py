"""Trades and equity curve of a variant in JSON types, and what they are charged to the budget.

A number that overflowed is None: JSON knows neither infinity nor NaN.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels import REASONS, ExecutionRules, Trades
from engine.kernels.charges import carries
from engine.report.figures import trade_times

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

EQUITY_POINTS = 1000

# The longest JSON text of a trade, whose ten amounts may have 24 characters each; of its margin or
# its carry, where there is any; and of a point.
TRADE_BYTES = 540
CHARGE_BYTES = 44
POINT_BYTES = 45


def charges_of(rules: ExecutionRules) -> tuple[str, ...]:
    """Return what a trade says besides under these rules: its margin, its carry."""
    levered = rules.leverage is not None
    return ("margin",) * levered + ("carry",) * carries(rules)


def stored_bytes(trades: int, bars: int, charges: tuple[str, ...] = ()) -> int:
    """Return what so many trades, and the equity curve of so many bars, are charged at most.

    An upper bound of their JSON text, known before any of it is made.
    """
    each = TRADE_BYTES + CHARGE_BYTES * len(charges)
    return each * trades + POINT_BYTES * min(bars, EQUITY_POINTS)


def trade_list(
    trades: Trades, open_times: Int64, close_times: Int64, charges: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the trades as JSON objects in time order; amounts in quote, times as UTC texts.

    `charges` are those of `charges_of`.
    """
    entered, left = trade_times(trades, open_times, close_times)
    with np.errstate(all="ignore"):
        exit_quote = trades.quantity * trades.exit_fill
        return_pct = 100.0 * trades.net / trades.quote
    columns = {
        "id": range(1, len(trades) + 1),
        "direction": np.where(trades.direction > 0, "long", "short").tolist(),
        "entry_time": utc_texts(entered),
        "exit_time": utc_texts(left),
        "entry_price": _listed(trades.entry_fill),
        "exit_price": _listed(trades.exit_fill),
        "quantity": _listed(trades.quantity),
        "entry_quote": _listed(trades.quote),
        "exit_quote": _listed(exit_quote),
        "entry_fee": _listed(trades.entry_fee),
        "exit_fee": _listed(trades.exit_fee),
        **{name: _listed(getattr(trades, name)) for name in charges},
        "gross_pnl": _listed(trades.gross),
        "net_pnl": _listed(trades.net),
        "return_pct": _listed(return_pct),
        "exit_reason": [REASONS[reason] for reason in trades.reason.tolist()],
    }
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def equity_points(
    equity: Float64, close_times: Int64, most: int = EQUITY_POINTS
) -> list[list[float | None]]:
    """Return at most `most` points `[close time in ms, equity]` of a curve of any length.

    Long curves are cut into stretches of which the first, lowest, highest and last bar are kept:
    no extreme is lost, the whole curve's first and last bar neither.
    """
    kept = np.arange(len(equity))
    if len(equity) > most:
        edges = np.linspace(0, len(equity), most // 4 + 1).astype(np.int64)
        known = np.isfinite(equity)
        lows, highs = np.where(known, equity, np.inf), np.where(known, equity, -np.inf)
        kept = np.unique(
            [
                bar
                for start, stop in pairwise(edges.tolist())
                for bar in (
                    start,
                    start + int(lows[start:stop].argmin()),
                    start + int(highs[start:stop].argmax()),
                    stop - 1,
                )
            ]
        )
    times: list[float] = close_times[kept].tolist()
    return [[*point] for point in zip(times, _listed(equity[kept]), strict=True)]


def utc_texts(times_ms: Int64) -> list[str]:
    """Return times in ms since 1970 as `2024-01-01T00:00:00Z`."""
    texts = np.datetime_as_string(times_ms.astype("datetime64[ms]"), unit="s", timezone="UTC")
    listed: list[str] = texts.tolist()
    return listed


def _listed(values: Float64) -> list[float | None]:
    listed: list[float | None] = values.tolist()
    for at in np.flatnonzero(~np.isfinite(values)).tolist():
        listed[at] = None
    return listed
