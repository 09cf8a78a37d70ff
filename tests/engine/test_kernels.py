"""The compiled loops against obvious ones: runs from planes, and risk hits block by block."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.kernels import ExecutionRules, account, hits, runs, simulate
from engine.kernels.hits import NO_HIT
from engine.kernels.inputs import Fills, costs_of, levels_of, market_of
from tests.engine.parts import from_python

Bits = NDArray[np.uint64]
RULES = ExecutionRules(0.001, 0.0005, 0, 0, 10_000.0, 100.0, 0.3)

settle = from_python(account.settle)
scan_inside, scan_run = from_python(hits.scan_inside), from_python(hits.scan_run)
find_trades, is_long = from_python(runs.find_trades), from_python(runs.is_long)
new_scratch = from_python(runs.new_scratch)


def packed(flags: NDArray[np.bool_]) -> Bits:
    padded = np.zeros(-(-len(flags) // 64) * 64, np.uint8)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view(np.uint64)


def runs_of(signal: NDArray[np.int8]) -> list[tuple[int, int, int]]:
    """Return (entry, exit, direction) of every maximal run of a signal that ends neutral."""
    found = []
    entry = 0
    for bar in range(1, len(signal)):
        if signal[bar] != signal[bar - 1]:
            if signal[bar - 1]:
                found.append((entry, bar, int(signal[bar - 1])))
            entry = bar
    return found


def found_runs(signal: NDArray[np.int8]) -> list[tuple[int, int, int]]:
    scratch = new_scratch(-(-len(signal) // 64))
    scratch.long[1:] = packed(signal > 0)
    scratch.short[1:] = packed(signal < 0)
    count = find_trades(scratch)
    events = scratch.events[: 2 * count].reshape(count, 2)
    return [
        (int(entry), int(exit_), 1 if is_long(scratch, entry) else -1) for entry, exit_ in events
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(2, 700),
    st.sampled_from((0.002, 0.02, 0.1, 0.5, 1.0)),
    st.sampled_from(((1, -1), (1, 0, -1), (0, 1), (-1, 0))),
)
def test_runs_are_found_at_any_density(
    seed: int, bars: int, change: float, signals: tuple[int, ...]
) -> None:
    random = np.random.default_rng(seed)
    state = np.cumsum(random.random(bars) < change)
    signal = np.array(random.permutation(signals), np.int8)[state % len(signals)]
    signal[-1] = 0
    assert found_runs(signal) == runs_of(signal)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("start", [0, 1, 62, 63, 64, 127])
def test_a_run_over_several_words_is_one_run(start: int, length: int) -> None:
    signal = np.zeros(320, np.int8)
    signal[start : start + length] = -1
    assert found_runs(signal) == [(start, start + length, -1)]


def test_no_signal_is_no_run() -> None:
    assert found_runs(np.zeros(100, np.int8)) == []


AXES = ((1.0, None, 0.2), (None, 0.5, 3.0, 0.1), (0.7, 0.05, None))


def first_hits(closes: NDArray[np.float64], entry: int, end: int, direction: int) -> list[int]:
    """Look for each level on its own, bar by bar, in the words of the execution rules."""
    fill = closes[entry] * (1 + direction * RULES.slippage)
    found = []
    for kind, axis in enumerate(AXES):
        for percent in axis:
            first = NO_HIT
            best = closes[entry]
            for bar in range(entry + 1, end + 1):
                close = closes[bar]
                best = max(best, close) if direction > 0 else min(best, close)
                if percent is None:
                    continue
                p = percent / 100
                down, up = (1 - p, 1 + p) if direction > 0 else (1 + p, 1 - p)
                level = (best if kind == 2 else fill) * (up if kind == 1 else down)
                level *= 1 - 1e-12 if (kind == 1) == (direction > 0) else 1 + 1e-12
                falling = (kind != 1) == (direction > 0)
                if close <= level if falling else close >= level:
                    first = bar
                    break
            found.append(first)
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(1, 300),
    st.sampled_from((1, -1)),
    st.sampled_from((0.0002, 0.002, 0.02)),
)
def test_risk_hits_are_found_whatever_blocks_are_skipped(
    seed: int, entry: int, length: int, direction: int, volatility: float
) -> None:
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, volatility, 400)))
    hits = np.empty(sum(map(len, AXES)), np.int32)
    scan_run(
        market_of(closes, costs_of(RULES)),
        costs_of(RULES),
        levels_of(*AXES),
        entry,
        entry + length,
        direction > 0,
        hits,
    )
    assert hits.tolist() == first_hits(closes, entry, entry + length, direction)


def first_hits_inside(bars: Fills, entry: int, end: int, direction: int) -> list[int]:
    """Do the same with highs and lows; the best price is that of the bars before."""
    closes = bars.open  # bars open where the one before closed: bar i + 1 at the close of bar i
    raw = closes[entry + 1]
    fill = raw * (1 + direction * RULES.slippage)
    found = []
    for kind, axis in enumerate(AXES):
        for percent in axis:
            first, best = NO_HIT, raw
            for bar in range(entry + 1, end + 1):
                if percent is None:
                    break
                away = direction if kind == 1 else -direction
                level = (best if kind == 2 else fill) * (1 + away * percent / 100)
                level *= 1 - away * 1e-12
                if bars.high[bar] >= level if away > 0 else bars.low[bar] <= level:
                    first = bar
                    break
                far = bars.high[bar] if direction > 0 else bars.low[bar]
                best = max(best, far) if direction > 0 else min(best, far)
            found.append(first)
    return found


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(1, 300),
    st.sampled_from((1, -1)),
    st.sampled_from((0.0002, 0.002, 0.02)),
)
def test_hits_inside_bars_are_found_whatever_blocks_are_skipped(
    seed: int, entry: int, length: int, direction: int, volatility: float
) -> None:
    random = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(random.normal(0, volatility, 400)))
    opens = np.append(100.0, closes[:-1])
    up, down = np.exp(np.abs(random.normal(0, volatility / 2, (2, 400))))
    high, low = np.maximum(opens, closes) * up, np.minimum(opens, closes) / down
    bars = Fills(opens, high, low, next_open=False, inside=True)
    columns = sum(map(len, AXES))
    hits, prices = np.empty(columns, np.int32), np.empty(columns)
    market = market_of(closes, costs_of(RULES), fills=bars)
    long, levels = direction > 0, levels_of(*AXES)
    scan_inside(market, costs_of(RULES), levels, entry, entry + length, long, hits, prices)
    assert hits.tolist() == first_hits_inside(bars, entry, entry + length, direction)


def test_a_price_before_the_entry_is_no_peak_of_a_trailing_stop() -> None:
    closes = np.full(40, 100.0)
    closes[2] = 101.0  # in the same block of bars as the entry, and before it
    closes[30] = 98.5  # 1.5 % below the peak since the entry, 2.5 % below what was before
    hits = np.empty(3, np.int32)
    levels = levels_of((None,), (None,), (2.0,))
    costs = costs_of(RULES)
    scan_run(market_of(closes, costs), costs, levels, 4, 39, True, hits)
    assert hits.tolist() == [NO_HIT] * 3


def test_all_cash_in_leaves_exactly_nothing_behind() -> None:
    costs = costs_of(RULES)
    cash, safe, committed, net = settle(costs, 1234.5, 0.0, 1.25)
    assert (cash, safe, committed) == (1234.5 * 1.25, 0.0, 1234.5)
    assert net == cash - committed


def test_read_only_closes_are_traded() -> None:
    closes = np.array([100.0, 101.0, 102.0])
    closes.setflags(write=False)
    long, short = packed(np.array([True, True, False])), packed(np.zeros(3, bool))
    assert len(simulate(long, short, closes, RULES)) == 1
