"""Threads that work on pieces in order; one thread means the caller's own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from engine.memory import PIECES_AHEAD

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class WorkerThreads:
    """`count` threads for functions that release the GIL."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "sweep") if count > 1 else None

    def run(self, work: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
        """Call `work` with each tuple of arguments and wait for all; the first error is raised."""
        if self._pool is None or len(arguments) == 1:
            for each in arguments:
                work(*each)
            return
        for future in [self._pool.submit(work, *each) for each in arguments]:
            future.result()

    def stream(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece]
    ) -> Iterator[tuple[Piece, Result]]:
        """Yield each piece with its result, in order, while later pieces are being worked on.

        Closing the iterator cancels what has not begun and waits for what has.
        """
        if self._pool is None:
            for piece in pieces:
                yield piece, work(piece)
            return
        waiting: deque[tuple[Piece, Future[Result]]] = deque()
        try:
            for piece in pieces:
                waiting.append((piece, self._pool.submit(work, piece)))
                if len(waiting) > PIECES_AHEAD * self.count:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                if not future.cancel():
                    future.exception()
