"""The report of a variant that is kept: figures, table, trades and equity curve.

Figures that variants are ranked by come from the functions that ranked them, so that the number in
a report is the number in the ranking, bit for bit. `docs/metrics.md` has every formula.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.grid import Grid, indicator_key
from engine.kernels import ExecutionRules, Trades, execution_rules, simulate
from engine.kernels.account import Market
from engine.kernels.charges import carry_on
from engine.kernels.inputs import costs_of, fills_of, market_of
from engine.metrics import equity_curve, variant_metrics
from engine.report.details import (
    charges_of,
    equity_points,
    stored_bytes,
    trade_list,
    utc_texts,
)
from engine.report.figures import Figures, as_stored, figures
from engine.report.table import Column, table
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

    def exit_planes_of(
        self, base_index: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        """LONG and SHORT planes of its exit blocks, None without any."""


@dataclass(frozen=True, slots=True)
class VariantReport:
    """One variant at its rank (from 1), in JSON types; a number that is undefined is None.

    A figure that is infinite is None too, and `metrics["infinite"]` lists its name.
    `table_md`, `trades` and `equity` are None where they were not asked for, and trades and equity
    where `trades_omitted` says that the budget of the result has no room for them. A trade is an
    object with times as UTC text and amounts in quote; an equity point is
    `[close time in ms, equity]`. `total_return_pct` is None when the money overflowed. `twins`
    variants, this one included, have the same outcome. What begins with `test` is of the bars that
    the variant was not chosen on; all else of those it was chosen on.
    """

    rank: int
    variant_index: int
    variant_key: str
    indicator_variant_key: str
    total_return_pct: float | None
    metrics: dict[str, Any]
    payload: dict[str, Any]
    table_md: str | None = None
    trades: list[dict[str, Any]] | None = None
    equity: list[list[float | None]] | None = None
    trades_omitted: bool = False
    twins: int = 1
    test_metrics: dict[str, Any] | None = None
    test_trades: list[dict[str, Any]] | None = None
    test_equity: list[list[float | None]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Bars:
    """The traded bars, and what is derived from them once for all variants."""

    closes: Float64
    open_times: Int64  # ms
    close_times: Int64  # ms
    rules: ExecutionRules
    market: Market

    @classmethod
    def of(cls, sweep: Variants) -> "_Bars":
        candles = sweep.candles
        traded = slice(candles.first, None)
        closes = candles.close[traded]
        rules = execution_rules(sweep.request)
        return cls(
            closes=closes,
            open_times=candles.ts_open[traded],
            close_times=candles.close_time()[traded],
            rules=rules,
            market=market_of(
                closes,
                costs_of(rules),
                fills=fills_of(rules, candles),
                carry=carry_on(rules, candles),
            ),
        )

    @property
    def times(self) -> tuple[Int64, Int64]:
        """When the bars open and close."""
        return self.open_times, self.close_times

    def column(self, metrics: dict[str, Any]) -> Column:
        """Return the figures of a variant as a column of its table."""
        start, end = utc_texts(np.array([self.open_times[0], self.close_times[-1]]))
        return Column(start, end, metrics)


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One variant computed again, with everything that is known about it."""

    trades: Trades
    equity: Float64
    metrics: Figures

    @classmethod
    def of(cls, sweep: Variants, bars: _Bars, variant_index: int) -> "_Run":
        closes, market = bars.closes, bars.market
        base_index, risk_index = sweep.grid.split(variant_index)
        long, short = sweep.planes_of(base_index)
        sl, tp, tsl = sweep.grid.risk_at(risk_index)
        rules = bars.rules.sized(sl, sweep.grid.percent_at(risk_index))
        exits = sweep.exit_planes_of(base_index) if rules.hold else None
        trades = simulate(long, short, closes, rules, sl, tp, tsl, market=market, exits=exits)
        equity = equity_curve(trades, closes, rules, market=market)
        metrics = variant_metrics(trades, equity, bars.open_times, rules)
        metrics["num_trades"] = len(trades)
        return cls(trades, equity, metrics)


def summaries(
    sweep: Variants, indexes: Iterable[int], *, twins: Int64 | None = None
) -> Iterator[VariantReport]:
    """Yield rank, parameters and ranking metrics of variants, best first: a snapshot's rows.

    `twins` int64[k] says how many variants share each outcome; without it, each has its own.
    """
    bars = _Bars.of(sweep)
    for rank, variant_index in enumerate(indexes, start=1):
        metrics = _Run.of(sweep, bars, int(variant_index)).metrics
        report = _report(sweep, rank, int(variant_index), as_stored(metrics))
        yield replace(report, twins=_shared(twins, rank))


def reports(
    sweep: Variants,
    indexes: Iterable[int],
    *,
    top_trades_n: int,
    result_bytes: int,
    twins: Int64 | None = None,
    test: Variants | None = None,
) -> Iterator[VariantReport]:
    """Yield the full report of variants, best first; the first `top_trades_n` with their trades.

    `twins` int64[k] says how many variants share each outcome; without it, each has its own.
    Trades and equity are charged to `result_bytes` before they are made. The first variant that
    does not fit, and all after it, go without: what is kept depends on nothing but the request.
    `test` is the same grid on the bars that the variants were not chosen on.
    """
    parts = [(each, _Bars.of(each)) for each in (sweep, test) if each is not None]
    left = result_bytes
    for rank, variant_index in enumerate(indexes, start=1):
        wanted = rank <= top_trades_n
        report, charged = _full_report(parts, rank, int(variant_index), wanted, left)
        left = -1 if report.trades_omitted else left - charged
        yield replace(report, twins=_shared(twins, rank))


def _shared(twins: Int64 | None, rank: int) -> int:
    return 1 if twins is None else int(twins[rank - 1])


def _full_report(
    parts: Sequence[tuple[Variants, _Bars]], rank: int, variant_index: int, wanted: bool, room: int
) -> tuple[VariantReport, int]:
    """Return the report of a variant and what its trades and equity are charged.

    They are left out unless `wanted`, and where `room` bytes do not do. A function of its own, so
    that the runs of one variant are in memory at a time.
    """
    train, *tests = (_Measured.of(sweep, bars, variant_index) for sweep, bars in parts)
    charged = sum(each.charged for each in (train, *tests)) if wanted else 0
    kept = wanted and charged <= room
    columns = [each.bars.column(each.metrics) for each in (train, *tests)]
    tested = {
        f"test_{name}": value
        for each in tests
        for name, value in {"metrics": each.metrics, **each.details(kept=kept)}.items()
    }
    report = _report(
        parts[0][0],
        rank,
        variant_index,
        train.metrics,
        table_md=table(train.bars.rules.init_cash, *columns),
        trades_omitted=wanted and not kept,
        **train.details(kept=kept),
        **tested,
    )
    return report, charged


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """A variant on some bars, with all figures as they are stored."""

    bars: _Bars
    run: _Run
    metrics: dict[str, Any]

    @classmethod
    def of(cls, sweep: Variants, bars: _Bars, variant_index: int) -> "_Measured":
        run = _Run.of(sweep, bars, variant_index)
        known = run.metrics | figures(
            run.trades, run.equity, bars.closes, bars.times, bars.rules.init_cash
        )
        return cls(bars, run, as_stored(known | {"avg_trade_pct": known["expectancy_pct"]}))

    @property
    def charged(self) -> int:
        """What its trades and equity are charged."""
        charges = charges_of(self.bars.rules)
        return stored_bytes(len(self.run.trades), len(self.run.equity), charges)

    def details(self, *, kept: bool) -> dict[str, Any]:
        """Return its trades and equity as they are stored, None where they are not `kept`."""
        if not kept:
            return {"trades": None, "equity": None}
        bars, run = self.bars, self.run
        return {
            "trades": trade_list(run.trades, *bars.times, charges_of(bars.rules)),
            "equity": equity_points(run.equity, bars.close_times),
        }


def _report(
    sweep: Variants,
    rank: int,
    variant_index: int,
    metrics: dict[str, Any],
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
