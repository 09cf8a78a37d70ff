"""Blocks on a larger timeframe: what they say is what they say in a job on that timeframe."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import rules
from engine.candles import Candles, session_timeline, timeline
from engine.indicators.kernels.stretching import stretch
from engine.indicators.registry import Indicator, Output
from engine.larger import Larger, bars_before, rolled_up
from engine.rules import larger_planes
from engine.synthetic import minutes
from engine.timeframes import TIMEFRAMES
from storage.candles.roll_up import Rows, roll_up
from tests.engine.indicators.samples import IDS, OUTPUTS
from tests.engine.indicators.test_causality import block_of, planes, prefix
from tests.engine.markets import ms, stock_hours
from tests.engine.plain_larger import rolled_up as plainly_rolled_up
from tests.engine.plain_larger import seen_by
from tests.engine.test_metrics_page import sections, tables

M, H, D = TIMEFRAMES["1m"], TIMEFRAMES["1h"], TIMEFRAMES["1d"]
PRICES = ("open", "high", "low", "close")
COLUMNS = (*PRICES, "volume")
START = ms(2024, 1, 8)  # a Monday


def rows_of(opens: NDArray[np.int64], seed: int) -> Rows:
    """Bars of a store that open at these times; volumes are whole, so that sums are exact."""
    found = minutes(seed=seed, count=len(opens), gaps=False)
    columns = (found.open, found.high, found.low, found.close, np.round(found.volume))
    return Rows(opens, *columns, np.zeros(len(opens), np.int64))


def with_outages(opens: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Leave out single bars, and stretches longer than the largest bar of a test."""
    rng = np.random.default_rng(3)
    kept = rng.random(len(opens)) > 0.3
    for begin in rng.integers(20, len(opens), 6):
        kept[begin : begin + rng.integers(1, 9 * H // step)] = False
    kept[[0, -1]] = True
    return opens[kept]


def of_market(step: int, larger: int, phase: int, closes: bool) -> tuple[Candles, Candles]:
    """Candles on `step`, and those that a job on `larger` has of the same stored bars.

    Both begin on a boundary of the larger bars. Warm-up bars of the job are not all that there are.
    """
    start, begin = START + phase, START - 40 * larger + phase
    if closes:
        opens = np.array([at for at in stock_hours((2023, 10, 1), (2024, 2, 20)) if at >= begin])
        end = ms(2024, 2, 20)
    else:
        stored = 5 * M if step % H else step
        end = start + 260 * step
        every = np.arange(begin, end, stored, dtype=np.int64)
        opens = with_outages(every, stored)
    rows = rows_of(opens, 5)
    found = []
    for length in (step, larger):
        bars = roll_up(rows, length, phase)
        first = -(-(start - phase) // length) * length + phase
        made = (
            session_timeline(
                bars,
                start_ms=first,
                end_ms=end,
                timeframe_ms=length,
                warmup_bars=10**6,
                phase_ms=phase,
            )
            if closes
            else timeline(bars, start_ms=first, end_ms=end, timeframe_ms=length, phase_ms=phase)
        )
        found.append(made)
    return found[0], found[1]


MARKETS = {
    "quarters and hours, gaps": (15 * M, H, 0, False),
    "quarters and four hours, gaps": (15 * M, 4 * H, 0, False),
    "hours at half past, gaps": (H, 4 * H, H // 2, False),
    "hours of a stock and four of them": (H, 4 * H, 0, True),
    "hours of a stock and days": (H, D, 0, True),
}


@cache
def market(name: str) -> tuple[Candles, Candles]:
    return of_market(*MARKETS[name])


def unpacked(packed: NDArray[np.uint64], bars: int) -> NDArray[np.bool_]:
    bits = np.unpackbits(packed.view(np.uint8), axis=-1, bitorder="little").astype(bool)
    assert not bits[..., bars:].any()
    return bits[..., :bars]


def stretched(block: object, larger: Larger, bars: int) -> NDArray[np.bool_]:
    """bool[2, variant, traded bar]: LONG and SHORT of a block on larger bars."""
    total = block.total  # type: ignore[attr-defined]
    packed = np.full((2, total, -(-bars // 64)), np.uint64(2**64 - 1))
    larger_planes(block, larger, 0, total, packed[0], packed[1])  # type: ignore[arg-type]
    return unpacked(packed, bars)


@pytest.mark.parametrize("name", MARKETS)
def test_larger_bars_are_those_of_a_job_on_their_timeframe(name: str) -> None:
    candles, job = market(name)
    larger = rolled_up(candles, job.timeframe_ms)
    # A job has them from the first bar on; a bar that is cut at its beginning is none.
    job_from = int(np.searchsorted(job.ts_open, larger.ts_open[0]))
    count = len(larger.ts_open)
    assert count > 30
    assert job_from <= 1
    for column in ("ts_open", *COLUMNS):
        wanted = getattr(job, column)[job_from : job_from + count]
        assert np.array_equal(getattr(larger, column), wanted), column
    assert (larger.filled + job_from).tolist() == [
        at for at in job.filled.tolist() if job_from <= at < job_from + count
    ]


def test_the_markets_have_filled_bars_in_larger_ones_and_larger_ones_of_nothing_else() -> None:
    for name, (_, _, _, closes) in MARKETS.items():
        candles, job = market(name)
        larger = rolled_up(candles, job.timeframe_ms)
        if closes:
            assert (np.diff(larger.ts_open) > job.timeframe_ms).any()
        else:
            assert len(candles.filled) > len(larger.filled) * job.timeframe_ms // (
                candles.timeframe_ms
            )
            assert len(larger.filled)


@pytest.mark.parametrize("name", MARKETS)
def test_a_bar_sees_the_last_larger_bar_that_has_closed(name: str) -> None:
    candles, job = market(name)
    plain = plainly_rolled_up(candles, job.timeframe_ms)
    larger = Larger.of(candles, job.timeframe_ms)
    assert larger.candles.ts_open.tolist() == plain.opens
    for column in COLUMNS:
        assert getattr(larger.candles, column).tolist() == getattr(plain, column), column
    seen: list[int | None] = [None] * int(larger.begins[0])
    for k, count in enumerate(np.diff(larger.begins).tolist()):
        seen += [larger.candles.first + k] * count
    assert seen == seen_by(candles, plain)[candles.first :]


@pytest.mark.parametrize("name", ["quarters and hours, gaps", "hours of a stock and days"])
@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_signals_are_those_of_a_job_on_the_larger_timeframe(
    indicator: Indicator, output: Output, name: str
) -> None:
    candles, job = market(name)
    whole = replace(
        job, first=int(rolled_up(candles, job.timeframe_ms).ts_open[0] > job.ts_open[0])
    )
    whole = replace(
        whole, **{column: getattr(job, column)[whole.first :] for column in ("ts_open", *COLUMNS)}
    )
    whole = replace(whole, first=0)
    block = block_of(indicator, output, whole)
    said = np.array(planes(block, whole))
    assert said.any()
    wanted = np.zeros((2, block.total, candles.traded_bars), np.bool_)
    closes = whole.close_time().tolist()
    for bar, known in enumerate(candles.close_time()[candles.first :].tolist()):
        closed = [k for k, time in enumerate(closes) if time <= known]
        if closed:
            wanted[:, :, bar] = said[:, :, closed[-1]]
    found = stretched(block, Larger.of(candles, job.timeframe_ms), candles.traded_bars)
    assert np.array_equal(found, wanted)


CUTS = (1, 2, 3, 4, 63, 64, 65, 66, 129, 200, 257)


@pytest.mark.parametrize(("indicator", "output"), OUTPUTS, ids=IDS)
def test_signals_of_a_prefix_are_the_prefix_of_the_signals(
    indicator: Indicator, output: Output
) -> None:
    candles, job = market("quarters and hours, gaps")
    larger = Larger.of(candles, job.timeframe_ms)
    block = block_of(indicator, output, larger.candles)
    whole = stretched(block, larger, candles.traded_bars)
    assert whole.any()
    for cut in CUTS:
        part = prefix(candles, candles.first + cut)
        part = replace(part, filled=candles.filled[candles.filled < candles.first + cut])
        found = stretched(block, Larger.of(part, job.timeframe_ms), cut)
        assert np.array_equal(found, whole[..., :cut]), f"bar {cut}"


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128])
def test_every_bar_has_the_bit_of_the_larger_bar_that_it_sees(count: int) -> None:
    rng = np.random.default_rng(count)
    for share in (0.0, 0.5, 0.97, 1.0):
        bits = rng.random((2, count)) < share
        seen = np.zeros((2, -(-count // 64)), np.uint64)
        for k in range(count):
            seen[:, k // 64] |= bits[:, k].astype(np.uint64) << np.uint64(k % 64)
        begins = 3 + np.concatenate(([0], np.cumsum(rng.integers(0, 5, count))))
        out = np.full((2, -(-int(begins[-1]) // 64)), 2**64 - 1, np.uint64)
        stretch(seen, begins, out)
        wanted = np.zeros((2, int(begins[-1])), np.bool_)
        for k in range(count):
            wanted[:, begins[k] : begins[k + 1]] = bits[:, k : k + 1]
        assert np.array_equal(unpacked(out, int(begins[-1])), wanted)


@pytest.mark.parametrize("kibibytes", [0, 1, 5])
def test_planes_that_are_made_in_parts_are_those_made_at_once(
    monkeypatch: pytest.MonkeyPatch, kibibytes: int
) -> None:
    candles, job = market("quarters and hours, gaps")
    larger = Larger.of(candles, job.timeframe_ms)
    indicator, output = dict(zip(IDS, OUTPUTS, strict=True))["momentum.rsi-rsi"]
    block = block_of(indicator, output, larger.candles)
    whole = stretched(block, larger, candles.traded_bars)
    assert len({row.tobytes() for row in whole[0]}) > 5
    monkeypatch.setattr(rules, "CHUNK_BYTES", 1024 * kibibytes)
    assert np.array_equal(stretched(block, larger, candles.traded_bars), whole)


def quarters(first: int, count: int, filled: tuple[int, ...] = (), begin: int = START) -> Candles:
    """Quarters of an hour that close at 1, 2, 3 … and reach half a unit beyond; volume 1 each."""
    close = np.arange(1.0, count + 1)
    for at in filled:
        close[at] = close[at - 1]
    still = np.zeros(count, np.bool_)
    still[list(filled)] = True
    return Candles(
        ts_open=begin + np.arange(count, dtype=np.int64) * 15 * M,
        open=np.where(still, close, close - 0.25),
        high=np.where(still, close, close + 0.5),
        low=np.where(still, close, close - 0.5),
        close=close,
        volume=np.where(still, 0.0, 1.0),
        timeframe_ms=15 * M,
        first=first,
        filled=np.array(filled, np.int64),
    )


def columns(candles: Candles) -> list[tuple[float, ...]]:
    return list(zip(*(getattr(candles, name).tolist() for name in COLUMNS), strict=True))


def test_an_hour_is_made_of_the_quarters_that_have_a_minute() -> None:
    larger = rolled_up(quarters(0, 8, filled=(4, 7)), H)
    assert columns(larger) == [(0.75, 4.5, 0.5, 4.0, 4.0), (5.75, 7.5, 5.5, 7.0, 2.0)]
    assert larger.filled.tolist() == []


def test_an_hour_without_a_minute_repeats_the_last_close() -> None:
    larger = rolled_up(quarters(0, 12, filled=(4, 5, 6, 7)), H)
    assert columns(larger)[1] == (4.0, 4.0, 4.0, 4.0, 0.0)
    assert larger.filled.tolist() == [1]


def test_bars_before_the_first_boundary_and_an_unfinished_bar_are_left_out() -> None:
    larger = rolled_up(quarters(0, 10, begin=START + 15 * M), H)
    assert larger.ts_open.tolist() == [START + H]
    assert columns(larger) == [(3.75, 7.5, 3.5, 7.0, 4.0)]


def test_an_hour_is_seen_from_its_last_quarter_on() -> None:
    larger = Larger.of(quarters(2, 12), H)
    assert larger.begins.tolist() == [1, 5, 9, 10]
    assert larger.candles.first == 0


def test_an_hour_that_closed_before_the_range_is_seen_at_once() -> None:
    larger = Larger.of(quarters(9, 12), H)
    assert larger.candles.first == 1
    assert larger.begins.tolist() == [0, 2, 3]


def test_before_a_larger_bar_has_closed_nothing_is_said() -> None:
    larger = Larger.of(quarters(0, 3), H)
    assert larger.begins.tolist() == [3]
    indicator, output = OUTPUTS[0]
    candles, job = market("quarters and hours, gaps")
    block = block_of(indicator, output, Larger.of(candles, job.timeframe_ms).candles)
    assert not stretched(block, larger, 3).any()


@pytest.mark.parametrize("first", range(12))
@pytest.mark.parametrize("cut", range(4))
def test_the_history_of_a_larger_bar_is_told_by_arithmetic(first: int, cut: int) -> None:
    candles = quarters(first, 16, begin=START + cut * 15 * M)
    larger = Larger.of(candles, H)
    opens = candles.ts_open
    before = larger.candles.first if larger.begins[0] == 0 else -1
    assert bars_before(int(opens[first]), int(opens[0]), 15 * M, H) == before


def minutes_of_day(text: str) -> int:
    hour, minute = text.split(":")
    return 60 * int(hour) + int(minute)


def test_the_example_of_the_page_is_what_happens() -> None:
    bars, hours = tables(sections()["Larger timeframes"])
    told = {name: np.array([float(row[name]) for row in bars]) for name in COLUMNS}
    candles = Candles(
        ts_open=START + np.array([minutes_of_day(row["opens"]) for row in bars]) * M,
        **told,
        timeframe_ms=15 * M,
        first=0,
        filled=np.flatnonzero(told["volume"] == 0),
    )
    larger = Larger.of(candles, H)
    assert len(candles.filled) == 1
    assert columns(larger.candles) == [tuple(float(row[name]) for name in COLUMNS) for row in hours]
    sees = ["none"] * int(larger.begins[0])
    for hour, count in zip(hours, np.diff(larger.begins).tolist(), strict=True):
        sees += [hour["hour"]] * count
    assert sees == [row["sees the hour of"] for row in bars]
