"""The rule `planes`: kernels that give signals; portions, threads, holes, faults, larger bars."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray

from engine import rules
from engine.blocks import Block
from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.declaration import DeclarationError, Indicator, Output, Param
from engine.indicators.plugins import PluginFault
from engine.larger import Larger
from tests.engine.indicators.samples import random_walk, scenarios
from tests.engine.indicators.test_causality import planes

WINDOWS = np.array([[1.0], [2.0], [5.0], [7.0], [90.0]])
WALK, HOLES = "random walk", "holes at start, middle and end"


@njit(nogil=True, error_model="numpy")
def breakout(inputs, params, output, out):
    """Outside of the range of the bars before it: LONG above, SHORT below."""
    high, low, close = inputs
    for p in range(out.shape[0]):
        window = int(params[p, 0])
        for t in range(window, close.shape[0]):
            if close[t] > high[t - window : t].max():
                out[p, t] = 1
            elif close[t] < low[t - window : t].min():
                out[p, t] = -1


@njit(nogil=True, error_model="numpy")
def strange(inputs, params, output, out):
    """Give what is no signal at one bar of the last row."""
    out[out.shape[0] - 1, int(params[0, 0])] = int(params[0, 1])


@njit(nogil=True, error_model="numpy")
def beyond(inputs, params, output, out):
    """Write one cell too far."""
    flat = out.reshape(out.size)
    for t in range(1, out.size + 1):
        flat[t] = 1


def falls(inputs, params, output, out):
    """Raise, as a kernel in plain Python may do as well."""
    raise ZeroDivisionError("division by zero")


@njit(nogil=True, error_model="numpy")
def uncompilable(inputs, params, output, out):
    """Call what is not there."""
    out[0, 0] = inputs.nothing()


def indicator_of(kernel: str, params: tuple[str, ...] = ("window",)) -> Indicator:
    return Indicator(
        id="acme.breakout",
        inputs=("high", "low", "close"),
        params=tuple(Param(name, "int") for name in params),
        outputs=(Output("signal", "planes", params),),
        kernel=f"{__name__}:{kernel}",
        description="",
        formula="",
    )


def block_of(kernel: str, rows: NDArray[np.float64]) -> Block:
    names = ("window",) if kernel == "breakout" else ("bar", "value")
    indicator = indicator_of(kernel, names)
    return Block("b", indicator, indicator.output(), (), rows, np.empty((1, 0)), len(rows))


def signals_of(candles: Candles, window: int) -> list[int]:
    """What `breakout` says, bar by bar, where bars with a hole begin a new series."""
    whole = np.isfinite(candles.high) & np.isfinite(candles.low) & np.isfinite(candles.close)
    result = []
    for t in range(candles.close.size):
        before = range(t - window, t)
        if t < window or not whole[t - window : t + 1].all():
            result.append(0)
        elif all(candles.close[t] > candles.high[s] for s in before):
            result.append(1)
        elif all(candles.close[t] < candles.low[s] for s in before):
            result.append(-1)
        else:
            result.append(0)
    return result


def read(long: NDArray[np.bool_], short: NDArray[np.bool_]) -> list[list[int]]:
    return (long.astype(int) - short.astype(int)).tolist()


@pytest.mark.parametrize("scenario", [WALK, HOLES])
def test_planes_are_what_the_kernel_says(scenario: str) -> None:
    candles = scenarios()[scenario]
    block = block_of("breakout", WINDOWS)
    wanted = [signals_of(candles, int(window))[candles.first :] for (window,) in WINDOWS]
    assert {1, -1} <= set(wanted[0])
    assert read(*planes(block, candles)) == wanted


def test_its_values_are_a_byte_per_bar_and_nothing_where_the_kernel_wrote_nothing() -> None:
    candles, indicator = scenarios()[HOLES], indicator_of("breakout")
    values = compute(indicator, indicator.output(), candles, None, WINDOWS)
    assert values.dtype == np.int8
    assert values.tolist() == [signals_of(candles, int(window)) for (window,) in WINDOWS]


@pytest.mark.parametrize("scenario", [WALK, HOLES])
def test_no_signal_depends_on_a_later_bar(scenario: str) -> None:
    candles, block = scenarios()[scenario], block_of("breakout", WINDOWS)
    whole = read(*planes(block, candles))
    names = ("ts_open", "open", "high", "low", "close", "volume")
    for bars in range(candles.first + 1, candles.close.size, 7):
        part = replace(candles, **{name: getattr(candles, name)[:bars] for name in names})
        assert read(*planes(block, part)) == [row[: bars - candles.first] for row in whole]


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (1, 3), (1 << 30, 8)])
def test_chunks_and_threads_do_not_matter(
    size: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    candles, block = random_walk(bars=1_000), block_of("breakout", WINDOWS)
    whole = planes(block, candles)
    monkeypatch.setattr(rules, "CHUNK_BYTES", size)
    monkeypatch.setattr(rules, "CHUNK_ROWS", rows)
    words = -(-candles.traded_bars // 64)
    packed = np.full((2, block.total, words), 0xDEAD_BEEF, np.uint64)

    def part(start: int) -> None:
        stop = min(start + 2, block.total)
        rules.block_planes(
            block, candles, start, stop, packed[0, start:stop], packed[1, start:stop]
        )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(part, range(0, block.total, 2)))
    bits = np.unpackbits(packed.view(np.uint8), axis=-1, bitorder="little").astype(bool)
    assert np.array_equal(bits[..., : candles.traded_bars], np.array(whole))
    assert not bits[..., candles.traded_bars :].any()


def test_on_a_larger_timeframe_each_bar_has_the_signal_of_the_last_larger_one() -> None:
    candles = random_walk(bars=1_200)
    larger = Larger.of(candles, 4 * candles.timeframe_ms)
    block = block_of("breakout", WINDOWS)
    words = -(-candles.traded_bars // 64)
    stretched = np.zeros((2, block.total, words), np.uint64)
    rules.larger_planes(block, larger, 0, block.total, stretched[0], stretched[1])
    bits = np.unpackbits(stretched.view(np.uint8), axis=-1, bitorder="little").astype(bool)
    actual = read(*bits[..., : candles.traded_bars])
    ends = larger.candles.ts_open + larger.candles.timeframe_ms
    for (window,), row in zip(WINDOWS, actual, strict=True):
        own = signals_of(larger.candles, int(window))
        for t in range(candles.first, candles.close.size):
            seen = np.flatnonzero(ends <= candles.ts_open[t] + candles.timeframe_ms)
            assert row[t - candles.first] == (own[seen[-1]] if seen.size else 0)


@pytest.mark.parametrize("value", [2, -2, 55, 127, -128])
@pytest.mark.parametrize("bar", [0, 64, 299])
def test_a_number_that_is_no_signal_is_named_with_its_bar(value: int, bar: int) -> None:
    candles = random_walk(bars=300)
    opened = str(np.datetime64(int(candles.ts_open[bar]), "ms").astype("datetime64[m]"))
    with pytest.raises(PluginFault) as fault:
        planes(block_of("strange", np.array([[bar, value], [bar, value]], float)), candles)
    assert str(fault.value) == (
        f"acme.breakout, output signal: the kernel gave {value} for bar {bar} ({opened}Z, "
        f"bar {bar}, value {value}); a signal is 1 for LONG, -1 for SHORT or 0"
    )


FAULTS = {
    "beyond": "the kernel wrote beyond its output",
    "falls": "the kernel failed: ZeroDivisionError: division by zero",
    "uncompilable": "the kernel failed: TypingError: ",
    "absent": "the kernel could not be loaded: AttributeError: ",
}


@pytest.mark.parametrize(("kernel", "said"), FAULTS.items(), ids=FAULTS.keys())
def test_a_kernel_that_fails_is_named(kernel: str, said: str) -> None:
    with pytest.raises(PluginFault) as fault:
        planes(block_of(kernel, np.array([[1.0, 1.0]])), random_walk())
    assert str(fault.value).startswith("acme.breakout")
    assert said in str(fault.value)


def test_it_has_no_signal_parameters() -> None:
    with pytest.raises(DeclarationError, match="unknown signal parameter 'long_threshold'"):
        replace(indicator_of("breakout"), signals={"long_threshold": {"mode": "explicit"}})
