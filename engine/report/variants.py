"""The report of a variant that is kept: figures, table, trades and equity curve.

Figures that variants are ranked by come from the functions that ranked them, so that the number in
a report is the number in the ranking, bit for bit. `docs/metrics.md` has every formula.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.grid import Grid, indicator_key
from engine.kernels import ExecutionRules, Trades, execution_rules, simulate
from engine.metrics import equity_curve, variant_metrics
from engine.report.details import equity_points, stored_bytes, trade_list
from engine.report.figures import figures
from engine.report.table import table
from engine.request.hashes import canonical_json, sha256_hex

if TYPE_CHECKING:
    from engine.candles import Candles
    from engine.request.model import Request

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


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
    """One variant at its rank (from 1), in JSON types; a number that is undefined is None.

    `table_md`, `trades` and `equity` are None where they were not asked for, and trades and equity
    where `trades_omitted` says that the budget of the result has no room for them. A trade is an
    object with times as UTC text and amounts in quote; an equity point is
    `[close time in ms, equity]`. `total_return_pct` is None when the money overflowed.
    """

    rank: int
    variant_index: int
    variant_key: str
    indicator_variant_key: str
    total_return_pct: float | None
    metrics: dict[str, float | None]
    payload: dict[str, Any]
    table_md: str | None = None
    trades: list[dict[str, Any]] | None = None
    equity: list[list[float | None]] | None = None
    trades_omitted: bool = False


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
        metrics = _Run.of(sweep, int(variant_index)).metrics
        yield _report(sweep, rank, int(variant_index), metrics)


def reports(
    sweep: Variants, indexes: Iterable[int], *, top_trades_n: int, result_bytes: int
) -> Iterator[VariantReport]:
    """Yield the full report of variants, best first; the first `top_trades_n` with their trades.

    Trades and equity are charged to `result_bytes` before they are made. The first variant that
    does not fit, and all after it, go without: what is kept depends on nothing but the request.
    """
    left = result_bytes
    for rank, variant_index in enumerate(indexes, start=1):
        report, charged = _full_report(sweep, rank, int(variant_index), rank <= top_trades_n, left)
        left = -1 if report.trades_omitted else left - charged
        yield report


def _full_report(
    sweep: Variants, rank: int, variant_index: int, wanted: bool, room: int
) -> tuple[VariantReport, int]:
    """Return the report of a variant and what its trades and equity are charged.

    They are left out unless `wanted`, and where `room` bytes do not do. A function of its own, so
    that one run is in memory at a time.
    """
    run = _Run.of(sweep, variant_index)
    metrics = run.metrics | figures(
        run.trades, run.equity, run.closes, run.close_times, run.rules.init_cash
    )
    metrics["avg_trade_pct"] = run.metrics["expectancy_pct"]
    charged = stored_bytes(len(run.trades), len(run.equity)) if wanted else 0
    kept = wanted and charged <= room
    start, end = (sweep.request.document["time_range"][edge] for edge in ("start", "end"))
    report = _report(
        sweep,
        rank,
        variant_index,
        metrics,
        table_md=table(start, end, run.rules.init_cash, metrics),
        trades=trade_list(run.trades, run.close_times) if kept else None,
        equity=equity_points(run.equity, run.close_times) if kept else None,
        trades_omitted=wanted and not kept,
    )
    return report, charged


def _report(
    sweep: Variants,
    rank: int,
    variant_index: int,
    metrics: dict[str, float | None],
    **details: Any,
) -> VariantReport:
    payload = sweep.grid.variant(variant_index)
    return VariantReport(
        rank=rank,
        variant_index=variant_index,
        variant_key=sha256_hex(canonical_json(payload)),
        indicator_variant_key=indicator_key(payload),
        total_return_pct=metrics["total_return_pct"],
        metrics=metrics,
        payload=payload,
        **details,
    )
