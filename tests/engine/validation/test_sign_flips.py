"""Bars without an edge: moves of the data by random signs, as the rule says with logarithms."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candles import Candles
from engine.validation import sign_flips
from engine.validation.sign_flips import tradable, without_edge
from tests.engine.worlds import HOUR_MS, random_candles, with_gaps


def candles(seed: int, traded: int = 90, warmup: int = 12) -> Candles:
    """Random candles with opens of their own, of which some bars were filled."""
    found = random_candles(seed, traded=traded, warmup=warmup, timeframe_ms=HOUR_MS)
    found = with_gaps(found, seed)
    bars = [bar for bar in sorted({5, warmup + 3, warmup + 4}) if bar < len(found.close)]
    filled = np.array(bars, np.int64)
    columns = [column.copy() for column in (found.open, found.high, found.low, found.close)]
    for bar in filled:
        for column in columns:
            column[bar] = columns[3][bar - 1]
    names = dict(zip(("open", "high", "low", "close"), columns, strict=True))
    return replace(found, filled=filled, **names)


def logarithms(bars: Candles) -> list[tuple[float, ...]]:
    """Of each bar from the second on: open, high, low, close as logarithms by the close before."""
    columns = zip(bars.open, bars.high, bars.low, bars.close, strict=True)
    rows = [tuple(map(math.log, row)) for row in columns]
    return [tuple(x - before[3] for x in row) for before, row in pairwise(rows)]


def mean_growth(bars: Candles) -> float:
    """The mean of the traded bars that were not filled and have a bar before them."""
    moved = [
        row[3]
        for bar, row in enumerate(logarithms(bars), start=1)
        if bar >= bars.first and bar not in bars.filled
    ]
    return sum(moved) / len(moved) if moved else 0.0


@pytest.mark.parametrize("warmup", [0, 1, 12])
def test_every_bar_keeps_its_move_or_has_the_one_on_the_other_side_of_the_mean(
    warmup: int,
) -> None:
    given_bars = candles(1, warmup=warmup)
    mean = mean_growth(given_bars)
    drawn = without_edge(given_bars, seed=7, draw=3)
    kept = flipped = 0
    bars = zip(logarithms(given_bars), logarithms(drawn), strict=True)
    for bar, (before, after) in enumerate(bars, start=1):
        opened, high, low, closed = (mean - (x - mean) for x in before)
        if bar in given_bars.filled:
            assert after == pytest.approx((0.0, 0.0, 0.0, 0.0), abs=1e-12)
        elif after == pytest.approx(before, abs=1e-12):
            kept += 1
        else:
            assert after == pytest.approx((opened, low, high, closed), abs=1e-12)
            flipped += 1
    assert min(kept, flipped) > 30
    assert drawn.close[0] == given_bars.close[0]


@given(seed=st.integers(0, 2**64 - 1), draw=st.integers(0, 9_999), bars=st.integers(1, 40))
def test_a_bar_of_any_draw_encloses_its_open_and_close(seed: int, draw: int, bars: int) -> None:
    given_bars = candles(2, traded=bars, warmup=0)
    drawn = without_edge(given_bars, seed, draw)
    assert tradable(drawn)
    assert (drawn.high >= np.maximum(drawn.open, drawn.close)).all()
    assert (drawn.low <= np.minimum(drawn.open, drawn.close)).all()
    assert (drawn.volume == given_bars.volume).all()
    assert (drawn.ts_open == given_bars.ts_open).all()
    assert drawn.first == given_bars.first


def test_a_draw_is_of_its_seed_and_number_and_of_nothing_else() -> None:
    bars, others = candles(1), candles(3)
    signs = [sign_flips._flips(each, 7, 0).tolist() for each in (bars, others)]
    assert signs[0] == signs[1]
    drawn = {
        without_edge(bars, seed, draw).content_hash()
        for seed, draw in ((7, 0), (7, 1), (8, 0), (7, 0))
    }
    assert len(drawn) == 3


def test_signs_are_as_often_minus_as_plus_and_know_nothing_of_the_sign_before() -> None:
    bars = random_candles(1, traded=40_000, warmup=0, timeframe_ms=HOUR_MS)
    flips = sign_flips._flips(bars, 11, 0)
    for share in (flips.mean(), (flips[1:] == flips[:-1]).mean()):
        assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(len(flips))  # four standard errors


def test_bars_after_the_last_one_that_is_looked_at_have_no_part_but_by_the_mean() -> None:
    """Signs of the first bars are the same however many follow."""
    long = candles(1)
    short = replace(
        long,
        **{name: getattr(long, name)[:50] for name in ("ts_open", "open", "high", "low", "close")},
        volume=long.volume[:50],
    )
    assert sign_flips._flips(short, 7, 0).tolist() == sign_flips._flips(long, 7, 0)[:49].tolist()


def test_prices_that_leave_floating_point_numbers_are_seen() -> None:
    bars = candles(1)
    assert tradable(bars)
    assert not tradable(replace(bars, low=np.where(bars.low < bars.low.max(), bars.low, 0.0)))
    assert not tradable(
        replace(bars, high=np.where(bars.high < bars.high.max(), bars.high, np.inf))
    )


def test_the_draws_of_the_documentation_are_all_that_there_are() -> None:
    """The worked example of docs/metrics.md."""
    bars = Candles(
        ts_open=np.arange(3) * HOUR_MS,
        open=np.array([100.0, 100.0, 110.0]),
        high=np.array([100.0, 112.0, 110.0]),
        low=np.array([100.0, 99.0, 99.0]),
        close=np.array([100.0, 110.0, 99.0]),
        volume=np.ones(3),
        timeframe_ms=HOUR_MS,
        first=0,
    )
    drawn = [without_edge(bars, 1, draw) for draw in range(40)]
    closes = {tuple(each.close.round(6).tolist()) for each in drawn}
    assert closes == {(100, 110, 99), (100, 90, 81), (100, 110, 121), (100, 90, 99)}
    flipped = next(each for each in drawn if round(each.close[1]) == 90)
    prices = [column[1] for column in (flipped.open, flipped.high, flipped.low)]
    assert prices == pytest.approx([99.0, 100.0, 88.392857], abs=1e-6)
