"""The memory that a request is said to need is never less than what its sweep takes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import memory
from engine.grid import Grid
from engine.kernels.hits import KEPT_HITS, kept_rows, new_hits
from engine.memory import PIECE_VARIANTS, Layout, Work, levels_at_once
from engine.metric_names import METRICS
from engine.request import Limits, complete, parse
from engine.work import Division
from tests.engine.properties_sweeps import law, several_blocks
from tests.engine.requests import DEFAULTS, explicit, ranged

ROOT = Path(__file__).parents[2]
YEAR_OF_MINUTES = 525_600
LIMITS = Limits(max_variants_per_compute=10**9, max_compute_bytes_total=2**60)
FREE = {"fee_pct": 0, "slippage_pct": 0}
LARGE_RISK = {"sl": ranged(0.1, 100, 0.1), "tp": ranged(0.1, 50, 0.1)}
AVERAGE = {"indicator_id": "ma.sma", "params": {"window": explicit(2)}}

Case = dict[str, Any]
Measure = Callable[[Case], tuple[int, int]]
measured = pytest.mark.skipif(sys.platform != "linux", reason="reads peaks from Linux' /proc")


def case(
    blocks: list[Case],
    *,
    bars: int,
    timeframe: str = "1m",
    zigzag: bool = False,
    risk: Case | None = None,
    metric: str = "total_return_pct",
    threads: int = 1,
    preselect: int = 1,
    top_k: int = 1,
    execution: Case = FREE,
    validation: Case | None = None,
) -> Case:
    template = {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": timeframe,
        "indicator_grids": blocks,
        "direction_mode": "long-short",
        "sizing_mode": "all_in",
        "execution": execution,
        "risk_grid": risk or {},
    }
    document = {
        "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
        "template": template,
        "warmup_bars": 0,
        "preselect": preselect,
        "top_trades_n": 1,
        "ranking": {"primary_metric": metric},
        "validation": validation,
    }
    return {
        # More variants may be kept here than a job would store.
        "document": complete(document, DEFAULTS, LIMITS) | {"top_k": top_k},
        "bars": bars,
        "timeframe": timeframe,
        "warmup": 0,
        "zigzag": zigzag,
        "threads": threads,
        "batches": 3,
    }


@pytest.fixture(scope="module")
def measure() -> Iterator[Measure]:
    """Estimate and peak of a sweep, in bytes, by a process that does nothing else."""
    command = [sys.executable, "-m", "tests.engine.peaks"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, answer = process.stdin, process.stdout

        def measure(case: Case) -> tuple[int, int]:
            ask.write(json.dumps(case) + "\n")
            ask.flush()
            estimated, peak = json.loads(answer.readline())
            return estimated, peak

        yield measure
        ask.close()


def cases() -> st.SearchStrategy[Case]:
    """Sweeps of any indicators over up to a year of minutes, with small and large risk grids."""
    several = st.integers(1, 60).map(lambda last: ranged(1, last, 1))
    axis = st.none() | several
    return st.builds(
        case,
        several_blocks(),
        bars=st.sampled_from((1_000, 40_000, 200_000, YEAR_OF_MINUTES)),
        zigzag=st.booleans(),
        risk=st.fixed_dictionaries({"sl": axis, "tp": axis, "tsl": axis}),
        metric=st.sampled_from(METRICS),
        threads=st.sampled_from((1, 2)),
        preselect=st.sampled_from((1, 5, 50)),
    )


@measured
def test_the_estimate_is_at_least_the_measured_peak_of_any_sweep(measure: Measure) -> None:
    @law(12)
    @given(cases())
    def compare(case: Case) -> None:
        estimated, peak = measure(case)
        assert peak <= estimated

    compare()


@measured
def test_charges_and_fills_at_other_prices_are_in_the_estimate(measure: Measure) -> None:
    dear = {"leverage": 2, "funding_pct_per_8h": 0.001, "borrow_pct_per_year": 1.0}
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    short = {"indicator_id": "ma.sma", "params": {"window": explicit(2)}}
    many = case([short], bars=YEAR_OF_MINUTES, zigzag=True, execution=FREE | dear | fills)
    estimated, peak = measure(many)
    assert peak <= estimated


@measured
@pytest.mark.parametrize("parts", [{"draws": 0}, {"splits": 0, "draws": 2}, {"draws": 2}])
def test_what_is_asked_of_a_search_is_in_the_estimate(measure: Measure, parts: Case) -> None:
    several = [
        {"indicator_id": "ma.sma", "params": {"window": ranged(2, 320, 1)}, "name": "slow"},
        {"indicator_id": "ma.ema", "params": {"window": ranged(2, 320, 1)}, "name": "fast"},
    ]
    asked = case(several, bars=6_400, timeframe="15m", validation=parts, preselect=50, threads=2)
    estimated, peak = measure(asked)
    assert peak <= estimated


@measured
def test_what_freed_memory_the_threads_keep_is_in_the_estimate(measure: Measure) -> None:
    channel = {"indicator_id": "trend.keltner", "params": {"window": explicit(6, 16, 21)}}
    trailed = case(
        [channel],
        bars=200_000,
        zigzag=True,
        risk={"tsl": ranged(1, 45, 1)},
        metric="max_drawdown_pct",
        threads=2,
    )
    estimated, peak = measure(trailed)
    assert peak <= estimated


@measured
@pytest.mark.parametrize("metric", ["total_return_pct", "sqn", "max_drawdown_pct"])
@pytest.mark.parametrize("zigzag", [False, True], ids=["walk", "a run on every bar"])
def test_a_year_of_minutes_under_1000_stops_and_500_targets_takes_what_the_estimate_says(
    measure: Measure, metric: str, zigzag: bool
) -> None:
    large = case([AVERAGE], bars=YEAR_OF_MINUTES, zigzag=zigzag, risk=LARGE_RISK, metric=metric)
    estimated, peak = measure(large)
    assert peak <= estimated <= 300 * 2**20


@measured
def test_larger_bars_of_blocks_and_their_planes_are_in_the_estimate(measure: Measure) -> None:
    levels = {"long_threshold": explicit(30, 31, 32), "short_threshold": explicit(60, 70)}
    strength = {"indicator_id": "momentum.rsi", "signals": levels}
    several = [
        strength | {"params": {"window": axis}, "name": name, "timeframe": name}
        for name, axis in (("3m", ranged(3, 8, 1)), ("5m", explicit(9)), ("15m", explicit(9)))
    ]
    estimated, peak = measure(case(several, bars=YEAR_OF_MINUTES, threads=2))
    assert peak <= estimated


@measured
def test_the_lists_of_many_variants_that_tie_are_in_the_estimate(measure: Measure) -> None:
    never = {
        "indicator_id": "momentum.rsi",
        "params": {"window": ranged(3, 60, 1)},
        "signals": {"long_threshold": ranged(1, 40, 0.1), "short_threshold": explicit(99, 100)},
    }
    idle = case([never], bars=100, timeframe="15m", preselect=40_000, top_k=40_000)
    estimated, peak = measure(idle)
    assert peak <= estimated


@measured
def test_the_benchmark_shows_an_estimate_between_the_peak_and_twice_the_peak() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--quick"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    sweeps = shown.splitlines()[2:]
    assert len(sweeps) == 2
    for sweep in sweeps:
        assert 1.0 <= float(sweep.split()[-1]) <= 2.0, shown


@pytest.mark.parametrize("blocks", [[1000, 1000], [50, 20_000], [30, 40, 5000]])
def test_ten_times_the_variants_of_the_largest_block_take_no_more_planes(blocks: list[int]) -> None:
    words, budget = 548, 256 * 2**20
    larger = [*blocks[:-1], 100 * blocks[-1]]
    more = Layout.of(larger, [1] * len(blocks), words, budget)
    streamed = [*blocks[:-1], 5000]
    assert more.rows <= Layout.of(streamed, [1] * len(blocks), words, budget).rows


def test_every_thread_takes_memory_of_its_own() -> None:
    one, two, three = (
        Work(35_000, 547, [100, 100], 300, 300, recorded=False, threads=threads).bytes
        for threads in (1, 2, 3)
    )
    assert two - one == three - two > 0


# --- tiles of the risk grid -------------------------------------------------------------------

sides = st.integers(1, 40)


@law(60)
@given(sides, sides, sides, st.integers(1, 40_000), st.sampled_from(METRICS))
def test_tiles_cover_every_risk_combination_once_and_keep_to_their_bounds(
    sl: int, tp: int, tsl: int, words: int, metric: str
) -> None:
    levels = [ranged(1, n, 1) for n in (sl, tp, tsl)]
    risk = dict(zip(("sl", "tp", "tsl"), levels, strict=True))
    small = case([AVERAGE], bars=1, risk=risk, metric=metric)
    grid = Grid.of(parse(small["document"]))
    division = Division(grid, Layout((1,), 0, 0), words, frozenset({metric}))
    parts = [bundle.risk for bundle in division.bundles(np.zeros(1, np.int64))]
    assert sum(part.combinations for part in parts) == sl * tp * tsl
    assert len(set(parts)) == len(parts)
    for axis, count in enumerate((sl, tp, tsl)):
        ranges = sorted({part[axis] for part in parts}, key=lambda at: at.start)
        assert [n for at in ranges for n in at] == list(range(count))
    for part in parts:
        assert part.combinations <= PIECE_VARIANTS
        assert division.cost == 1 or sum(map(len, part[:3])) <= levels_at_once(words)


@pytest.mark.parametrize("columns", [1, 3, 151, 4_000, 65_536])
@pytest.mark.parametrize("bars", [64, 100_000, 600_000])
def test_hits_that_are_kept_for_signing_are_in_the_estimate(bars: int, columns: int) -> None:
    for inside in (False, True):
        rows = kept_rows.py_func(bars, columns, False, inside)
        kept = sum(array.nbytes for array in new_hits.py_func(rows, columns, inside))
        few = KEPT_HITS // 2 if inside else KEPT_HITS
        assert kept <= memory._KEPT_HITS_BYTES
        assert kept > memory._KEPT_HITS_BYTES // 2 or bars * columns < few
