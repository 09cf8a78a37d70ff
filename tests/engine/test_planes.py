"""Planes are computed once where memory allows, and never take more than their budget."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from engine import planes
from engine.candles import Candles
from engine.kernels.inputs import allowed_planes, words_for
from engine.kernels.rules import ExecutionRules
from engine.memory import STREAM_BYTES, Layout, row_bytes
from engine.planes import PlaneStore
from engine.worker_threads import WorkerThreads
from tests.engine.small_sweeps import candles

WORDS = 16
ROW_BYTES = 2 * 8 * WORDS


@dataclass
class Stub:
    """As much of a block as planes are concerned with."""

    total: int
    signals: int = 1
    timeframe: None = None

    @property
    def signal_table(self) -> Any:
        return np.zeros((self.signals, 0))


class Recorder:
    """Fills row r with the number r and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[range] = []

    def __call__(
        self, block: Any, _: Candles, start: int, stop: int, long: Any, short: Any
    ) -> None:
        self.asked.append(range(start, stop))
        long[:] = np.arange(start, stop, dtype=np.uint64)[:, None]
        short[:] = block.total


def store(blocks: list[Any], memory_bytes: int) -> tuple[PlaneStore, Recorder]:
    recorder = Recorder()
    return PlaneStore(blocks, candles(), memory_bytes, fill=recorder), recorder


def hold(held: PlaneStore, block: int, numbers: range, threads: int = 1) -> None:
    for _ in held.hold(block, numbers, WorkerThreads(threads)):
        pass


def numbers_in(held: PlaneStore, block: int, numbers: range) -> list[int]:
    return [int(held.long[held.row(block, number), 0]) for number in numbers]


def test_the_largest_block_is_streamed_and_small_ones_are_held_whole() -> None:
    layout = Layout.of([50, 5000, 300, 20], [1] * 4, WORDS, 1000 * ROW_BYTES)
    assert (layout.streamed, layout.second) == (1, 2)
    assert layout.capacity == (50, 630, 300, 20)


@pytest.mark.parametrize("rows", [200, 1000, 3000, 20_000])
def test_planes_stay_within_their_budget(rows: int) -> None:
    held, _ = store([Stub(40), Stub(9000, 26), Stub(2500, 7)], rows * ROW_BYTES)
    assert held.long.nbytes + held.short.nbytes <= rows * ROW_BYTES


def test_a_part_of_a_block_ends_with_a_whole_indicator_row() -> None:
    layout = Layout.of([26_000], [26], WORDS, 1000 * ROW_BYTES)
    assert layout.capacity == (1000 // 26 * 26,)


def test_the_streamed_part_is_small_however_much_memory_there_is() -> None:
    layout = Layout.of([100_000, 1_000_000], [1, 1], WORDS, 2**40)
    assert layout.capacity == (100_000, STREAM_BYTES // ROW_BYTES)


def test_what_is_present_is_not_computed_again() -> None:
    held, recorder = store([Stub(100)], 2**20)
    hold(held, 0, range(100))
    hold(held, 0, range(20, 40))
    assert recorder.asked == [range(100)]
    assert numbers_in(held, 0, range(20, 40)) == list(range(20, 40))


def test_a_new_part_replaces_the_old_one() -> None:
    held, _ = store([Stub(10), Stub(500)], 100 * ROW_BYTES)
    hold(held, 0, range(10))
    hold(held, 1, range(90))
    hold(held, 1, range(400, 490))
    assert numbers_in(held, 1, range(400, 490)) == list(range(400, 490))
    assert numbers_in(held, 0, range(10)) == list(range(10))


def test_rows_of_several_blocks_are_found_at_once() -> None:
    held, _ = store([Stub(10), Stub(500)], 2**20)
    hold(held, 0, range(10))
    hold(held, 1, range(100, 200))
    numbers = np.array([[3, 150], [9, 199]])
    assert held.rows(numbers).tolist() == [
        [held.row(0, 3), held.row(1, 150)],
        [held.row(0, 9), held.row(1, 199)],
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_portions_cover_a_part_once_along_indicator_rows(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planes, "PORTION_BARS", 64 * WORDS * 25)
    held, recorder = store([Stub(500, 10)], 2**20)
    hold(held, 0, range(100, 400), threads)
    asked = sorted(recorder.asked, key=lambda part: part.start)
    assert [number for part in asked for number in part] == list(range(100, 400))
    assert all(part.start % 10 == 0 for part in asked)
    assert len(asked) > 4


def test_a_failed_computation_leaves_nothing_that_looks_present() -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    held = PlaneStore([Stub(4)], candles(), 2**20, fill=fail)  # type: ignore[list-item]
    with pytest.raises(MemoryError):
        hold(held, 0, range(4))
    assert list(held.hold(0, range(0), WorkerThreads(1))) == []
    with pytest.raises(MemoryError):
        hold(held, 0, range(4))


def test_a_part_that_a_failed_computation_overwrote_is_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planes, "PORTION_BARS", 64 * WORDS * 5)  # so the failure is in the middle
    held, recorder = store([Stub(500)], 2**20)
    hold(held, 0, range(20))
    interrupted = held.hold(0, range(100, 120), WorkerThreads(1))
    next(interrupted)  # the first portion is where variants 0 to 4 were
    del interrupted
    hold(held, 0, range(20))
    assert numbers_in(held, 0, range(20)) == list(range(20))
    assert len(recorder.asked) == 4 + 1 + 4


def test_a_variant_that_is_not_present_is_computed_alone() -> None:
    held, recorder = store([Stub(100)], 2**20)
    hold(held, 0, range(10))
    long, _ = held.planes_of(0, 70)
    assert (recorder.asked[-1], int(long[0])) == (range(70, 71), 70)
    assert int(held.planes_of(0, 5)[0][0]) == 5
    assert len(recorder.asked) == 2


def test_the_last_variants_computed_alone_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    words = store([Stub(100)], 2**20)[0].long.shape[1]
    monkeypatch.setattr("engine.planes.ALONE_BYTES", 3 * row_bytes(words) + 1)
    held, recorder = store([Stub(100), Stub(7)], 2**20)
    for number in (5, 6, 5):
        long, short = held.planes_of(0, number)
        assert (int(long[0]), int(short[0])) == (number, 100)
        long[:], short[:] = 1, 1  # whoever asks may write to it
    assert int(held.planes_of(1, 5)[1][0]) == 7
    assert recorder.asked == [range(5, 6), range(6, 7), range(5, 6)]
    held.planes_of(0, 8)  # there is no more room for the first one
    for number, computed in ((6, 0), (5, 1)):
        before = len(recorder.asked)
        assert int(held.planes_of(0, number)[0][0]) == number
        assert len(recorder.asked) == before + computed


@pytest.mark.parametrize("bars", [1, 2, 63, 64, 65, 128, 129])
@pytest.mark.parametrize("direction", [0, 1, 2])
def test_the_last_bar_and_the_forbidden_direction_count_for_nothing(
    bars: int, direction: int
) -> None:
    rules = ExecutionRules(0.0, 0.0, direction, 0, 1.0, 1.0, 0.0)
    allowed = allowed_planes(bars, rules)
    assert allowed.shape == (2, words_for(bars))
    counting = [True] * (bars - 1) + [False] * (64 * words_for(bars) - bars + 1)
    for plane, forbidden in zip(allowed, (direction == 2, direction == 1), strict=True):
        bits = np.unpackbits(plane.view(np.uint8), bitorder="little").astype(bool)
        assert bits.tolist() == [bit and not forbidden for bit in counting]
