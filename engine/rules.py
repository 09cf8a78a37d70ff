"""From what kernels give, values or signals, to LONG and SHORT bit planes.

Every rule comes down to two comparisons per signal variant, one for LONG and one for SHORT. The
different comparisons of a block are few (26 threshold pairs of an RSI need 15), so each is packed
once per indicator series, 64 bars per word, and the planes are put together from whole words. The
rule `planes` compares nothing: its kernels give the signals, a byte per bar.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.indicators import compute, plugin_kernels
from engine.indicators.declaration import Output
from engine.indicators.kernels.packing import Test, pack_block, pack_signals
from engine.indicators.kernels.stretching import stretch
from engine.memory import CHUNK_BYTES, CHUNK_ROWS, TEST_SIGNALS, row_bytes

if TYPE_CHECKING:
    from engine.blocks import Block
    from engine.candles import Candles
    from engine.larger import Larger

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


def block_planes(
    block: "Block", candles: "Candles", start: int, stop: int, long: Words, short: Words
) -> None:
    """Write the planes of block variants `start`..`stop - 1` into `long` and `short`.

    Both are uint64[stop - start, W], C-contiguous: bit i % 64 of word i // 64 is traded bar i, bits
    from the number of traded bars on are 0, and no bar is in both. A block variant number is
    ((source * computes) + compute) * signals + signal. Thread-safe; kernels release the GIL. Raises
    `PluginFault` for a kernel of a plugin that fails, or gives a signal that is none.
    """
    computes, signals = len(block.compute_table), len(block.signal_table)
    size = 1 if block.output.is_signal else 8
    step = max(CHUNK_ROWS, CHUNK_BYTES // (size * candles.close.size))
    for row, row_stop, signal, signal_stop in _pieces(start, stop, computes, signals):
        source = block.sources[row // computes] if block.sources else None
        prepared = compute.Prepared.of(block.indicator, block.output, candles, source)
        reference = _reference(block.output.rule, candles, source)
        tests = list(_tests(block, signal, signal_stop, words=long.shape[1]))
        for chunk in range(row, row_stop, step):
            rows = np.arange(chunk, min(chunk + step, row_stop))
            values = prepared.values(block.compute_table[rows % computes])
            if block.output.is_signal:
                good = pack_signals(values, candles.first, long, short, rows - start)
                if good < len(rows):
                    params = block.compute_table[rows[good] % computes]
                    series = values[good], block.indicator, block.output
                    plugin_kernels.refuse(*series, params, candles.ts_open)
            for first_signal, test in tests:
                base = rows * signals + first_signal - start
                _pack(values, candles.first, reference, test, base, long, short)


def larger_planes(
    block: "Block", larger: "Larger", start: int, stop: int, long: Words, short: Words
) -> None:
    """Write what `block_planes` does, of a block that is computed on larger bars.

    The comparisons are made on those, with their prices; each traded bar has the signal of the
    larger bar that it sees, and none before it sees one. Thread-safe.
    """
    signals, bars = len(block.signal_table), len(larger.begins) - 1
    words = -(-bars // 64)
    if not bars:
        long[:], short[:] = 0, 0
        return
    step = max(1, CHUNK_BYTES // row_bytes(words))
    step = step // signals * signals if step > signals else step
    for part in range(start, stop, step):
        part_stop = min(part + step, stop)
        seen = np.empty((2, part_stop - part, words), np.uint64)
        block_planes(block, larger.candles, part, part_stop, seen[0], seen[1])
        rows = slice(part - start, part_stop - start)
        stretch(seen[0], larger.begins, long[rows])
        stretch(seen[1], larger.begins, short[rows])


def preload_kernels() -> None:
    """Compile, or load from the disk cache, the kernels of all rules."""
    values = np.zeros((1, 1))
    tests = _distinct(_row(1, Test.ABOVE), _row(1, Test.BELOW))
    planes = np.zeros((2, 1, 1), dtype=np.uint64)
    _pack(values, 0, values[0], tests, np.zeros(1, dtype=np.int64), planes[0], planes[1])
    pack_signals(np.zeros((1, 1), np.int8), 0, planes[0], planes[1], np.zeros(1, dtype=np.int64))
    stretch(planes[0], np.arange(2), planes[1])


def _pieces(
    start: int, stop: int, computes: int, signals: int
) -> Iterator[tuple[int, int, int, int]]:
    """Cut a range of block variants into rectangles: indicator rows × signal variants.

    Yields `(row, row_stop, signal, signal_stop)`; a row is source * computes + compute, and the
    rows of one rectangle are of one source.
    """
    row, signal = divmod(start, signals)
    last_row, last_signal = divmod(stop, signals)
    if row == last_row:
        if signal < last_signal:
            yield row, row + 1, signal, last_signal
        return
    if signal:
        yield row, row + 1, signal, signals
        row += 1
    while row < last_row:
        row_stop = min((row // computes + 1) * computes, last_row)
        yield row, row_stop, 0, signals
        row = row_stop
    if last_signal:
        yield last_row, last_row + 1, 0, last_signal


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """Different comparisons (test, level, lag) and which of them signal variant s asks for."""

    test: NDArray[np.int64]
    level: Floats
    lag: NDArray[np.int64]
    long_of: NDArray[np.int64]
    short_of: NDArray[np.int64]


def _tests(block: "Block", start: int, stop: int, words: int) -> Iterator[tuple[int, _Tests]]:
    """Yield the comparisons of signal variants `start`..`stop - 1`, in portions that fit memory.

    None where kernels give the signals themselves.
    """
    if block.output.is_signal:
        return
    step = max(1, min(TEST_SIGNALS, CHUNK_BYTES // (2 * 8 * words)))
    for first in range(start, stop, step):
        signals = block.signal_table[first : min(first + step, stop)]
        yield first, _distinct(*COMPARISONS[block.output.rule](signals, block.output))


def _distinct(long: Floats, short: Floats) -> _Tests:
    rows, which = np.unique(np.concatenate((long, short)), axis=0, return_inverse=True)
    long_of, short_of = which.reshape(2, -1).astype(np.int64)
    test, level, lag = (np.ascontiguousarray(column) for column in rows.T)
    return _Tests(test.astype(np.int64), level, lag.astype(np.int64), long_of, short_of)


def _pack(
    values: Floats,
    first: int,
    reference: Floats,
    tests: _Tests,
    base: NDArray[np.int64],
    long: Words,
    short: Words,
) -> None:
    pack_block(
        values,
        first,
        reference,
        tests.test,
        tests.level,
        tests.lag,
        tests.long_of,
        tests.short_of,
        long,
        short,
        base,
    )


def _reference(rule: str, candles: "Candles", source: str | None) -> Floats:
    """Return the series a rule holds against the values; any other rule ignores it."""
    if rule == "volume_vs_output":
        return compute.price(candles, "volume")
    if rule == "candle_body":
        return candles.close - candles.open
    return compute.price(candles, source or "close")


def _row(count: int, test: ArrayLike, level: ArrayLike = 0.0, lag: ArrayLike = 0.0) -> Floats:
    """Return one comparison per signal variant, float64[count, 3]: test, level, lag."""
    rows = np.empty((count, 3))
    rows[:, 0], rows[:, 1], rows[:, 2] = test, level, lag
    return rows


def _at_least(count: int, level: Floats, test: Test = Test.ABOVE) -> Floats:
    """`x >= level` as the strict comparison with the float below it."""
    return _row(count, test, np.nextafter(level, -np.inf))


def _at_most(count: int, level: Floats) -> Floats:
    """`x <= level` as the strict comparison with the float above it."""
    return _row(count, Test.BELOW, np.nextafter(level, np.inf))


def _price_vs_output(signals: Floats, _: Output) -> tuple[Floats, Floats]:
    count = len(signals)
    return _row(count, Test.UNDER_REFERENCE), _row(count, Test.OVER_REFERENCE)


def _sign(signals: Floats, _: Output) -> tuple[Floats, Floats]:
    return _row(len(signals), Test.ABOVE), _row(len(signals), Test.BELOW)


def _threshold_band(signals: Floats, _: Output) -> tuple[Floats, Floats]:
    long, short = signals.T
    reversion, count = long <= short, len(signals)
    return (
        np.where(reversion[:, None], _at_most(count, long), _at_least(count, long)),
        np.where(reversion[:, None], _at_least(count, short), _at_most(count, short)),
    )


def _threshold_centered(signals: Floats, output: Output) -> tuple[Floats, Floats]:
    threshold, count = signals[:, 0], len(signals)
    return (
        _row(count, Test.ABOVE, output.center + threshold),
        _row(count, Test.BELOW, output.center - threshold),
    )


def _delta_sign(signals: Floats, _: Output) -> tuple[Floats, Floats]:
    long, short = signals.T
    count = len(signals)
    return _row(count, Test.RISEN, lag=long), _row(count, Test.FALLEN, lag=short)


def _candle_body(signals: Floats, _: Output) -> tuple[Floats, Floats]:
    body, count = signals[:, 0], len(signals)
    return (
        _at_least(count, body, Test.ABOVE_AND_UP),
        _at_least(count, body, Test.ABOVE_AND_DOWN),
    )


COMPARISONS: dict[str, Callable[[Floats, Output], tuple[Floats, Floats]]] = {
    "price_vs_output": _price_vs_output,
    "volume_vs_output": _price_vs_output,
    "sign": _sign,
    "threshold_band": _threshold_band,
    "threshold_centered": _threshold_centered,
    "delta_sign": _delta_sign,
    "candle_body": _candle_body,
}
"""Per rule: the signal table (float64[S, J]) to its LONG and its SHORT comparison per row."""
