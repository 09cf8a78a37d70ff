"""Pieces are worked on side by side, and handed over in the order they came in."""

from collections.abc import Iterator
from threading import Event

import pytest

from engine.memory import PIECES_AHEAD
from engine.worker_threads import WorkerThreads

DEADLINE = 30.0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_results_come_in_the_order_of_the_pieces(count: int) -> None:
    found = list(WorkerThreads(count).stream(lambda piece: piece * piece, range(50)))
    assert found == [(piece, piece * piece) for piece in range(50)]


def test_a_later_piece_is_worked_on_while_an_earlier_one_takes_its_time() -> None:
    later = Event()

    def work(piece: int) -> bool:
        if piece == 0:
            return later.wait(DEADLINE)  # ends only once the next piece was begun
        later.set()
        return True

    assert list(WorkerThreads(2).stream(work, range(2))) == [(0, True), (1, True)]


def test_no_more_pieces_are_taken_than_wait_per_thread() -> None:
    taken: list[int] = []

    def pieces() -> Iterator[int]:
        for piece in range(100):
            taken.append(piece)
            yield piece

    next(WorkerThreads(2).stream(lambda piece: piece, pieces()))
    assert len(taken) == 2 * PIECES_AHEAD + 1


def test_the_first_error_is_raised_where_its_result_would_be() -> None:
    def work(piece: int) -> int:
        if piece == 3:
            raise MemoryError
        return piece

    results = WorkerThreads(2).stream(work, range(10))
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(MemoryError):
        next(results)
