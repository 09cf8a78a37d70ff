"""Prices that stand still say nothing: no rule of any indicator trades the rounding of a mean."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import synthetic
from engine.candles import Candles
from engine.grid import Block
from engine.indicators.compute import compute, price
from engine.indicators.registry import RULES, SOURCES, Indicator, Output
from engine.request.axes import axis_numbers, axis_values
from engine.request.model import BlockRequest
from tests.engine.indicators.samples import IDS, OUTPUTS, parameter_rows
from tests.engine.indicators.test_causality import planes

BARS = 300
COLUMNS = ("open", "high", "low", "close")
ROUNDS = 1.9127549231876543
"""(x + x + x) / 3 of this price is another one, and so is (x + x + x + x) / 4."""

by_id = dict(zip(IDS, OUTPUTS, strict=True))
prices = st.floats(1e-6, 1e6)


def constant(value: float, volume: NDArray[np.float64], bars: int = BARS) -> Candles:
    walk = synthetic.bars(1, bars, 900_000)
    columns = {name: np.full(bars, value) for name in COLUMNS}
    return replace(walk, **columns, volume=volume)


@cache
def block_of(id_: str) -> Block:
    """Windows of all sizes, with the signal parameters of the default grid, on every source."""
    indicator, output = by_id[id_]
    rows = parameter_rows(indicator, output, 100)
    signals = BlockRequest(
        id_,
        indicator,
        output,
        SOURCES if indicator.has_source else (),
        {p.name: _few(p.default) for p in indicator.params if p.name in output.params},
        {p.name: axis_values(indicator.signals[p.name]) for p in RULES[output.rule].params},
    )
    of_default = Block.of(signals)
    table = np.concatenate((rows, of_default.compute_table))
    total = max(1, len(of_default.sources)) * len(table) * len(of_default.signal_table)
    return replace(of_default, compute_table=table, total=total)


def _few(axis: object) -> tuple[object, ...]:
    values = axis_values(axis)
    return (values[0], values[len(values) // 2], values[-1]) if len(values) > 3 else values


VOLUMES = {
    "traded": lambda: np.full(BARS, 12.7),
    "not traded": lambda: np.zeros(BARS),
    "traded now and then": lambda: np.where(np.arange(BARS) % 7 == 3, 12.7, 0.0),
}


@pytest.mark.parametrize("id_", IDS)
@settings(max_examples=6, deadline=None)
@example(value=ROUNDS)
@given(value=prices)
def test_a_constant_price_gives_no_signal(id_: str, value: float) -> None:
    for what, volume in VOLUMES.items():
        long, short = planes(block_of(id_), constant(value, volume()))
        assert not long.any(), f"LONG: {what}"
        assert not short.any(), f"SHORT: {what}"
