"""Hypothesis strategies for execution cases: signals, prices, money rules and risk levels.

Two shapes of the same `Case`: short ones are drawn value by value, so that a failure shrinks to a
handful of bars; long ones come from one seed, so that hundreds of bars cost one draw and word
borders of packed planes (64 bars) are crossed.

Prices stay within a range in which float64 keeps 1e-9 of the account's size through a whole run;
inside it they are as hostile as they get: repeats, jumps by large factors, closes that equal a
risk level to the last bit.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tests.engine.simulator import LONG, NEUTRAL, SHORT, Execution, RiskLevels

DIRECTIONS = ("long-short", "long-only", "short-only")
SIZINGS = ("all_in", "fixed_quote", "strategy_compound", "strategy_compound_profit_lock")
BORDERS = (1, 2, 3, 31, 32, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257, 320, 400)
LOWEST, HIGHEST = 1e-3, 1e6
MONEY: dict[str, tuple[float, ...]] = {
    "init_cash": (1.0, 100.0, 10_000.0),
    "fixed_quote": (1e-3, 0.5, 30.0, 100.0, 9_999.0, 1e9),
    "safe_profit_percent": (0.0, 30.0, 33.3, 100.0),
}


@dataclass(frozen=True, slots=True)
class Case:
    signals: list[int]
    closes: list[float]
    execution: Execution
    risk: RiskLevels


def signal_of(value: float, level: float) -> int:
    """Return the sign of value - level; an undefined indicator value is NEUTRAL."""
    if math.isnan(value) or value == level:
        return NEUTRAL
    return LONG if value > level else SHORT


def level_hits(case: Case, rng: random.Random, share: float) -> Case:
    """Replace a share of the closes by exact float64 risk levels of an earlier bar."""
    levels = [p / 100 for p in (case.risk.sl, case.risk.tp, case.risk.tsl) if p is not None]
    slippage = case.execution.slippage_pct / 100
    closes = list(case.closes)
    for bar in range(1, len(closes)):
        if not levels or rng.random() >= share:
            continue
        entry = closes[max(0, bar - rng.randint(1, 4))]
        fill = entry * rng.choice((1.0, 1 + slippage, 1 - slippage))
        level = fill * (1 + rng.choice((-1, 1)) * rng.choice(levels))
        nudged = rng.choice((level, level, math.nextafter(level, 0), math.nextafter(level, 1e9)))
        if LOWEST <= nudged <= HIGHEST:
            closes[bar] = nudged
    return replace(case, closes=closes)


def _percent(*exact: float, below: float) -> st.SearchStrategy[float]:
    return st.one_of(st.sampled_from(exact), st.floats(1e-6, below, exclude_max=True))


def executions() -> st.SearchStrategy[Execution]:
    """Every direction and sizing with tiny, usual, absurd and no costs."""
    return st.builds(
        Execution,
        init_cash=st.sampled_from(MONEY["init_cash"]),
        fee_pct=_percent(0.0, 0.0, 0.075, 1e-6, below=50),
        slippage_pct=_percent(0.0, 0.0, 0.01, 1e-6, below=50),
        fixed_quote=st.sampled_from(MONEY["fixed_quote"]),
        safe_profit_percent=st.sampled_from(MONEY["safe_profit_percent"]),
        direction_mode=st.sampled_from(DIRECTIONS),
        sizing_mode=st.sampled_from(SIZINGS),
    )


def risk_levels() -> st.SearchStrategy[RiskLevels]:
    """Every combination of levels on and off, from hair-thin to never reached."""
    levels = (0.01, 0.1, 1.0, 2.5, 5.0, 50.0, 99.9, 100.0, 250.0)
    level = st.sampled_from((*[None] * len(levels), *levels))  # none of it as often as one
    return st.builds(RiskLevels, sl=level, tp=level, tsl=level)


def _random_signals(rng: random.Random, count: int, prices: Sequence[float]) -> list[int]:
    """Runs of random length (one bar to hundreds), or an indicator with undefined stretches."""
    if rng.random() < 0.3:
        values = [price * math.exp(rng.gauss(0, 0.02)) for price in prices]
        start = rng.randrange(count)
        stop = min(count, start + rng.choice((1, 5, 70)))
        values[start:stop] = [math.nan] * (stop - start)
        return [signal_of(value, price) for value, price in zip(values, prices, strict=True)]
    typical = rng.choice((1, 2, 7, 40, 200))
    choices = rng.choice(((LONG, SHORT, NEUTRAL), (LONG, SHORT), (LONG, NEUTRAL), (SHORT, NEUTRAL)))
    signals: list[int] = []
    while len(signals) < count:
        signals += [rng.choice(choices)] * rng.randint(1, typical)
    return signals[:count]


def _random_closes(rng: random.Random, count: int) -> list[float]:
    """Return a walk with repeats, at most four large jumps, and whole ticks at times."""
    volatility = rng.choice((0.0, 1e-4, 0.003, 0.03, 0.2))
    repeats = rng.choice((0.0, 0.1, 0.8))
    jumps = set(rng.sample(range(count), min(count, rng.choice((0, 0, 1, 4)))))
    on_ticks = rng.random() < 0.3
    close, closes = rng.choice((0.07, 1.0, 100.0, 43_210.5)), []
    for bar in range(count):
        if bar in jumps:
            close *= rng.choice((0.02, 0.3, 1.9, 2.0, 2.1, 40.0))
        elif rng.random() >= repeats:
            close *= math.exp(rng.gauss(0, volatility))
        close = min(max(close, LOWEST), HIGHEST)
        closes.append(max(round(close, 2), 0.01) if on_ticks else close)
    return closes


def _long_case(seed: int, count: int, execution: Execution, risk: RiskLevels, share: float) -> Case:
    rng = random.Random(seed)
    closes = _random_closes(rng, count)
    case = Case(_random_signals(rng, count, closes), closes, execution, risk)
    return level_hits(case, rng, share)


def _short_case(
    bars: list[tuple[int, float]], execution: Execution, risk: RiskLevels, seed: int, share: float
) -> Case:
    case = Case([s for s, _ in bars], [c for _, c in bars], execution, risk)
    return level_hits(case, random.Random(seed), share)


def short_cases() -> st.SearchStrategy[Case]:
    """One to twelve bars, drawn bar by bar."""
    close = st.sampled_from((100.0, 100.0, 101.0, 99.0, 95.0, 105.0, 50.0, 200.0, 201.0, 3.0, 4e4))
    bar = st.tuples(st.sampled_from((LONG, SHORT, NEUTRAL)), close)
    return st.builds(
        _short_case,
        st.lists(bar, min_size=1, max_size=12),
        executions(),
        risk_levels(),
        st.integers(0, 2**16),
        st.sampled_from((0.0, 0.4)),
    )


def long_cases() -> st.SearchStrategy[Case]:
    """One to four hundred bars from one seed, often exactly at a border of 64."""
    return st.builds(
        _long_case,
        st.integers(0, 2**32),
        st.sampled_from(BORDERS) | st.integers(1, 400),
        executions(),
        risk_levels(),
        st.sampled_from((0.0, 0.0, 0.1)),
    )


def with_leaps(closes: Sequence[float], rng: random.Random) -> list[float]:
    """Multiply the price by 3 to 200 within a few bars, here and there; at times it falls back."""
    leaping, climbed, factor = 0, 1.0, 1.0
    factors = []
    for _ in closes:
        if leaping:
            factor *= climbed
            leaping -= 1
        elif factor > 1 and rng.random() < 0.1:
            factor = 1.0
        elif factor == 1 and rng.random() < 0.03:
            leaping = rng.randint(1, 4)
            climbed = math.exp(rng.uniform(math.log(3), math.log(200)) / leaping)
        factors.append(factor)
    return [close * times for close, times in zip(closes, factors, strict=True)]


def leaping_case(seed: int, sizing: str) -> Case:
    """A case whose price leaps, with costs or without, where shorts are allowed."""
    rng = random.Random(seed)
    count = rng.choice((5, 20, 63, 64, 65, 150))
    walk = [100.0]
    while len(walk) < count:
        walk.append(walk[-1] * math.exp(rng.gauss(0, 0.02)))
    fee, slippage = rng.choice(((0.0, 0.0), (0.075, 0.01), (1.0, 5.0), (20.0, 0.0)))
    execution = Execution(
        init_cash=1_000.0,
        fee_pct=fee,
        slippage_pct=slippage,
        fixed_quote=rng.choice((5.0, 100.0, 700.0, 1e9)),
        safe_profit_percent=rng.choice((30.0, 100.0)),
        direction_mode=rng.choice(("long-short", "short-only")),
        sizing_mode=sizing,
        percent=(30.0, 80.0, 100.0)[seed % 3],
        risk_per_trade_pct=(6.0, 16.0, 20.0)[seed % 3],
        sizing_sl=20.0 if sizing == "risk_per_trade" else None,
    )
    closes = with_leaps(walk, rng)
    return Case(_random_signals(rng, count, closes), closes, execution, RiskLevels())


def cases() -> st.SearchStrategy[Case]:
    """Return short and long cases mixed."""
    return st.one_of(short_cases(), long_cases())
