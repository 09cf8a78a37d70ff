"""Imported by the fork server before it serves: the engine with its kernels, ready to be forked.

Everything happens at import, because importing is all that a fork server does for us. In any other
process importing this module does nothing.
"""

import os
import signal
import traceback
from multiprocessing.connection import Connection
from typing import Any

from tasks import isolation

SERVER_OF = "BACKTEST_FORK_SERVER_OF"
"""Environment variable: pid of the worker process that starts the fork server."""

SERVER_PID: int | None = None
"""Pid of the fork server, inherited by everything it forks; None outside of it."""

ERROR: str | None = None
"""Traceback of a failed preload."""


def report(pipe: "Connection[Any, Any]") -> None:
    """Run in a probe that was forked: say (server pid, error or None)."""
    pipe.send((os.getppid(), ERROR if SERVER_PID else "the fork server did not preload"))


def _load_engine() -> None:
    # Everything that a job needs, but for the candle engine itself: chDB starts threads as soon as
    # it is imported, and threads do not survive a fork.
    import clickhouse_connect  # noqa: F401

    import storage.candles  # noqa: F401
    import tasks.compute  # noqa: F401
    from engine import report, sweep  # noqa: F401

    sweep.preload()


if os.environ.get(SERVER_OF) == str(os.getppid()):
    isolation.signal_on_parent_death(signal.SIGKILL, parent=os.getppid())
    isolation.ignore_stop_signals()
    try:
        _load_engine()
    except BaseException:
        ERROR = traceback.format_exc()
    SERVER_PID = os.getpid()
