"""No value and no signal depends on a later bar: whatever the catalogue holds."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.blocks import Block
from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.registry import RULES, Indicator, Output
from engine.rules import block_planes
from tests.engine.indicators.samples import BARS, IDS, OUTPUTS, WARMUP, parameter_rows, scenarios

CUTS = (WARMUP + 1, 63, 64, 101, 128 + WARMUP, 150, 217, 298)
WALK = "random walk"
HOLES = "holes at start, middle and end"


def prefix(candles: Candles, bars: int) -> Candles:
    names = ("ts_open", "open", "high", "low", "close", "volume")
    return replace(candles, **{name: getattr(candles, name)[:bars] for name in names})


def signal_rows(rule: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal parameters that trade on these values."""
    low, high = np.nanquantile(values, (0.3, 0.7))
    return {
        "threshold_band": np.array([[low, high], [high, low], [low, low]]),
        "threshold_centered": np.array([[0.0], [(high - low) / 2.0]]),
        "delta_sign": np.array([[1.0, 1.0], [3.0, 40.0], [60.0, 1.0]]),
        "candle_body": np.array([[0.0], [high]]),
    }.get(rule, np.empty((1, 0)))


def planes(block: Block, candles: Candles) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool[variant, traded bar] for LONG and for SHORT."""
    words = -(-candles.traded_bars // 64)
    packed = np.zeros((2, block.total, words), dtype=np.uint64)
    block_planes(block, candles, 0, block.total, packed[0], packed[1])
    bits = np.unpackbits(packed.view(np.uint8), axis=-1, bitorder="little").astype(bool)
    assert not bits[..., candles.traded_bars :].any()
    bits = bits[..., : candles.traded_bars]
    return bits[0], bits[1]


def block_of(indicator: Indicator, output: Output, candles: Candles) -> Block:
    rows = parameter_rows(indicator, output, 60)
    signals = signal_rows(output.rule, compute(indicator, output, candles, None, rows))
    sources = ("close", "hl2") if indicator.has_source else ()
    total = max(1, len(sources)) * len(rows) * len(signals)
    return Block(indicator.id, indicator, output, sources, rows, signals, total)


@pytest.mark.parametrize("scenario", [WALK, HOLES])
@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_values_of_a_prefix_are_the_prefix_of_the_values(
    indicator: Indicator, output: Output, scenario: str
) -> None:
    candles = scenarios()[scenario]
    rows = parameter_rows(indicator, output, 60)
    whole = compute(indicator, output, candles, None, rows)
    for cut in CUTS:
        part = compute(indicator, output, prefix(candles, cut), None, rows)
        assert np.array_equal(part, whole[:, :cut], equal_nan=True), f"bar {cut}"


@pytest.mark.parametrize("scenario", [WALK, HOLES])
@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_signals_of_a_prefix_are_the_prefix_of_the_signals(
    indicator: Indicator, output: Output, scenario: str
) -> None:
    candles = scenarios()[scenario]
    block = block_of(indicator, output, candles)
    long, short = planes(block, candles)
    assert long.any() or short.any()
    for cut in CUTS:
        part = planes(block, prefix(candles, cut))
        assert np.array_equal(part[0], long[:, : cut - WARMUP]), f"LONG, bar {cut}"
        assert np.array_equal(part[1], short[:, : cut - WARMUP]), f"SHORT, bar {cut}"


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_a_row_is_the_same_whatever_rows_surround_it(indicator: Indicator, output: Output) -> None:
    candles = scenarios()[WALK]
    rows = parameter_rows(indicator, output, BARS)
    together = compute(indicator, output, candles, None, rows)
    backwards = compute(indicator, output, candles, None, rows[::-1])[::-1]
    assert np.array_equal(together, backwards, equal_nan=True)
    for row, values in zip(rows, together, strict=True):
        alone = compute(indicator, output, candles, None, row[None])[0]
        assert np.array_equal(alone, values, equal_nan=True)


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_a_parameter_the_output_does_not_use_does_not_matter(
    indicator: Indicator, output: Output
) -> None:
    candles = scenarios()[WALK]
    rows = parameter_rows(indicator, output, 60)
    others = rows.copy()
    for column, param in enumerate(indicator.params):
        if param.name not in output.params:
            others[:, column] += 3.0
    values = compute(indicator, output, candles, None, rows)
    assert np.array_equal(values, compute(indicator, output, candles, None, others), equal_nan=True)


WINDOWED = [
    (indicator, output)
    for indicator, output in OUTPUTS
    if any(param.kind == "int" and param.name in output.params for param in indicator.params)
]


@pytest.mark.parametrize(
    ("indicator", "output"), WINDOWED, ids=[f"{i.id}-{output.name}" for i, output in WINDOWED]
)
def test_a_window_longer_than_the_candles_gives_no_value(
    indicator: Indicator, output: Output
) -> None:
    windows = [p.name in output.params and p.kind == "int" for p in indicator.params]
    row = parameter_rows(indicator, output, 60)[:1]
    row[:, windows] = 1_000_000.0
    assert np.isnan(compute(indicator, output, scenarios()[WALK], None, row)).all()


def test_every_rule_has_sample_signals() -> None:
    for rule in RULES.values():
        assert signal_rows(rule.name, np.arange(9.0)).shape[1] == len(rule.params)
