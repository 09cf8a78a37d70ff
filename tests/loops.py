"""Event loops for tests, in a thread of their own.

The browser's driver keeps a loop running in the thread of the tests, and a thread can run only one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvloop


@contextmanager
def running_loop(
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Give what runs a coroutine to its end in a loop; by default the kind that the API has."""
    runner = asyncio.Runner(loop_factory=factory)
    with ThreadPoolExecutor(1) as thread:
        try:
            yield lambda work: thread.submit(runner.run, work).result()
        finally:
            thread.submit(runner.close).result()


def in_a_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a loop of its own, and return its result."""
    with running_loop() as run:
        return run(work)
