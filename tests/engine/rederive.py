"""From the stored parameters of one variant and candles to its result, without the engine.

`rederive(payload, candles)` takes what a job stores for a top variant and computes indicators with
plain loops, signals with plain conditions and money with the bar-by-bar simulator.

Two correct programs may disagree on a bar whose value lies within rounding of a threshold (the
price equals its own moving average in whole ticks, say). Such bars are reported as `doubtful`, so
that a difference can be told apart from an error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.timeframes import TIMEFRAMES
from tests.engine.plain_indicators import Series, by_stretches, typical_price
from tests.engine.plain_larger import rolled_up, seen_by
from tests.engine.simulator import (
    LONG,
    NEUTRAL,
    SHORT,
    Execution,
    Prices,
    RiskLevels,
    Run,
    simulate,
)

Payload = Mapping[str, Any]
Exits = list[tuple[bool, bool]] | None  # per bar: any exit block says LONG, any says SHORT
TOLERANCE = 1e-9


class CandleArrays(Protocol):
    """What is used of the engine's candles: floats, times and the first traded bar."""

    @property
    def ts_open(self) -> Any: ...

    def close_time(self) -> Any: ...

    @property
    def open(self) -> Any: ...

    @property
    def high(self) -> Any: ...

    @property
    def low(self) -> Any: ...

    @property
    def close(self) -> Any: ...

    @property
    def volume(self) -> Any: ...

    @property
    def first(self) -> int: ...

    @property
    def funding(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Rederived:
    """The re-derived run, the signals it came from, and the traded bars decided by rounding."""

    run: Run
    signals: list[int]
    exits: Exits
    doubtful: list[int]

    @property
    def total_return_pct(self) -> float:
        return self.run.total_return_pct


def inputs_of(candles: CandleArrays, source: str | None) -> dict[str, Series]:
    """Return the price series as lists; `source` names the one an indicator is computed on."""
    o, h, lo, c = (
        [float(v) for v in column]
        for column in (candles.open, candles.high, candles.low, candles.close)
    )
    series = {"open": o, "high": h, "low": lo, "close": c}
    bars = list(zip(o, h, lo, c, strict=True))
    derived = {
        "hl2": lambda: [(b[1] + b[2]) / 2 for b in bars],
        "hlc3": lambda: [typical_price(*b[1:]) for b in bars],
        "ohlc4": lambda: [typical_price(*b) for b in bars],
    }
    chosen = source or "close"
    series["source"] = series[chosen] if chosen in series else derived[chosen]()
    series["volume"] = [float(v) for v in candles.volume]
    return series


PRICE_RULE = {"ma.sma", "ma.ema", "trend.supertrend"}
PRICE_OUTPUTS = {"middle", "upper", "lower"}
SIGN_RULE = {"ma.cross", "momentum.macd"}
BAND_RULE = {"momentum.rsi", "volume.mfi"}


class Decision:
    """Comparisons of one bar that remember whether rounding could have turned one of them."""

    def __init__(self, block: Payload, price: Series, t: int) -> None:
        self.block, self.price, self.t = block, price, t
        self.close_call = False

    def above(self, a: float, b: float) -> bool:
        self._weigh(a, b)
        return a > b

    def at_least(self, a: float, b: float) -> bool:
        self._weigh(a, b)
        return a >= b

    def _weigh(self, a: float, b: float) -> None:
        if abs(a - b) <= TOLERANCE * max(1.0, abs(b)) and not (a == b and self._still()):
            self.close_call = True

    def _still(self) -> bool:
        """Return whether no price in the window differs, so that an exact tie is no chance."""
        params, knobs = (
            [v for v in self.block[part].values() if isinstance(v, int)]
            for part in ("params", "signals")
        )
        span = max(params) + max(knobs, default=0)
        return self.t >= span and len(set(self.price[self.t - span + 1 : self.t + 1])) == 1


def block_signal(
    block: Payload, values: Series, inputs: Mapping[str, Series], t: int
) -> tuple[int, bool]:
    """Return the signal of one block on bar t, and whether rounding could have decided it."""
    indicator, output, knobs = block["indicator_id"], block["output"], block["signals"]
    price, value = inputs["source"], values[t]
    call = Decision(block, price, t)
    long = short = False
    if math.isnan(value):
        return NEUTRAL, False
    if indicator in PRICE_RULE or output in PRICE_OUTPUTS:
        long, short = call.above(price[t], value), call.above(value, price[t])
    elif indicator in SIGN_RULE:
        long, short = call.above(value, 0.0), call.above(0.0, value)
    elif indicator in BAND_RULE or output == "percent_b":
        low, high = knobs["long_threshold"], knobs["short_threshold"]
        if low <= high:  # mean reversion
            long, short = call.at_least(low, value), call.at_least(value, high)
        else:  # momentum
            long, short = call.at_least(value, low), call.at_least(high, value)
    elif indicator == "volatility.atr" or output == "bandwidth":
        before_long, before_short = (
            t - knobs["long_delta_periods"],
            t - knobs["short_delta_periods"],
        )
        if before_long >= 0 and not math.isnan(values[before_long]):
            long = call.above(value, values[before_long])
        if before_short >= 0 and not math.isnan(values[before_short]):
            short = call.above(values[before_short], value)
    else:
        raise LookupError(f"no plain rule for {indicator} {output}")
    if long == short:
        return NEUTRAL, call.close_call
    return (LONG if long else SHORT), call.close_call


class Signals:
    """Signals of variants on one set of candles; remembers indicator values it has computed."""

    def __init__(self, candles: CandleArrays) -> None:
        self.candles = candles
        self._inputs: dict[tuple[str | None, str | None], dict[str, Series]] = {}
        self._seen: dict[str, list[int | None]] = {}
        self._blocks: dict[str, tuple[list[int], set[int]]] = {}
        self._values: dict[str, Series] = {}

    def of(self, blocks: Sequence[Payload]) -> tuple[list[int], list[int]]:
        """Return the AND of the blocks over the traded bars, and the doubtful traded bars."""
        parts = [self._block(block) for block in blocks]
        signals, doubtful = [], []
        for t in range(self.candles.first, len(self.candles.close)):
            wanted = {signals_of_block[t] for signals_of_block, _ in parts}
            signals.append(wanted.pop() if len(wanted) == 1 else NEUTRAL)
            if any(t in close_calls for _, close_calls in parts):
                doubtful.append(t - self.candles.first)
        return signals, doubtful

    def exits_of(self, blocks: Sequence[Payload]) -> tuple[Exits, list[int]]:
        """Return what any of the exit blocks says on the traded bars, and the doubtful bars.

        Without a block nothing is said: None.
        """
        if not blocks:
            return None, []
        parts = [self._block(block) for block in blocks]
        bars = range(self.candles.first, len(self.candles.close))
        exits = [
            (any(said[t] == LONG for said, _ in parts), any(said[t] == SHORT for said, _ in parts))
            for t in bars
        ]
        return exits, [t - bars.start for t in bars if any(t in calls for _, calls in parts)]

    def _block(self, block: Payload) -> tuple[list[int], set[int]]:
        timeframe = block.get("timeframe")
        identity = [block[key] for key in ("indicator_id", "output", "source", "params")]
        identity.append(timeframe)
        computed = repr(identity)
        decided = repr([*identity, block["signals"]])
        series = block["source"], timeframe
        if series not in self._inputs:
            self._inputs[series] = inputs_of(self._bars(timeframe), block["source"])
        inputs = self._inputs[series]
        if computed not in self._values:
            self._values[computed] = by_stretches(
                block["indicator_id"], block["output"], block["params"], inputs
            )
        if decided not in self._blocks:
            values = self._values[computed]
            calls = [block_signal(block, values, inputs, t) for t in range(len(values))]
            if timeframe is not None:
                seen = self._seen[timeframe]
                calls = [(NEUTRAL, False) if k is None else calls[k] for k in seen]
            self._blocks[decided] = (
                [signal for signal, _ in calls],
                {t for t, (_, close_call) in enumerate(calls) if close_call},
            )
        return self._blocks[decided]

    def _bars(self, timeframe: str | None) -> Any:
        """Return the bars that a block is computed on, and note who sees them."""
        if timeframe is None:
            return self.candles
        larger = rolled_up(self.candles, TIMEFRAMES[timeframe])
        self._seen[timeframe] = seen_by(self.candles, larger)
        return larger


def execution_of(payload: Payload, payments: Sequence[tuple[int, float]] = ()) -> Execution:
    """Return the rules of trading of a stored variant or of a request's template.

    A stored variant names fills, pauses and the position only where they are not the usual ones. Of
    a template's percent, which may be an axis, it is the first. `payments` are the stored ones,
    which are not looked at where funding is a percent.
    """
    execution = dict(payload["execution"])
    fills = {name: execution.get(name, "close") for name in FILLS}
    if isinstance(execution.get("percent"), Mapping):
        execution["percent"] = execution["percent"]["values"][0]
    stored = execution.get("funding_pct_per_8h") == "stored"
    if stored:
        del execution["funding_pct_per_8h"]
    leverage = execution.get("leverage")
    return Execution(
        **{name: float(value) for name, value in execution.items() if name in MONEY},
        leverage=None if leverage is None else float(leverage),
        direction_mode=payload["direction_mode"],
        sizing_mode=payload["sizing_mode"],
        init_cash=float(execution["init_cash_quote"]),
        position=payload.get("position", "state"),
        reentry_after_bars=execution.get("reentry_after_bars", 0),
        funding_rates=payments if stored else None,
        **fills,
    )


FILLS = ("entry_fill", "stop_fill")
MONEY = (
    *("fee_pct", "slippage_pct", "fixed_quote", "safe_profit_percent", "percent"),
    *("risk_per_trade_pct", "funding_pct_per_8h", "borrow_pct_per_year"),
)


def traded_closes(candles: CandleArrays) -> list[float]:
    closes: list[float] = candles.close[candles.first :].tolist()
    return closes


def traded_prices(candles: CandleArrays) -> Prices:
    prices = (candles.open, candles.high, candles.low, candles.close)
    times = (candles.ts_open, candles.close_time())
    return Prices(*(column[candles.first :].tolist() for column in (*prices, *times)))


def payments_of(candles: CandleArrays) -> list[tuple[int, float]]:
    """Return the funding that candles were loaded with; without any, none."""
    if candles.funding is None:
        return []
    times, rates = candles.funding.times.tolist(), candles.funding.rates.tolist()
    return list(zip(times, rates, strict=True))


def rederive(payload: Payload, candles: CandleArrays, known: Signals | None = None) -> Rederived:
    """Recompute a stored variant from its own parameters and the candles of its job.

    `known` are the signals on these candles, where the caller recomputes several variants.
    """
    known = Signals(candles) if known is None else known
    signals, doubtful = known.of(payload["blocks"])
    exits, unsure = known.exits_of(payload.get("exit_blocks", ()))
    execution = execution_of(payload, payments_of(candles))
    risk = RiskLevels(**payload["risk"])
    prices = traded_prices(candles)
    run = simulate(signals, prices.close, execution, risk, prices, exits)
    return Rederived(run, signals, exits, sorted({*doubtful, *unsure}))
