"""What ties a process to its parent and keeps it within bounds, set by the process for itself."""

import ctypes
import os
import re
import resource
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing import connection, parent_process
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAULT_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)

LEAST_ROOM_BYTES = 128 * 2**20
"""What a computation needs at least beyond the engines themselves."""

_PR_SET_PDEATHSIG = 1

_fork_server_pid: int | None = None  # inherited by everything that the fork server forks


def become_fork_server() -> None:
    """Tie this process to the worker process that started it, and leave stopping to that one."""
    global _fork_server_pid
    _fork_server_pid = os.getpid()
    signal_on_parent_death(signal.SIGKILL, parent=os.getppid())
    ignore_stop_signals()


def become_computing_child() -> bool:
    """Tie this process to its fork server; False when that one has not loaded the engine."""
    if _fork_server_pid is not None:
        signal_on_parent_death(signal.SIGKILL, parent=_fork_server_pid)
    ignore_stop_signals()
    be_killed_first_for_memory()
    return _fork_server_pid is not None


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


def let_faults_end_the_process() -> None:
    """Let a fault in native code end the process.

    The candle engine installs handlers that report the fault and then hang.
    """
    for number in FAULT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def be_killed_first_for_memory() -> None:
    """Be the first whom the kernel kills when the machine runs out of memory."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def limit_memory(limit_bytes: int) -> None:
    """Make allocations fail that would take this process beyond `limit_bytes` of memory in use.

    Linux limits private memory, touched or not. The candle engine reserves more than a gigabyte
    that it never touches: what is reserved in vain so far is added to the limit.

    Raises MemoryError when less than LEAST_ROOM_BYTES are left already. With so little, native
    libraries crash or hang instead of saying what they lack.
    """
    reserved, used = _private_memory()
    room = limit_bytes - used
    if room < LEAST_ROOM_BYTES:
        raise MemoryError(f"{used} of {limit_bytes} bytes are in use before the computation starts")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = reserved + room
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    with suppress(ValueError, OSError):  # not enforced on every platform
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def lift_memory_limit() -> None:
    """Undo `limit_memory`, so that a process which met its limit can still say so."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _private_memory() -> tuple[int, int]:
    """Private memory of this process in bytes: what it has reserved, what it has touched."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: there is only the limit itself
        return 0, 0
    kilobytes = dict(re.findall(r"^(VmData|RssAnon):\s*(\d+) kB$", status, re.MULTILINE))
    return int(kilobytes["VmData"]) * 1024, int(kilobytes["RssAnon"]) * 1024


def _signal_on_end_of_starter(number: signal.Signals) -> None:
    starter = parent_process()
    if starter is None:
        return
    sentinel = starter.sentinel

    def wait() -> None:
        connection.wait([sentinel])
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, name="starter-watch", daemon=True).start()
