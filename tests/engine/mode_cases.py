"""Hypothesis strategies for the modes: bars with open, high and low, and every rule of trading.

Two shapes of a `ModeCase`, as in `cases`: short ones are drawn value by value, so that a failure
shrinks to a handful of bars; long ones come from one seed and cross word borders of packed planes.

Bars always satisfy low <= open, close <= high, and are as hostile as they get: gaps, bars without a
range, bars that reach stop and target both, leaps, and prices that touch a level or its margin to
the last bit. Any rule can be held fixed: `mode_cases(position="state", leverage=None)`.
"""

import itertools
import math
import random
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.engine.cases import (
    BORDERS,
    DIRECTIONS,
    HIGHEST,
    LOWEST,
    MONEY,
    SIZINGS,
    risk_levels,
)
from tests.engine.mode_bars import Bar, bars_of, prices_of, random_bars, whole, with_price
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

# What each field of an execution is drawn from. Values that stand twice come twice as often.
MODES: dict[str, tuple[Any, ...]] = {
    "fee_pct": (0.0, 0.0, 0.075, 0.075, 1e-6, 1.0, 20.0),
    "slippage_pct": (0.0, 0.0, 0.01, 0.01, 1e-6, 1.0, 10.0),
    "direction_mode": DIRECTIONS,
    "sizing_mode": (*SIZINGS, "percent", "percent", "risk_per_trade", "risk_per_trade"),
    "position": ("state", "hold"),
    "entry_fill": ("close", "next_open"),
    "stop_fill": ("close", "intrabar"),
    "reentry_after_bars": (0, 0, 0, 1, 2, 5, 70),
    "percent": (1.0, 33.3, 50.0, 99.0, 100.0),
    "risk_per_trade_pct": (0.1, 1.0, 2.5, 50.0, 100.0),
    "leverage": (None, None, None, None, None, 1.0, 2.0, 3.0, 10.0, 125.0),
    "funding_pct_per_8h": (0.0, 0.0, 0.01, -0.01, 0.5, -3.0),
    "borrow_pct_per_year": (0.0, 0.0, 5.0, 100.0),
}
EXIT_SIGNS = tuple(itertools.product((False, True), repeat=2))
PRICES = (100.0, 100.0, 101.0, 99.0, 95.0, 105.0, 50.0, 200.0, 201.0, 3.0, 4e4)
UPS, DOWNS = (1.0, 1.0, 1.01, 1.1, 2.5), (1.0, 1.0, 0.99, 0.9)
SHORT_BARS = [
    whole(o, max(o, c) * up, min(o, c) * down, c)
    for o, c, up, down in itertools.product(PRICES, PRICES, UPS, DOWNS)
]
"""What a bar of a short case is drawn from: the first one is flat."""

NO_CARRY = {"funding_pct_per_8h": 0.0, "borrow_pct_per_year": 0.0}
COSTLESS = {"fee_pct": 0.0, "slippage_pct": 0.0, **NO_CARRY}


@dataclass(frozen=True, slots=True)
class ModeCase:
    signals: list[int]
    exits: list[tuple[bool, bool]] | None
    prices: Prices
    execution: Execution
    risk: RiskLevels

    def run(self) -> Run:
        return simulate(
            self.signals,
            self.prices.close,
            self.execution,
            self.risk,
            self.prices,
            self.exits,
        )

    def with_rules(self, **changed: Any) -> "ModeCase":
        return replace(self, execution=replace(self.execution, **changed))

    def rounding(self, run: Run) -> float:
        """Return how far sums of this run may be off: by the largest amount that took part."""
        amounts = [*map(abs, run.equity), *(t.quote for t in run.trades)]
        return 1e-11 * max(self.execution.init_cash, *amounts)


# Fields that are drawn together, as one choice of all their combinations: most of the time of a
# case would go into drawing it field by field.
TOGETHER = (
    ("init_cash", "fixed_quote", "safe_profit_percent"),
    ("fee_pct", "slippage_pct"),
    ("direction_mode", "sizing_mode", "percent", "risk_per_trade_pct"),
    ("position", "entry_fill", "stop_fill", "reentry_after_bars"),
    ("leverage", "funding_pct_per_8h", "borrow_pct_per_year"),
)


def mode_executions(**fixed: Any) -> st.SearchStrategy[Execution]:
    """Every combination of the modes, with costs, and with money as in `cases`."""
    values = MONEY | MODES | {name: (value,) for name, value in fixed.items()}
    drawn = {name for together in TOGETHER for name in together}
    groups = (*TOGETHER, tuple(name for name in values if name not in drawn))
    return st.builds(
        lambda *parts: Execution(**{name: value for part in parts for name, value in part}),
        *(_combinations({name: values[name] for name in names}) for names in groups if names),
    )


def _combinations(values: dict[str, tuple[Any, ...]]) -> st.SearchStrategy[Any]:
    """Pairs of name and value; those that shrinking wants, of first values, come first."""
    return st.sampled_from(
        [tuple(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    )


def sized(execution: Execution, risk: RiskLevels, rng: random.Random) -> Execution:
    """Give risk_per_trade a stop to size with where there is none, and at times another one."""
    if execution.sizing_mode == "risk_per_trade" and (risk.sl is None or rng.random() < 0.2):
        return replace(execution, sizing_sl=rng.choice((0.5, 5.0, 20.0)))
    return execution


def random_signals(rng: random.Random, count: int) -> list[int]:
    """Runs of random length; single bars between long pauses are what holdings live from."""
    typical = rng.choice((1, 2, 7, 40, 200))
    pause = rng.choice((0, 0, 3, 30))
    choices = rng.choice(((LONG, SHORT, NEUTRAL), (LONG, SHORT), (LONG, NEUTRAL), (SHORT, NEUTRAL)))
    signals: list[int] = []
    while len(signals) < count:
        signals += [rng.choice(choices)] * rng.randint(1, typical)
        signals += [NEUTRAL] * rng.randint(0, pause)
    return signals[:count]


def random_exits(rng: random.Random, count: int) -> list[tuple[bool, bool]] | None:
    share = rng.choice((None, 0.0, 0.02, 0.2, 0.7))
    if share is None:
        return None
    return [(rng.random() < share, rng.random() < share) for _ in range(count)]


def touched(case: ModeCase, rng: random.Random) -> ModeCase:
    """Let a price soon after an entry be a level of that trade, its margin, or next to either."""
    trades, bars, risk = case.run().trades, bars_of(case.prices), case.risk
    shares = [percent / 100 for percent in (risk.sl, risk.tp, risk.tsl) if percent is not None]
    if case.execution.leverage is not None:
        shares.append(1 / case.execution.leverage)
    if not trades or not shares:
        return case
    trade = rng.choice(trades)
    at = rng.randint(trade.entry_bar + 1, min(trade.exit_bar, trade.entry_bar + 4))
    start = rng.choice((*[trade.entry_fill] * 4, *bars[at - 1]))
    below = rng.random() < 0.5
    level = start * (1 - rng.choice(shares)) if below else start * (1 + rng.choice(shares))
    margin = 1 + 1e-12 if below else 1 - 1e-12
    price = level * rng.choice((1.0, margin))
    price = rng.choice((price, math.nextafter(price, 0), math.nextafter(price, 1e9)))
    if not LOWEST <= price <= HIGHEST:
        return case
    inside = case.execution.stop_fill == "intrabar"
    looked_at = 3 if not inside else 2 if below else 1
    bars[at] = with_price(bars[at], rng.choice((0, looked_at, looked_at, looked_at)), price)
    opens, highs, lows, closes = ([bar[part] for bar in bars] for part in range(4))
    prices = replace(case.prices, open=opens, high=highs, low=lows, close=closes)
    return replace(case, prices=prices)


def _case(
    signals: list[int],
    exits: list[tuple[bool, bool]] | None,
    bars: list[Bar],
    execution: Execution,
    risk: RiskLevels,
    rng: random.Random,
) -> ModeCase:
    execution = sized(execution, risk, rng)
    exits = exits if execution.position == "hold" else None
    case = ModeCase(signals, exits, prices_of(bars, rng), execution, risk)
    for _ in range(rng.choice((0, 0, 2, 5))):
        case = touched(case, rng)
    return case


def _long_case(seed: int, count: int, execution: Execution, risk: RiskLevels) -> ModeCase:
    rng = random.Random(seed)
    signals, exits = random_signals(rng, count), random_exits(rng, count)
    return _case(signals, exits, random_bars(rng, count), execution, risk, rng)


def _short_case(
    drawn: list[tuple[tuple[int, tuple[bool, bool]], Bar]],
    exit_blocks: bool,
    execution: Execution,
    risk: RiskLevels,
    seed: int,
) -> ModeCase:
    signals, exits = ([signs[i] for signs, _ in drawn] for i in range(2))
    bars = [bar for _, bar in drawn]
    return _case(
        signals, exits if exit_blocks else None, bars, execution, risk, random.Random(seed)
    )


def short_mode_cases(**fixed: Any) -> st.SearchStrategy[ModeCase]:
    """One to twelve bars, drawn bar by bar."""
    signs = st.sampled_from(list(itertools.product((NEUTRAL, LONG, SHORT), EXIT_SIGNS)))
    return st.builds(
        _short_case,
        st.lists(
            st.tuples(signs, st.sampled_from(SHORT_BARS)),
            min_size=1,
            max_size=12,
        ),
        st.booleans(),
        mode_executions(**fixed),
        risk_levels(),
        st.integers(0, 2**16),
    )


def long_mode_cases(**fixed: Any) -> st.SearchStrategy[ModeCase]:
    """One to four hundred bars from one seed, often exactly at a border of 64."""
    return st.builds(
        _long_case,
        st.integers(0, 2**32),
        st.sampled_from(BORDERS) | st.integers(1, 400),
        mode_executions(**fixed),
        risk_levels(),
    )


@cache
def mode_cases(**fixed: Any) -> st.SearchStrategy[ModeCase]:
    """Return short and long cases mixed, with some fields of the execution held fixed.

    Made once for each choice of them: a thousand combinations to draw from take milliseconds.
    """
    long = long_mode_cases(**fixed)
    return st.one_of(short_mode_cases(**fixed), long, long)
