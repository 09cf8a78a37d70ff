"""What is measured: the reference sweep, and crossings that every peer can trade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.grids import Axis, Grid, explicit, rsi, sma, steps
from engine.candles import Candles
from engine.kernels import ExecutionRules
from engine.request import Defaults, Limits, Request, complete, parse
from engine.synthetic import bars

Bits = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Float64 = NDArray[np.float64]

QUARTER_HOUR_MS = 900_000
YEAR_BARS = 35_040
WARMUP_BARS = 200
SEED = 7

INIT_CASH, FEE, SLIPPAGE = 10_000.0, 0.00075, 0.0001
LONG_ONLY = 1
RULES = ExecutionRules(
    fee=FEE,
    slippage=SLIPPAGE,
    direction=LONG_ONLY,
    sizing=0,
    init_cash=INIT_CASH,
    fixed_quote=100.0,
    safe_fraction=0.0,
)
SL_PCT = tuple(0.25 * step for step in range(1, 21))
TP_PCT = tuple(0.5 * step for step in range(1, 11))
RISK = {"sl": steps(1, 5), "tp": explicit((1, 2, 3, 4, 6, 8)), "tsl": None}

DEFAULTS = Defaults(
    warmup_bars=WARMUP_BARS,
    top_k=300,
    preselect=20_000,
    top_k_persisted=300,
    top_trades_n=3,
    primary_metric="total_return_pct",
    secondary_metric=None,
    init_cash_quote=INIT_CASH,
    fixed_quote=100.0,
    safe_profit_percent=30.0,
    slippage_pct=100 * SLIPPAGE,
    fee_pct_by_market_id={1: 100 * FEE},
    indicator_grids={},
)
RESULT_BYTES = 32 * 2**20
LIMITS = Limits(max_variants_per_compute=20_000_000, max_compute_bytes_total=2**40)


def year() -> Candles:
    """Return a year of 15-minute bars, always the same."""
    return bars(SEED, YEAR_BARS, QUARTER_HOUR_MS, warmup_bars=WARMUP_BARS)


def reference_grids(*, quick: bool = False) -> list[Grid]:
    """Return the blocks of the reference sweep, 601 328 base variants, or a tenth of it."""
    return [
        sma(steps(5, 24 if quick else 200)),
        rsi(steps(3, 120), steps(55, 79, 2), explicit((30, 40))),
    ]


def reference_request(*, quick: bool = False, metric: str = "total_return_pct") -> Request:
    """Return the reference job, or a tenth of it."""
    # Without a minimum, variants that never trade lead where all others lose: an idle stage B.
    return request_of(
        reference_grids(quick=quick),
        preselect=2_000 if quick else 20_000,
        metric=metric,
        min_trades=100,
    )


def request_of(
    grids: Sequence[Grid],
    *,
    timeframe: str = "15m",
    risk: Mapping[str, Axis | None] = RISK,
    preselect: int = 20_000,
    metric: str = "total_return_pct",
    min_trades: int = 0,
) -> Request:
    """Return a request over any year; the candles it is run on say which bars are traded."""
    document: dict[str, Any] = {
        "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": timeframe,
            "indicator_grids": list(grids),
            "direction_mode": "long-short",
            "sizing_mode": "all_in",
            "execution": {},
            "risk_grid": dict(risk),
        },
        "warmup_bars": WARMUP_BARS,
        "preselect": preselect,
        "top_k": 300,
        "top_trades_n": 3,
        "ranking": {
            "primary_metric": metric,
            "secondary_metric": None,
            "min_trades": min_trades,
        },
    }
    return parse(complete(document, DEFAULTS, LIMITS), LIMITS)


@dataclass(frozen=True, eq=False)
class Crossings:
    """Signals of averages that cross: `long` bool[V, n] on `closes` float64[n].

    The last bar is flat, so every peer has closed its position when it counts its money.
    """

    closes: Float64
    long: Flags

    @property
    def variants(self) -> int:
        """How many signals there are."""
        return len(self.long)

    def entries(self) -> Flags:
        """Return bool[V, n]: the bars on which a position is opened."""
        return self.long & ~self._before()

    def exits(self) -> Flags:
        """Return bool[V, n]: the bars on which a position is closed."""
        return ~self.long & self._before()

    def changes(self) -> float:
        """Return the mean number of position changes of a variant, which is its orders."""
        return float((self.long != self._before()).sum() / self.variants)

    def planes(self) -> tuple[Bits, Bits]:
        """Return uint64[V, W] LONG planes, and SHORT planes that are empty."""
        width = -(-self.long.shape[1] // 64) * 64
        padded = np.zeros((self.variants, width), bool)
        padded[:, : self.long.shape[1]] = self.long
        long = np.packbits(padded, axis=1, bitorder="little").view(np.uint64)
        return np.ascontiguousarray(long), np.zeros_like(long)

    def part(self, variants: int) -> "Crossings":
        """Return the first few variants."""
        return Crossings(self.closes, self.long[:variants])

    def _before(self) -> Flags:
        before = np.zeros_like(self.long)
        before[:, 1:] = self.long[:, :-1]
        return before


def crossings(candles: Candles, variants: int, orders: float) -> Crossings:
    """Return signals "fast average above slow average" with about so many orders each."""
    close = candles.close
    first = candles.first
    total = np.concatenate(([0.0], np.cumsum(close)))
    bar = np.arange(len(close)) + 1

    def average(window: int) -> Float64:
        start = np.maximum(bar - window, 0)
        return np.asarray((total[bar] - total[start]) / (bar - start))

    windows = [*range(1, 80), *range(80, 400, 10), *range(400, 1501, 50)]
    averages = {window: average(window)[first:] for window in windows}
    pairs = [(fast, slow) for slow in windows for fast in windows if fast < min(slow, 160)]
    distances = []
    for fast, slow in pairs:
        above = averages[fast] > averages[slow]
        above[-1] = False
        distances.append(abs(int((above[1:] != above[:-1]).sum()) + int(above[0]) - orders))
    nearest = [pairs[k] for k in np.argsort(distances, kind="stable")[:variants]]
    long = np.array([averages[fast] > averages[slow] for fast, slow in nearest])
    long[:, -1] = False
    return Crossings(np.ascontiguousarray(close[first:]), long)
