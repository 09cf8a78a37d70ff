"""Rules against the obvious reading of each, bar by bar, and planes in any portion."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import rules
from engine.blocks import Block
from engine.candles import Candles
from engine.indicators.declaration import PLANES
from engine.indicators.registry import RULES, Indicator, Output, Param, get
from tests.engine.indicators.samples import random_walk, scenarios

LEVELS = (-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0)
CENTER = 0.5


def passthrough(inputs, params, output, out):
    """Give the first input, times the only parameter, as the indicator's values."""
    for row, (factor,) in zip(out, params, strict=True):
        row[:] = inputs[0] * factor


def indicator_of(rule: str, inputs: tuple[str, ...]) -> Indicator:
    return Indicator(
        id="test.passthrough",
        inputs=inputs,
        params=(Param("factor", "float"),),
        outputs=(Output("value", rule, ("factor",), center=CENTER),),
        kernel=f"{__name__}:passthrough",
        description="",
        formula="",
    )


def block_of(
    indicator: Indicator, sources: tuple[str, ...], factors: list[float], signals: list[list[float]]
) -> Block:
    table = np.array(signals, dtype=np.float64).reshape(len(signals), -1)
    compute = np.array(factors, dtype=np.float64)[:, None]
    total = max(1, len(sources)) * len(compute) * len(table)
    return Block("b", indicator, indicator.output(), sources, compute, table, total)


def candles_of(columns: dict[str, list[float]], first: int) -> Candles:
    series = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    count = series["close"].size
    return Candles(ts_open=np.arange(count) * 60_000, **series, timeframe_ms=60_000, first=first)


def signal_at(
    rule: str, signal: list[float], value: NDArray[np.float64], candles: Candles, t: int
) -> int:
    """+1 LONG, -1 SHORT, 0 NEUTRAL at bar t, as a person would say it."""
    x, close, open_, volume = value[t], candles.close[t], candles.open[t], candles.volume[t]
    if rule == "price_vs_output":
        long, short = close > x, close < x
    elif rule == "volume_vs_output":
        long, short = volume > x, volume < x
    elif rule == "sign":
        long, short = x > 0, x < 0
    elif rule == "threshold_band":
        above, below = signal
        if above <= below:
            long, short = x <= above, x >= below
        else:
            long, short = x >= above, x <= below
    elif rule == "threshold_centered":
        long, short = x > CENTER + signal[0], x < CENTER - signal[0]
    elif rule == PLANES:
        long, short = x == 1, x == -1
    elif rule == "delta_sign":
        up, down = (int(periods) for periods in signal)
        long = t >= up and x - value[t - up] > 0
        short = t >= down and x - value[t - down] < 0
    else:
        long = x >= signal[0] and close > open_
        short = x >= signal[0] and close < open_
    return int(bool(long)) - int(bool(short))


def planes_of(
    block: Block, candles: Candles, start: int, stop: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    words = -(-candles.traded_bars // 64)
    long = np.full((stop - start, words), 0xDEAD_BEEF, dtype=np.uint64)
    short = long.copy()
    rules.block_planes(block, candles, start, stop, long, short)
    return long, short


def bits(planes: NDArray[np.uint64]) -> NDArray[np.int64]:
    unpacked = np.unpackbits(planes.view(np.uint8), axis=-1, bitorder="little")
    return unpacked.astype(np.int64)


SIGNALS = {
    "threshold_band": st.lists(st.sampled_from(LEVELS), min_size=2, max_size=2),
    "threshold_centered": st.lists(st.sampled_from([0.0, 0.5, 1.5]), min_size=1, max_size=1),
    "delta_sign": st.lists(st.integers(1, 90).map(float), min_size=2, max_size=2),
    "candle_body": st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=1),
}


@st.composite
def cases(draw: st.DrawFn, rule: str) -> tuple[Candles, list[float], list[list[float]]]:
    bars = draw(st.integers(1, 150))
    first = draw(st.integers(0, bars - 1))
    seed = draw(st.integers(0, 2**32 - 1))
    holes = draw(st.sampled_from([0.0, 0.1, 0.9]))
    ties = draw(st.booleans())
    rng = np.random.default_rng(seed)
    columns = {}
    for name in ("open", "high", "low", "close", "volume"):
        series = rng.choice(LEVELS, bars) if ties else rng.normal(0.0, 1.0, bars)
        if rule == PLANES:
            series = rng.choice((-1.0, 0.0, 1.0), bars)
        columns[name] = np.where(
            rng.random(bars) < (holes if name == "high" else 0), np.nan, series
        )
    most = 1 if rule == PLANES else 4
    signals = draw(st.lists(SIGNALS.get(rule, st.just([])), min_size=1, max_size=most))
    return candles_of(columns, first), [1.0, -1.0], signals


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_rule_says_what_its_plain_reading_says(rule: str, data: st.DataObject) -> None:
    candles, factors, signals = data.draw(cases(rule))
    block = block_of(indicator_of(rule, ("high",)), (), factors, signals)
    long, short = planes_of(block, candles, 0, block.total)
    actual = bits(long) - bits(short)
    assert not actual[:, candles.traded_bars :].any()
    assert not (long & short).any()
    for number in range(block.total):
        factor, signal = factors[number // len(signals)], signals[number % len(signals)]
        value = candles.high * factor
        wanted = [
            signal_at(rule, signal, value, candles, t)
            for t in range(candles.first, candles.close.size)
        ]
        assert actual[number, : candles.traded_bars].tolist() == wanted


def test_every_rule_that_reads_values_is_implemented() -> None:
    assert set(rules.COMPARISONS) == set(RULES) - {PLANES}


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinite_value_is_beyond_every_threshold(value: float) -> None:
    indicator = indicator_of("threshold_band", ("high",))
    columns = {name: [1.0, 1.0] for name in ("open", "high", "low", "close", "volume")}
    block = block_of(indicator, (), [value], [[-1e300, 1e300], [1e300, -1e300]])
    long, short = planes_of(block, candles_of(columns, 0), 0, 2)
    reversion, momentum = (bits(long) - bits(short))[:, 0]
    assert (reversion, momentum) == ((-1, 1) if value > 0 else (1, -1))


def test_price_is_compared_with_the_source_the_output_was_computed_on() -> None:
    candles = random_walk()
    sma = get("ma.sma")
    block = Block(
        "b", sma, sma.output(), ("close", "high"), np.array([[1.0], [3.0]]), np.empty((1, 0)), 4
    )
    long, short = planes_of(block, candles, 0, 4)
    assert not long[[0, 2]].any()  # a mean of one bar is that bar
    assert not short[[0, 2]].any()
    highs = candles.high
    means = np.convolve(highs, np.ones(3) / 3, "full")[: highs.size]
    wanted = np.where(highs > means, 1, -1)[candles.first :]
    assert np.array_equal((bits(long) - bits(short))[3, : candles.traded_bars], wanted)


def mixed_block() -> Block:
    rsi = get("momentum.rsi")
    windows = np.arange(3.0, 14.0)[:, None]
    signals = np.array([[a, b] for a in (30.0, 45.0, 55.0) for b in (40.0, 55.0, 70.0)])
    sources = ("close", "hl2", "open")
    total = len(sources) * len(windows) * len(signals)
    return Block("b", rsi, rsi.output(), sources, windows, signals, total)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, mixed_block().total), max_size=6))
def test_any_split_gives_the_same_planes(cuts: list[int]) -> None:
    block, candles = mixed_block(), scenarios()["holes at start, middle and end"]
    whole = planes_of(block, candles, 0, block.total)
    assert whole[0].any()
    for start, stop in pairwise(sorted({0, block.total, *cuts})):
        part = planes_of(block, candles, start, stop)
        assert np.array_equal(part[0], whole[0][start:stop])
        assert np.array_equal(part[1], whole[1][start:stop])


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (5_000, 1), (1, 3), (1 << 30, 8)])
def test_the_size_of_a_chunk_does_not_matter(
    size: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, candles = mixed_block(), random_walk()
    whole = planes_of(block, candles, 0, block.total)
    monkeypatch.setattr(rules, "CHUNK_BYTES", size)
    monkeypatch.setattr(rules, "CHUNK_ROWS", rows)
    chunked = planes_of(block, candles, 0, block.total)
    assert np.array_equal(whole, chunked)


def test_threads_that_share_a_block_compute_what_one_computes() -> None:
    block, candles = mixed_block(), random_walk(bars=3_000)
    whole = planes_of(block, candles, 0, block.total)
    spans = [(start, min(start + 20, block.total)) for start in range(0, block.total, 20)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda span: planes_of(block, candles, *span), spans))
    assert np.array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    assert np.array_equal(np.concatenate([part[1] for part in parts]), whole[1])


def test_read_only_candles_and_tables_are_accepted() -> None:
    block, candles = mixed_block(), random_walk()
    whole = planes_of(block, candles, 0, block.total)
    for name in ("open", "high", "low", "close", "volume"):
        getattr(candles, name).setflags(write=False)
    block.compute_table.setflags(write=False)
    block.signal_table.setflags(write=False)
    assert np.array_equal(planes_of(block, candles, 0, block.total), whole)


def test_kernels_are_ready_after_the_preload() -> None:
    rules.preload_kernels()
    before = len(rules.pack_block.signatures)
    planes_of(mixed_block(), random_walk(), 0, mixed_block().total)
    assert len(rules.pack_block.signatures) == before
