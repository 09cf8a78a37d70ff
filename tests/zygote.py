"""Programs whose libraries are imported already: forked from a process that did it once.

To import them takes a program half a second of processor time, and the suite starts hundreds. What
is forked is a process as any other: it runs its module as `python -m` does, imports what is ours by
itself, and has an environment, a session and an output of its own. Only what the system tells of
its command line and its environment is that of the process it was forked from.

Where an environment differs in what is read while Python or a library is loaded, a program is
started by its command line as usual; and so are all in the tests of what users and operators start.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).parents[1]

PROGRAMS = ("dramatiq", "scheduler", "uvicorn")

LIBRARIES = (
    *("numpy", "psycopg", "psycopg.types.json", "pyarrow", "yaml", "structlog.stdlib"),
    *("dramatiq.cli", "dramatiq.brokers.redis", "apscheduler.schedulers.background"),
    *("pydantic", "fastapi.openapi.utils", "uvicorn.main", "uvicorn.protocols.http.h11_impl"),
)
"""Not prometheus_client, which decides as it is imported where a program keeps its values."""

READ_BY_IMPORTS = (
    *("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LC_", "LANG", "TZ", "OMP_", "OPENBLAS_", "NPY_"),
    *("NUMBA_", "ARROW_", "PSYCOPG_", "PYDANTIC_", "OTEL_", "COVERAGE_"),
)
"""How the variables begin that Python or a library reads while it is loaded."""

MOST_BYTES = 1 << 20


class Process(Protocol):
    """What tests use of a `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, once somebody has seen that it has ended."""

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; returns its exit code."""

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM unless it has ended."""

    def kill(self) -> None:
        """Send SIGKILL unless it has ended."""


class Forked:
    """A forked program, whose number and exit code are told on a pipe."""

    def __init__(self, arguments: list[str], told: IO[bytes]) -> None:
        self._arguments = arguments
        self._told = told
        self.returncode: int | None = None
        self.pid = int(told.readline())

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises as `subprocess.Popen` does."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self._arguments, timeout)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Send SIGTERM unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        with self._told:
            self.returncode = int(self._told.readline())


def start(
    *arguments: str,
    env: Mapping[str, str],
    stdout: IO[Any],
    stderr: IO[Any] | None = None,
    start_new_session: bool = False,
    typed: bool = False,
) -> Process:
    """Run `python -m` with these arguments in the sources' folder; it reads nothing.

    Both outputs go to `stdout` unless there is a place for errors. If it is `typed`, the system
    shows its command line.
    """
    alike = _read_by_imports(env) == _read_by_imports(os.environ)
    if alike and arguments[0] in PROGRAMS and not typed:
        outputs = (stdout, stderr or stdout)
        return _zygote().fork(list(arguments), dict(env), outputs, leads=start_new_session)
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=dict(env),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr or stdout,
        start_new_session=start_new_session,
    )


def _read_by_imports(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(READ_BY_IMPORTS)}


class Zygote:
    """The process that is forked; it ends when this one closes its socket, or has ended."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.zygote", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def fork(
        self, arguments: list[str], env: dict[str, str], outputs: Sequence[IO[Any]], *, leads: bool
    ) -> Forked:
        """Have it fork a program, which leads a session of its own if so asked."""
        ours, theirs = os.pipe()
        try:
            order = json.dumps([arguments, env, leads]).encode()
            fds = [theirs, *(output.fileno() for output in outputs)]
            socket.send_fds(self._socket, [order], fds)
        finally:
            os.close(theirs)
        return Forked(arguments, os.fdopen(ours, "rb", buffering=0))


@cache
def _zygote() -> Zygote:
    return Zygote()


def serve(asked: socket.socket) -> list[str]:
    """Fork a program for each order; returns in the programs alone, with their arguments."""
    telling: dict[int, tuple[int, int]] = {}
    while True:
        for ready in select.select([asked, *telling], [], [])[0]:
            if ready is asked:
                order, fds, _, _ = socket.recv_fds(asked, MOST_BYTES, 3)
                if not order:
                    sys.exit()
                pid = os.fork()
                if pid == 0:
                    asked.detach()
                    return _become(order, fds[1:])
                tell, *outputs = fds
                os.write(tell, b"%d\n" % pid)
                telling[os.pidfd_open(pid)] = pid, tell
                for output in outputs:
                    os.close(output)
            else:
                pid, tell = telling.pop(ready)
                os.close(ready)
                _, status = os.waitpid(pid, 0)
                with suppress(BrokenPipeError):  # nobody wants to know
                    os.write(tell, b"%d\n" % os.waitstatus_to_exitcode(status))
                os.close(tell)


def _become(order: bytes, outputs: list[int]) -> list[str]:
    """Be a process of its own, as far as that is not its by its birth."""
    arguments, environ, leads = json.loads(order)
    for place, fd in enumerate([os.open(os.devnull, os.O_RDONLY), *outputs]):
        os.dup2(fd, place)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if leads:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None
    for name, place in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        stream = open(place, "r" if place == 0 else "w", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
    gc.enable()
    return list(arguments)


def _main(fd: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked for programs ends them
    gc.disable()
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    sys.argv = serve(socket.socket(fileno=fd))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
