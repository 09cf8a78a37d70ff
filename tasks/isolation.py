"""What ties a process to its parent and keeps it within bounds, set by the process for itself."""

import ctypes
import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import connection, parent_process
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAULT_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)

_PR_SET_PDEATHSIG = 1


def signal_on_parent_death(number: signal.Signals, *, parent: int) -> None:
    """Send this process `number` as soon as its parent, the process `parent`, has ended.

    Linux counts the end of the *thread* that started this process as the end of the parent.
    Elsewhere the process that multiprocessing knows as the parent is waited for.
    """
    if sys.platform != "linux":
        _signal_on_end_of_starter(number)
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked to be told
        os.kill(os.getpid(), number)


def signal_on_master_death(number: signal.Signals) -> int:
    """Send this process `number` as soon as its dramatiq master has ended; returns its pid.

    From Python 3.14 on the master is not the parent: it starts its processes by a fork server.
    """
    master = parent_process()
    assert master is not None
    assert master.pid is not None
    if os.getppid() == master.pid:
        signal_on_parent_death(number, parent=master.pid)
    else:
        _signal_on_end_of_starter(number)
    return master.pid


def ignore_stop_signals() -> None:
    """Leave stopping to the parent: signals to the process group reach us as well."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def die_of_faults() -> None:
    """Let a fault in native code end the process.

    The candle engine installs handlers that report the fault and then hang.
    """
    for number in FAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def limit_memory(limit_bytes: int) -> None:
    """Make allocations beyond `limit_bytes` fail, and be the first whom the kernel kills.

    Private writable memory is limited, not address space, of which the candle engine reserves
    gigabytes that it never touches.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    with suppress(ValueError, OSError):  # not enforced on every platform
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _signal_on_end_of_starter(number: signal.Signals) -> None:
    starter = parent_process()
    if starter is None:
        return
    sentinel = starter.sentinel

    def wait() -> None:
        connection.wait([sentinel])
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, name="starter-watch", daemon=True).start()
