"""The report of a variant that is kept: figures, table, trades and equity curve.

Figures that variants are ranked by come from the functions that ranked them, so that the number in
a report is the number in the ranking, bit for bit. `docs/metrics.md` has every formula.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.grid import Grid, indicator_key
from engine.kernels import REASONS, ExecutionRules, Trades, execution_rules, simulate
from engine.metrics import equity_curve, variant_metrics
from engine.report.figures import figures
from engine.report.table import table
from engine.request.hashes import canonical_json, sha256_hex

if TYPE_CHECKING:
    from engine.candles import Candles
    from engine.request.model import Request

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

EQUITY_POINTS = 1000


class Variants(Protocol):
    """What a report needs of a sweep."""

    @property
    def request(self) -> "Request":
        """The request that is computed."""

    @property
    def candles(self) -> "Candles":
        """The candles it is computed on."""

    @property
    def grid(self) -> Grid:
        """Index ↔ parameters."""

    def planes_of(self, base_index: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """LONG and SHORT planes of a base variant."""


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant at its rank (from 1), in JSON types.

    `table_md`, `trades` and `equity` are None where they were not asked for. A trade is an object
    with times as UTC text and amounts in quote; an equity point is `[close time in ms, equity]`.
    """

    rank: int
    variant_index: int
    variant_key: str
    indicator_variant_key: str
    total_return_pct: float
    metrics: dict[str, float | None]
    payload: dict[str, Any]
    table_md: str | None
    trades: list[dict[str, Any]] | None
    equity: list[list[float]] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One variant computed again, with everything that is known about it."""

    closes: Float64  # of the traded bars
    close_times: Int64  # ms
    rules: ExecutionRules
    trades: Trades
    equity: Float64
    metrics: dict[str, float | None]

    @classmethod
    def of(cls, sweep: Variants, variant_index: int) -> "_Run":
        candles = sweep.candles
        closes = candles.close[candles.first :]
        close_times = candles.close_time()[candles.first :]
        rules = execution_rules(sweep.request)
        base_index, risk_index = sweep.grid.split(variant_index)
        long, short = sweep.planes_of(base_index)
        sl, tp, tsl = sweep.grid.risk_at(risk_index)
        trades = simulate(long, short, closes, rules, sl, tp, tsl)
        equity = equity_curve(trades, closes, rules)
        metrics = variant_metrics(trades, equity, close_times, rules)
        metrics["num_trades"] = len(trades)
        return cls(closes, close_times, rules, trades, equity, metrics)


def summaries(sweep: Variants, indexes: Iterable[int]) -> Iterator[VariantReport]:
    """Yield rank, parameters and ranking metrics of variants, best first: a snapshot's rows."""
    for rank, variant_index in enumerate(indexes, start=1):
        run = _Run.of(sweep, int(variant_index))
        yield _report(sweep, rank, int(variant_index), run.metrics)


def reports(
    sweep: Variants, indexes: Iterable[int], *, top_trades_n: int
) -> Iterator[VariantReport]:
    """Yield the full report of variants, best first; the first `top_trades_n` with their trades."""
    time_range = sweep.request.document["time_range"]
    for rank, variant_index in enumerate(indexes, start=1):
        run = _Run.of(sweep, int(variant_index))
        metrics = run.metrics | figures(
            run.trades, run.equity, run.closes, run.close_times, run.rules.init_cash
        )
        metrics["avg_trade_pct"] = run.metrics["expectancy_pct"]
        detailed = rank <= top_trades_n
        yield _report(
            sweep,
            rank,
            int(variant_index),
            metrics,
            table_md=table(time_range["start"], time_range["end"], run.rules.init_cash, metrics),
            trades=trade_list(run.trades, run.close_times) if detailed else None,
            equity=equity_points(run.equity, run.close_times) if detailed else None,
        )


def _report(
    sweep: Variants,
    rank: int,
    variant_index: int,
    metrics: dict[str, float | None],
    **details: Any,
) -> VariantReport:
    payload = sweep.grid.variant(variant_index)
    total_return = metrics["total_return_pct"]
    return VariantReport(
        rank=rank,
        variant_index=variant_index,
        variant_key=sha256_hex(canonical_json(payload)),
        indicator_variant_key=indicator_key(payload),
        total_return_pct=0.0 if total_return is None else total_return,
        metrics=metrics,
        payload=payload,
        **({"table_md": None, "trades": None, "equity": None} | details),
    )


def trade_list(trades: Trades, close_times: Int64) -> list[dict[str, Any]]:
    """Return the trades as JSON objects in time order; amounts in quote, times of bar closes."""
    return [
        {
            "id": number + 1,
            "direction": "long" if trades.direction[number] > 0 else "short",
            "entry_time": utc_text(int(close_times[trades.entry_bar[number]])),
            "exit_time": utc_text(int(close_times[trades.exit_bar[number]])),
            "entry_price": float(trades.entry_fill[number]),
            "exit_price": float(trades.exit_fill[number]),
            "quantity": float(trades.quantity[number]),
            "entry_quote": float(trades.quote[number]),
            "exit_quote": float(trades.quantity[number] * trades.exit_fill[number]),
            "entry_fee": float(trades.entry_fee[number]),
            "exit_fee": float(trades.exit_fee[number]),
            "gross_pnl": float(trades.gross[number]),
            "net_pnl": float(trades.net[number]),
            "return_pct": float(100.0 * trades.net[number] / trades.quote[number]),
            "exit_reason": REASONS[trades.reason[number]],
        }
        for number in range(len(trades.entry_bar))
    ]


def equity_points(
    equity: Float64, close_times: Int64, most: int = EQUITY_POINTS
) -> list[list[float]]:
    """Return at most `most` points `[close time in ms, equity]` of a curve of any length.

    Long curves are cut into stretches of which the first, lowest, highest and last bar are kept:
    no extreme is lost, the whole curve's first and last bar neither.
    """
    kept = np.arange(len(equity))
    if len(equity) > most:
        edges = np.linspace(0, len(equity), most // 4 + 1).astype(np.int64)
        kept = np.unique(
            [
                bar
                for start, stop in pairwise(edges)
                for bar in (
                    start,
                    start + np.argmin(equity[start:stop]),
                    start + np.argmax(equity[start:stop]),
                    stop - 1,
                )
            ]
        )
    return [[int(close_times[bar]), float(equity[bar])] for bar in kept]


def utc_text(time_ms: int) -> str:
    """Return ms since 1970 as `2024-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
