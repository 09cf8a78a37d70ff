"""The computing child of a job, forked from a server that holds the compiled engine.

The worker process itself never computes and never forks: it stays small and responsive, and
whatever happens to a child – out of memory, a crash in native code, a hang – happens to it alone.
"""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver
from types import ModuleType

from tasks import compute, preload
from tasks.isolation import STOP_SIGNALS
from tasks.messages import Assignment, FromChild, ToChild

_context = multiprocessing.get_context("forkserver")

EXIT_SECONDS = 5.0
"""How long a killed process may take to be gone; beyond it we go on without it."""


class ChildEnded(Exception):
    """The child closed its end of the pipe: it has said everything, or it died."""


class EngineNotPreloaded(Exception):
    """The fork server runs without the engine; every child would have to load it anew."""


class ForkServer:
    """Starts the fork server and knows whether it still holds the engine."""

    def __init__(self) -> None:
        self._pid: int | None = None

    def start(self) -> None:
        """Start loading the engine; returns at once.

        Must be called from the main thread: the server dies with the thread that started it.
        """
        forkserver.set_forkserver_preload(["tasks.preload"])
        os.environ[preload.SERVER_OF] = str(os.getpid())
        with _stop_signals_blocked(), _no_main_module():
            forkserver.ensure_running()

    def wait(self) -> preload.Preloaded:
        """Wait until the engine is loaded, by a new server if the old one has ended.

        Returns what loading took. Raises EngineNotPreloaded with the reason; no server is left.
        """
        ours, theirs = _context.Pipe(duplex=False)
        probe = _context.Process(target=preload.report, args=(theirs,), name="probe")
        with ours:
            with theirs, _stop_signals_blocked(), _no_main_module():
                probe.start()
            try:
                self._pid, outcome = ours.recv()
            except EOFError:
                self._pid, outcome = None, "the fork server has ended"
        probe.join()
        if isinstance(outcome, str):
            self._kill()
            raise EngineNotPreloaded(outcome)
        preloaded: preload.Preloaded = outcome
        return preloaded

    @property
    def died(self) -> bool:
        """Whether the server that was waited for has ended; the next `wait` starts another one."""
        return self._pid is not None and _has_ended(self._pid)

    def fork(self, assignment: Assignment) -> "Child":
        """Start the child of one job."""
        return Child(assignment)

    def stop(self) -> None:
        """Kill the server and wait until it is gone."""
        self._kill()
        if self._pid is not None:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def _kill(self) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)


class Child:
    """One computing process and the messages it sends.

    `kill` may be called from any thread; everything else belongs to the thread that owns the job.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._hung_up = False
        self._status = threading.Lock()  # only one thread at a time may ask for the exit status
        self._messages: queue.Queue[FromChild | None] = queue.Queue(maxsize=64)
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(
            target=compute.main, args=(theirs, assignment), name="compute"
        )
        with theirs, _no_main_module():
            self._process.start()
        reader = threading.Thread(target=self._read, name="child-reader", daemon=True)
        reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, message: ToChild) -> None:
        """Tell the child something; a child that is gone hears nothing."""
        with suppress(OSError):
            self._pipe.send(message)

    def receive(self, timeout: float) -> FromChild | None:
        """Next message, or None after `timeout` seconds. Raises ChildEnded."""
        if self._hung_up:
            raise ChildEnded
        try:
            message = self._messages.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        if message is None:
            self._hung_up = True
            raise ChildEnded
        return message

    def kill(self) -> None:
        """End the child now, whatever it is doing; harmless when it has ended."""
        with self._status:
            if self._process.exitcode is None:
                self._process.kill()

    def end(self) -> int | None:
        """Kill the child if it has not ended, and return its exit code (-n for signal n)."""
        self.kill()
        deadline = time.monotonic() + EXIT_SECONDS
        code = self.exit_code(EXIT_SECONDS)
        # The reader may be waiting for room.
        with suppress(queue.Empty, ChildEnded):
            while time.monotonic() < deadline:
                if self.receive(EXIT_SECONDS) is None:
                    break
        self._pipe.close()
        return code

    def exit_code(self, timeout: float) -> int | None:
        """Exit code (-n for signal n) of a child that ends within `timeout` seconds, else None."""
        connection.wait([self._process.sentinel], timeout)
        with self._status:
            return self._process.exitcode

    def _read(self) -> None:
        # In a thread of its own: a child that hangs in the middle of a message blocks only this.
        try:
            while True:
                self._messages.put(self._pipe.recv())
        except (EOFError, OSError):
            self._messages.put(None)


def _has_ended(pid: int) -> bool:
    try:
        # Looks without reaping: multiprocessing reaps its server itself, to start another one.
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


@contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    # A server started here inherits that, until it has decided to ignore them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_main_module() -> Iterator[None]:
    # A child would import the script that was started, which is dramatiq's command line.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
