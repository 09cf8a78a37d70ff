"""Prices that stand still say nothing: no rule of any indicator trades the rounding of a mean."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import synthetic
from engine.blocks import Block
from engine.candles import Candles
from engine.indicators.compute import compute
from engine.indicators.lookback import defined_after, settled_after
from engine.indicators.registry import RULES, SOURCES
from engine.request.axes import axis_values
from engine.request.model import BlockRequest
from tests.engine.indicators.samples import IDS, OUTPUTS, parameter_rows
from tests.engine.indicators.test_causality import planes
from tests.engine.test_report_real_data import real_candles

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
        if what == "traded now and then" and id_ == "volume.volume_sma-sma":
            continue  # reads the volume alone, and that does move
        long, short = planes(block_of(id_), constant(value, volume()))
        assert not long.any(), f"LONG: {what}"
        assert not short.any(), f"SHORT: {what}"


# --- flat stretches between moves --------------------------------------------------------------

STATES = {
    "structure.pivots-last_pivot": "the last pivot stays the last one",
    "trend.psar-psar": "the stop lies where the moves before have left it",
    "trend.supertrend-supertrend": "so does this one",
    "volume.volume_sma-sma": "reads the volume alone",
}


@cache
def variants(id_: str) -> list[tuple[dict[str, float | str], dict[str, float]]]:
    """Parameters and signal parameters of each block variant on one source."""
    block = block_of(id_)
    count = len(block.compute_table) * len(block.signal_table)
    named = [block.parameters(number) for number in range(count)]
    return [(each["params"], each["signals"]) for each in named]


def reach_of(id_: str) -> list[float]:
    """Up to which bar each variant looks back; for ever where it is an average of averages."""
    indicator, output = by_id[id_]
    reach = []
    for params, signals in variants(id_):
        defined = defined_after(indicator, output, params, signals)
        settled = settled_after(indicator, output, params, signals)
        reach.append(defined if settled == defined else np.inf)
    return reach


def flat_bars(candles: Candles) -> NDArray[np.int64]:
    """How many bars up to and including each have not moved from the close before them."""
    still = np.logical_and.reduce(
        [getattr(candles, name)[1:] == candles.close[:-1] for name in COLUMNS]
    )
    runs = np.zeros(candles.close.size, dtype=np.int64)
    for t in range(1, runs.size):
        runs[t] = runs[t - 1] + 1 if still[t - 1] else 0
    return runs


def assert_silent_while_flat(id_: str, candles: Candles) -> None:
    """No signal where nothing has moved for longer than the value, or its delta, looks back."""
    long, short = planes(block_of(id_), candles)
    reach = np.resize(reach_of(id_), len(long))  # every source has the same
    flat = flat_bars(candles)[None, candles.first :] > reach[:, None]
    assert flat.any()
    for said, planes_of_block in (("LONG", long), ("SHORT", short)):
        assert not (planes_of_block & flat).any(), said


WINDOWED = [id_ for id_ in IDS if id_ not in STATES and min(reach_of(id_)) < np.inf]


def test_what_looks_at_one_window_is_most_of_the_catalogue() -> None:
    assert len(WINDOWED) >= 35


@pytest.mark.parametrize("id_", WINDOWED)
@settings(max_examples=4, deadline=None)
@example(value=ROUNDS, traded=True)
@given(value=prices, traded=st.booleans())
def test_inside_a_flat_stretch_nothing_is_traded(id_: str, value: float, traded: bool) -> None:
    walk = synthetic.bars(3, 500, 900_000)
    columns = {name: getattr(walk, name) * (value / walk.close[150]) for name in COLUMNS}
    for column in columns.values():
        column[151:450] = columns["close"][150]
    volume = walk.volume.copy()
    volume[151:450] = 3.3 if traded else 0.0
    assert_silent_while_flat(id_, replace(walk, **columns, volume=volume))


@pytest.fixture(scope="module")
def minutes(market_data: Path) -> Candles:
    """A real market of which one minute in seven stands still, hours at times."""
    return real_candles(market_data / "unittest-btc-1m-gappy.csv.gz", "date", "1m")


@pytest.mark.parametrize("id_", WINDOWED)
def test_no_flat_window_of_a_real_market_is_traded(id_: str, minutes: Candles) -> None:
    assert_silent_while_flat(id_, minutes)


# --- bars without volume at other prices -------------------------------------------------------

BY_VOLUME = [
    "ma.vwma-vwma",
    "volume.vwap-vwap",
    "volume.vwap_deviation-upper",
    "volume.vwap_deviation-lower",
]


def untraded_elsewhere(candles: Candles, factor: float) -> Candles:
    """The bars without volume at other prices."""
    idle = candles.volume == 0.0
    return replace(
        candles,
        **{n: np.where(idle, getattr(candles, n) * factor, getattr(candles, n)) for n in COLUMNS},
    )


@pytest.mark.parametrize("id_", BY_VOLUME)
@settings(max_examples=6, deadline=None)
@example(value=ROUNDS, factor=1.7)
@given(value=prices, factor=st.floats(0.1, 10.0))
def test_a_bar_without_volume_at_another_price_spoils_no_average(
    id_: str, value: float, factor: float
) -> None:
    """Only that bar itself stands above or below the average: its price is another one."""
    volume = np.where(np.arange(BARS) % 3 == 1, 0.0, 12.7)
    candles = untraded_elsewhere(constant(value, volume), factor)
    long, short = planes(block_of(id_), candles)
    assert not long[:, volume > 0.0].any()
    assert not short[:, volume > 0.0].any()


@pytest.mark.parametrize("id_", BY_VOLUME)
@settings(max_examples=6, deadline=None)
@example(value=ROUNDS, before=1.7)
@given(value=prices, before=st.floats(0.1, 10.0))
def test_an_average_is_exact_once_no_bar_with_volume_has_another_price(
    id_: str, value: float, before: float
) -> None:
    """Bars 0..50 are traded at one price, 51..60 at none, 61.. at another."""
    indicator, output = by_id[id_]
    volume = np.random.default_rng(4).uniform(0.1, 9.0, BARS)
    volume[51:61] = 0.0
    candles = constant(value, volume)
    columns = {name: getattr(candles, name).copy() for name in COLUMNS}
    for column in columns.values():
        column[:61] = value * before
    rows = parameter_rows(indicator, output, 100)
    values = compute(indicator, output, replace(candles, **columns), None, rows)
    for row, actual in zip(rows, values, strict=True):
        assert (actual[max(61, 50 + int(row[0])) :] == value).all()


@pytest.mark.parametrize("id_", [*BY_VOLUME, "volume.cmf-value", "volume.ad_line-value"])
def test_what_a_bar_without_volume_costs_changes_no_value(id_: str) -> None:
    indicator, output = by_id[id_]
    walk = synthetic.bars(5, BARS, 900_000)
    volume = np.where(np.random.default_rng(2).random(BARS) < 0.4, 0.0, walk.volume)
    candles = replace(walk, volume=volume)
    rows = parameter_rows(indicator, output, 100)
    before = compute(indicator, output, candles, None, rows)
    after = compute(indicator, output, untraded_elsewhere(candles, 1.3), None, rows)
    assert np.array_equal(before, after, equal_nan=True)


@pytest.mark.parametrize("id_", BY_VOLUME)
def test_without_the_bars_without_volume_an_average_is_the_same(id_: str) -> None:
    indicator, output = by_id[id_]
    walk = synthetic.bars(5, BARS, 900_000)
    idle = np.arange(BARS) % 3 == 1
    candles = replace(walk, volume=np.where(idle, 0.0, walk.volume))
    names = ("ts_open", *COLUMNS, "volume")
    traded = replace(candles, **{name: getattr(candles, name)[~idle] for name in names})
    for window in (3, 30, 150):  # of each three bars two are traded
        rows = parameter_rows(indicator, output, 100)[:1]
        fewer = rows.copy()
        rows[0, 0], fewer[0, 0] = window, window * 2 // 3
        whole = compute(indicator, output, candles, None, rows)[0]
        wanted = compute(indicator, output, traded, None, fewer)[0]
        ends = np.flatnonzero(np.arange(BARS) % 3 == 2)  # a window of whole threes
        defined = ends[ends >= window]
        at = np.cumsum(~idle)[defined] - 1
        assert whole[defined] == pytest.approx(wanted[at], rel=1e-12)
