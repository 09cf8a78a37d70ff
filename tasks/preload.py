"""Imported by the fork server before it serves: the engine with its kernels, ready to be forked.

Everything happens at import, because importing is all that a fork server does for us. In any other
process importing this module does nothing.
"""

import gc
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tasks import isolation

SERVER_OF = "BACKTEST_FORK_SERVER_OF"
"""Environment variable: pid of the worker process that starts the fork server."""

MOST_COMPILERS = 4

YOUNG_OBJECTS = 50_000
"""So many new ones, not Python's 700, let a compiler look for garbage: it makes millions, and
looked for a tenth of its time. It needs a twentieth more memory for that."""


class Preloaded(NamedTuple):
    """How long the kernels took to be ready, whether they had been compiled before, and of what."""

    seconds: float
    from_cache: bool
    identity: str


OUTCOME: Preloaded | str = "the fork server did not preload"
"""What the engine says of its preload, or the traceback of a failed one."""


def report(pipe: "Connection[Any, Any]") -> None:
    """Run in a probe that was forked: say (server pid, outcome)."""
    pipe.send((os.getppid(), OUTCOME))


def load_engine() -> Preloaded:
    """Import everything that a job needs and compile its kernels, or load them from the cache."""
    import_all()
    from engine import compiled, identity, ready

    begin = time.monotonic()
    from_cache = compiled.cached()
    if not from_cache:
        _side_by_side(ready.preload)
    ready.preload()
    return Preloaded(time.monotonic() - begin, from_cache, identity())


def import_all() -> None:
    """Import what a job needs, so that no child has to.

    All but the embedded candle engine: chDB starts threads as soon as it is imported, and threads
    do not survive a fork. Few jobs need it. And nothing besides: what is imported in vain makes
    each start of a worker longer.
    """
    from configs.environment import SettingsError, candle_source
    from engine import divided, ready, report, sweep  # noqa: F401
    from engine.validation import search  # noqa: F401
    from storage.candles import open_store
    from tasks import compute  # noqa: F401

    with suppress(SettingsError):  # the worker says what is wrong
        open_store(candle_source())  # imports what it needs, and opens nothing


def _side_by_side(compile_part: Callable[[int, int], object]) -> None:
    """Fill the cache with a process per processor: compiling holds the interpreter's lock."""
    server, parts = os.getpid(), min(os.cpu_count() or 1, MOST_COMPILERS)
    children = []
    for part in range(parts):
        child = os.fork()
        if child == 0:
            isolation.signal_on_parent_death(signal.SIGKILL, parent=server)
            gc.set_threshold(YOUNG_OBJECTS)
            try:
                compile_part(part, parts)
            finally:  # what could not be compiled here fails again in the server, which says so
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if os.environ.get(SERVER_OF) == str(os.getppid()):
    isolation.become_fork_server()
    gc.disable()  # what is loaded stays: looking through it for garbage takes a tenth of the time
    try:
        OUTCOME = load_engine()
    except BaseException:
        OUTCOME = traceback.format_exc()
    gc.freeze()  # nor do the children look through it, which would copy its pages
    gc.enable()
