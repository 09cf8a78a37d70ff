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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, current_process, forkserver
from types import ModuleType
from typing import Any

from storage.temporary import OwnedFolder
from tasks import compute, failures, preload
from tasks.isolation import STOP_SIGNALS
from tasks.memory_watch import MemoryWatch
from tasks.messages import Assignment, Failed, FromChild, ToChild

_context = multiprocessing.get_context("forkserver")

EXIT_SECONDS = 5.0
"""How long a killed process may take to be gone; beyond it we go on without it."""


FORK_SECONDS = 5.0
"""How long a fork server may take to answer; it takes milliseconds."""


class ChildEnded(Exception):
    """The child closed its end of the pipe: it has said everything, or it died."""


class ChildDied(Exception):
    """The child or its fork server died, and not of memory: computing once more may succeed.

    `failure` is what to write down when it does not.
    """

    def __init__(self, failure: Failed) -> None:
        super().__init__(f"the computing process died: {failure.details}")
        self.failure = failure


class EngineNotPreloaded(Exception):
    """The fork server runs without the engine; every child would have to load it anew."""


class ForkServer:
    """Starts the fork server and knows whether it still holds the engine."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._folder: OwnedFolder | None = None

    def start(self) -> None:
        """Start loading the engine; returns at once.

        Must be called from the main thread: the server dies with the thread that started it.
        """
        # multiprocessing keeps its sockets in a folder that it would leave behind after a SIGKILL.
        self._folder = OwnedFolder("mp")
        _own_settings()["tempdir"] = str(self._folder.path)
        forkserver.set_forkserver_preload(["tasks.preload"])
        os.environ[preload.SERVER_OF] = str(os.getpid())
        with _stop_signals_blocked(), _no_main_module():
            forkserver.ensure_running()

    def wait(self) -> preload.Preloaded:
        """Wait until the engine is loaded, by a new server if the old one has ended.

        Returns what loading took. Raises EngineNotPreloaded with the reason; no server is left.
        """
        self._pid = None
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
            self.kill()
            raise EngineNotPreloaded(outcome)
        preloaded: preload.Preloaded = outcome
        return preloaded

    @property
    def loaded(self) -> bool:
        """Whether there is a server that holds the engine."""
        return self._pid is not None and not _has_ended(self._pid)

    @property
    def died(self) -> bool:
        """Whether the server that was waited for has ended; the next `wait` starts another one."""
        return self._pid is not None and _has_ended(self._pid)

    def fork(self, assignment: Assignment) -> "Child":
        """Start the child of one job. Raises ChildDied when there is no server to do it.

        A server that does not answer is killed, so that another one takes its place.
        """
        patience = threading.Timer(FORK_SECONDS, self.kill)
        try:
            if self.loaded:
                patience.start()
                return Child(compute.main, assignment)
        except (OSError, EOFError):  # it died just now
            pass
        finally:
            patience.cancel()
        raise ChildDied(failures.of_death(failures.FORK_SERVER_DIED))

    def stop(self) -> None:
        """Kill the server, wait until it is gone, and remove what it needed."""
        for pid in self.kill():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if self._folder is not None:
            _own_settings().pop("tempdir", None)
            self._folder.give_up()

    def kill(self) -> list[int]:
        """Kill the server, and with it all its children; from any thread. Returns its pid."""
        # One that still loads has told us nothing; multiprocessing knows it, but has no public name
        # for that.
        started = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        pids = [pid for pid in {self._pid, started} if pid is not None and not _has_ended(pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids


class Child:
    """A process that runs `target(pipe, assignment)`, and the messages it sends.

    At most one message of the child is in this process: the next is read when the owner asks for
    it. `kill` may be called from any thread; everything else belongs to the thread that owns the
    job.
    """

    def __init__(self, target: Callable[..., object], assignment: Assignment) -> None:
        self._limit = assignment.memory_bytes
        self._out_of_memory = failures.out_of_memory(self._limit)  # made while there is memory
        self._memory = MemoryWatch(self._limit)
        self._hung_up = False
        self._status = threading.Lock()  # only one thread at a time may ask for the exit status
        self._asked = self._ended = False
        self._wanted = threading.Semaphore(0)
        self._messages: queue.SimpleQueue[FromChild | None] = queue.SimpleQueue()
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=target, args=(theirs, assignment), name="compute")
        with theirs, _no_main_module():
            self._process.start()
        # Each end in a thread of its own: a child that hangs in the middle of a message, or hears
        # nothing while a long one is sent to it, blocks that thread only.
        self._unsent: queue.SimpleQueue[ToChild | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="child-reader", daemon=True)
        self._writer = threading.Thread(target=self._write, name="child-writer", daemon=True)
        self._reader.start()
        self._writer.start()

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, message: ToChild) -> None:
        """Tell the child something, without waiting; a child that is gone hears nothing."""
        self._unsent.put(message)

    def receive(self, timeout: float) -> FromChild | None:
        """Next message, or None after `timeout` seconds. Raises ChildEnded.

        A message that cannot be read is a `Failed`.
        """
        if self._hung_up:
            raise ChildEnded
        self._memory.look(self.pid)
        if not self._asked:
            self._asked = True
            self._wanted.release()
        try:
            message = self._messages.get(timeout=max(0.0, timeout))
        except queue.Empty:
            return None
        self._asked = False
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
        code = self.exit_code(EXIT_SECONDS)
        self._ended = True
        self._wanted.release()
        self._unsent.put(None)
        self._reader.join(EXIT_SECONDS)
        self._writer.join(EXIT_SECONDS)
        if not self._reader.is_alive() and not self._writer.is_alive():
            self._pipe.close()
        return code

    def failure(self) -> Failed:
        """Say what it means that the child ended without a last word.

        Raises ChildDied unless the job's need of memory explains it.
        """
        code = self.exit_code(EXIT_SECONDS)
        killed_for_memory = code == -signal.SIGKILL and self._memory.short_of_memory()
        if killed_for_memory or code == failures.LOADER_GAVE_UP:
            return self._out_of_memory
        raise ChildDied(failures.of_death(code))

    def exit_code(self, timeout: float) -> int | None:
        """Exit code (-n for signal n) of a child that ends within `timeout` seconds, else None."""
        connection.wait([self._process.sentinel], timeout)
        with self._status:
            return self._process.exitcode

    def _write(self) -> None:
        with suppress(OSError):  # the child is gone
            while (message := self._unsent.get()) is not None:
                self._pipe.send(message)

    def _read(self) -> None:
        while self._wanted.acquire() and not self._ended:
            self._messages.put(self._next_message())

    def _next_message(self) -> FromChild | None:
        try:
            message: FromChild = self._pipe.recv()
        except (EOFError, OSError):
            return None
        except MemoryError:
            return self._out_of_memory
        except BaseException as error:
            return failures.of_exception(error, self._limit)
        return message


def _own_settings() -> dict[str, Any]:
    # What multiprocessing knows about this process; there is no public way to choose its folder.
    settings: dict[str, Any] = current_process()._config  # type: ignore[attr-defined]
    return settings


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
