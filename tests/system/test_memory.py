"""The memory that a request is said to need is what its sweep takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.memory import Layout, working_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux' /proc")
def test_the_estimate_is_within_a_fifth_of_the_measured_peak() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--quick"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    sweeps = shown.splitlines()[2:]
    assert len(sweeps) == 2
    for sweep in sweeps:
        assert 0.8 <= float(sweep.split()[-1]) <= 1.2, shown


@pytest.mark.parametrize("blocks", [[1000, 1000], [50, 20_000], [30, 40, 5000]])
def test_ten_times_the_variants_of_the_largest_block_take_no_more_planes(blocks: list[int]) -> None:
    words, budget = 548, 256 * 2**20
    larger = [*blocks[:-1], 100 * blocks[-1]]
    more = Layout.of(larger, [1] * len(blocks), words, budget)
    streamed = [*blocks[:-1], 5000]
    assert more.rows <= Layout.of(streamed, [1] * len(blocks), words, budget).rows


def test_every_thread_takes_memory_of_its_own() -> None:
    one, two, three = (working_bytes(35_000, 300, threads) for threads in (1, 2, 3))
    assert two - one == three - two > 0
