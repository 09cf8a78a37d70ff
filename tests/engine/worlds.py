"""Small random worlds for the whole sweep: candles, a fully spelled-out request, all references.

Prices are continuous random numbers (with flat stretches), so that no comparison of a value with a
threshold hangs on rounding; everything else varies with the seed.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from engine.candles import Candles
from engine.funding import Funding
from engine.request import Defaults, Limits, Request, complete, parse
from tests.engine.cases import with_leaps
from tests.engine.enumeration import base_variants, percents, risk_variants
from tests.engine.plain_metrics import Measured, measure
from tests.engine.plain_outcomes import held_and_starts
from tests.engine.rederive import Exits, Signals, execution_of, payments_of, traded_prices
from tests.engine.simulator import Prices, RiskLevels, Run, simulate

HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
DEFAULTS = Defaults(
    warmup_bars=0,
    top_k=10,
    preselect=10,
    top_k_persisted=1_000,
    top_trades_n=3,
    primary_metric="total_return_pct",
    secondary_metric=None,
    init_cash_quote=10_000.0,
    fixed_quote=100.0,
    safe_profit_percent=30.0,
    slippage_pct=0.01,
    fee_pct_by_market_id={1: 0.075},
    indicator_grids={},
)
LIMITS = Limits(max_variants_per_compute=100_000, max_compute_bytes_total=2**40)


def explicit(*values: Any) -> dict[str, Any]:
    return {"mode": "explicit", "values": list(values)}


def steps(start: Any, stop_incl: Any, step: Any) -> dict[str, Any]:
    return {"mode": "range", "start": start, "stop_incl": stop_incl, "step": step}


def random_candles(
    seed: int, *, traded: int, warmup: int, timeframe_ms: int, leaps: bool = False
) -> Candles:
    """Return a volatile walk with short flat, volumeless stretches.

    They are short because an exponential average converges to a price that stays. With `leaps` the
    price multiplies by 3 to 200 within a few bars, here and there, and falls back.
    """
    rng = random.Random(seed)
    count = warmup + traded
    flat_until, close = 0, 100.0
    columns: dict[str, list[float]] = {name: [] for name in ("o", "h", "l", "c", "v")}
    for bar in range(count):
        if bar and rng.random() < 0.005:
            flat_until = bar + rng.randint(2, 8)
        opened = close
        if bar >= flat_until:
            close *= math.exp(rng.gauss(0, 0.02))
        moved = bar >= flat_until
        columns["o"].append(opened)
        columns["h"].append(max(opened, close) * (1 + moved * rng.random() * 0.01))
        columns["l"].append(min(opened, close) * (1 - moved * rng.random() * 0.01))
        columns["c"].append(close)
        columns["v"].append(moved * rng.uniform(1, 100))
    if leaps:
        factors = with_leaps([1.0] * count, rng)
        for name in "ohlc":
            columns[name] = [p * f for p, f in zip(columns[name], factors, strict=True)]
    return Candles(
        ts_open=START_MS - timeframe_ms + np.arange(count, dtype=np.int64) * timeframe_ms,
        open=np.array(columns["o"]),
        high=np.array(columns["h"]),
        low=np.array(columns["l"]),
        close=np.array(columns["c"]),
        volume=np.array(columns["v"]),
        timeframe_ms=timeframe_ms,
        first=warmup,
    )


def with_gaps(candles: Candles, seed: int) -> Candles:
    """Return the candles with opens of their own, most of them not at the close before."""
    rng = np.random.default_rng(seed)
    opened = candles.open * np.exp(rng.normal(0, 0.01, len(candles.open)))
    high, low = np.maximum(candles.high, opened), np.minimum(candles.low, opened)
    return replace(candles, open=opened, high=high, low=low)


def with_funding(candles: Candles, seed: int) -> Candles:
    """Return the candles with payments every four hours, some of them missing, some negative."""
    rng = np.random.default_rng(seed)
    times = np.arange(START_MS, int(candles.close_time()[-1]) + 1, 4 * HOUR_MS)
    kept = times[rng.random(len(times)) < 0.8]
    return replace(candles, funding=Funding(kept, rng.normal(0.02, 0.1, len(kept))))


MOMENTUM = {"long_threshold": explicit(53.3, 56.7), "short_threshold": explicit(46.1, 43.7)}
REVERSION = {"long_threshold": explicit(38.3, 44.4), "short_threshold": explicit(55.3, 61.9)}
DELTAS = {"long_delta_periods": explicit(1, 7), "short_delta_periods": explicit(2)}


def _block(indicator_id: str, output: str, params: Any, signals: Any = None) -> dict[str, Any]:
    return {
        "indicator_id": indicator_id,
        "output": output,
        "params": params,
        "signals": signals or {},
    }


def block_menu(rng: random.Random) -> list[dict[str, Any]]:
    """Return one block of every kind, with axes of a few values."""
    price = {"source": explicit(*rng.sample(["close", "open", "hl2", "hlc3", "ohlc4", "high"], 2))}
    close = {"source": explicit("close")}
    window = {"window": explicit(*sorted(rng.sample(range(3, 40), 3)))}
    few = {"window": steps(4, 20, 8)}
    widths = window | {"mult": steps(0.61, 1.61, 0.5)}
    pairs = {"fast": steps(3, 9, 3), "slow": explicit(6, 21)}
    band = rng.choice((MOMENTUM, REVERSION))
    fraction = {"long_threshold": explicit(0.57, 0.21), "short_threshold": explicit(0.43)}
    return [
        _block("ma.sma", "ma", window) | price,
        _block("ma.ema", "ma", window) | price,
        _block("ma.cross", "diff", {"ma": explicit("wma", "sma", "ema")} | pairs) | close,
        _block("momentum.rsi", "rsi", few, band) | close,
        _block("momentum.macd", "hist", pairs | {"signal": explicit(3, 5)}) | close,
        _block("momentum.macd", "line", pairs) | price,
        _block("volatility.atr", "value", few, DELTAS),
        _block("volatility.bbands", "middle", window) | price,
        _block("volatility.bbands", rng.choice(("upper", "lower")), widths) | close,
        _block("volatility.bbands", "percent_b", widths, fraction) | close,
        _block("volatility.bbands", "bandwidth", window, DELTAS) | close,
        _block("trend.supertrend", "supertrend", widths),
        _block("volume.mfi", "value", few, band),
    ]


def iso(ms: int) -> str:
    """Return ms since 1970 as a request writes it."""
    return f"{np.datetime64(ms, 'ms')}Z"


@dataclass(frozen=True, slots=True)
class Reference:
    """What a variant does; `held`, of stage A with hold, tells apart what a stop would."""

    run: Run
    measured: Measured
    held: tuple[int, ...] = ()

    @property
    def outcome(self) -> tuple[Run, tuple[int, ...]]:
        """Return what variants have in common that are twins."""
        return self.run, self.held


class World:
    """One seed's candles and request, with everything about it computed the slow way on demand."""

    def __init__(
        self,
        seed: int,
        *,
        sizing: str = "all_in",
        direction: str = "long-short",
        blocks: list[dict[str, Any]] | None = None,
        leaps: bool = False,
        fills: tuple[str, str] = ("close", "close"),
        exits: list[dict[str, Any]] | None = None,
        pause: int = 0,
        traded: int | None = None,
        money: dict[str, Any] | None = None,
    ) -> None:
        """Make a world, of `traded` bars or of any number.

        With `exits`, of any number of blocks, positions are held. `money` are members of the
        execution: sizes, leverage, what holding costs.
        """
        rng = random.Random(f"{seed} {sizing} {direction}")
        timeframe, hours = rng.choice((("1h", 1), ("4h", 4), ("12h", 12)))
        drawn = rng.choice((63, 64, 65, 129, 200, 257, 320))
        traded = drawn if traded is None else traded
        self.candles = random_candles(
            rng.randrange(2**32),
            traded=traded,
            warmup=rng.choice((0, 10, 50)),
            timeframe_ms=hours * HOUR_MS,
            leaps=leaps,
        )
        if (money or {}).get("funding_pct_per_8h") == "stored":
            self.candles = with_funding(self.candles, seed)
        if fills != ("close", "close"):
            self.candles = with_gaps(self.candles, seed)
        costs = rng.choice(((0.075, 0.01), (0.3, 0.0), (0.0, 0.2), (1.0, 0.5)))
        self.template = {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": timeframe,
            "indicator_grids": blocks or self._blocks(rng),
            "direction_mode": direction,
            "sizing_mode": sizing,
            "execution": {
                "init_cash_quote": rng.choice((1_000.0, 25_000.0)),
                "fee_pct": costs[0],
                "slippage_pct": costs[1],
                "fixed_quote": rng.choice((700.0, 1e9)),
                "safe_profit_percent": rng.choice((0.0, 30.0, 100.0)),
                "entry_fill": fills[0],
                "stop_fill": fills[1],
                "reentry_after_bars": pause,
                **(money or {}),
            },
            "position": "state" if exits is None else "hold",
            "exit_grids": exits or [],
            "risk_grid": {
                "sl": rng.choice((None, explicit(None, 2.0, 6.5), explicit(4.0))),
                "tp": rng.choice((None, explicit(3.0, None), steps(2, 9, 3.5))),
                "tsl": rng.choice((None, explicit(None, 5.0), explicit(1.5, 8.0))),
            },
        }
        if sizing == "risk_per_trade":
            self.template["risk_grid"]["sl"] = explicit(2.0, 6.5)
        self.start_ms = START_MS
        self.end_ms = START_MS + traded * hours * HOUR_MS

    @staticmethod
    def _blocks(rng: random.Random) -> list[dict[str, Any]]:
        """Choose one to three blocks; the same indicator may come twice, under its own name."""
        while True:
            blocks = rng.sample(block_menu(rng), rng.choice((1, 2, 2, 3)))
            for position, block in enumerate(blocks):
                block["name"] = f"{rng.choice('abcxyz')}{position}"
            if 2 <= len(base_variants({"indicator_grids": blocks})) <= 72:
                return blocks

    def request(
        self,
        primary: str = "total_return_pct",
        secondary: str | None = None,
        *,
        preselect: int = 10,
        top_k: int = 25,
        min_trades: int = 0,
    ) -> Request:
        top_k = min(top_k, preselect * len(self.risks))
        document = {
            "time_range": {"start": iso(self.start_ms), "end": iso(self.end_ms)},
            "template": self.template,
            "warmup_bars": self.candles.first,
            "preselect": preselect,
            "top_k": top_k,
            "top_trades_n": 1,
            "ranking": {
                "primary_metric": primary,
                "secondary_metric": secondary,
                "min_trades": min_trades,
            },
        }
        wanted = parse(complete(document, DEFAULTS, LIMITS))
        # Every variant is compared with the reference, twin or not.
        return replace(wanted, ranking=replace(wanted.ranking, distinct=False))

    @cached_property
    def bases(self) -> list[list[dict[str, Any]]]:
        return base_variants(self.template)

    @cached_property
    def risks(self) -> list[RiskLevels]:
        return risk_variants(self.template)

    @cached_property
    def _signals(self) -> Signals:
        return Signals(self.candles)

    @property
    def entries(self) -> int:
        """How many blocks of a variant open positions: the first ones."""
        return len(self.template["indicator_grids"])

    @cached_property
    def signals(self) -> list[list[int]]:
        """Signals of every base variant; no bar of any hangs on rounding."""
        decided = [self._signals.of(blocks[: self.entries]) for blocks in self.bases]
        assert not any(doubtful for _, doubtful in decided), "choose another seed"
        return [signals for signals, _ in decided]

    @cached_property
    def exits(self) -> list[Exits]:
        """What the exit blocks of every base variant say; no bar of any hangs on rounding."""
        decided = [self._signals.exits_of(blocks[self.entries :]) for blocks in self.bases]
        assert not any(doubtful for _, doubtful in decided), "choose another seed"
        return [exits for exits, _ in decided]

    def reference(
        self, base: int, risk: RiskLevels, percent: float | None = None, sl: float | None = None
    ) -> Reference:
        """Return what a variant does; `sl` sizes its trades where no stop of its own does."""
        execution = replace(execution_of(self.template, self._payments), sizing_sl=sl)
        if percent is not None:
            execution = replace(execution, percent=percent)
        prices = self._prices
        run = simulate(self.signals[base], prices.close, execution, risk, prices, self.exits[base])
        return Reference(run, measure(run, execution.init_cash, prices.open_ms))

    @cached_property
    def _payments(self) -> list[tuple[int, float]]:
        return payments_of(self.candles)

    @cached_property
    def _prices(self) -> Prices:
        return traded_prices(self.candles)

    @cached_property
    def stage_a(self) -> dict[int, Reference]:
        """Return base index -> reference without risk levels."""
        sl = self.risks[0].sl
        found = {base: self.reference(base, RiskLevels(), sl=sl) for base in range(len(self.bases))}
        execution = execution_of(self.template)
        if execution.position == "state":
            return found
        return {
            base: replace(
                reference, held=held_and_starts(self.signals[base], self.exits[base], execution)
            )
            for base, reference in found.items()
        }

    @cached_property
    def _stage_b(self) -> dict[int, Reference]:
        return {}

    def references(self) -> Iterator[Reference]:
        """Return every variant of either stage that was simulated."""
        yield from self.stage_a.values()
        yield from self._stage_b.values()

    def stage_b(self, shortlist: Sequence[int]) -> dict[int, Reference]:
        """Return stage-B index -> reference for every risk combination of the shortlist."""
        wanted, sizes = {}, percents(self.template)
        for base in shortlist:
            for number, risk in enumerate(self.risks):
                index = base * len(self.risks) + number
                if index not in self._stage_b:
                    percent = sizes[number % len(sizes)]
                    self._stage_b[index] = self.reference(base, risk, percent)
                wanted[index] = self._stage_b[index]
        return wanted
