"""Long-running programs: each in a session of its own, restarted, stopped, never lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.reaper import Target
from cli.signals import shielded
from storage.retry import backoff

FINAL_EXIT_CODES = (
    0,
    2,
)  # told to stop or switched off; bad configuration: restarting helps neither
FIRST_RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Program:
    """A command with its environment; output goes to `log`, or to the terminal when it is None."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path | None = None


def scheduler(environ: Mapping[str, str], log: Path | None = None) -> Program:
    """`python -m scheduler`."""
    return Program("scheduler", (sys.executable, "-m", "scheduler"), environ, log)


def worker(number: int, environ: Mapping[str, str], log: Path | None = None) -> Program:
    """One dramatiq master with one worker process: they live and die together."""
    command = (sys.executable, "-m", "dramatiq", "tasks.backtest")
    # On SIGHUP the master starts itself again by the first `python` on PATH.
    path = os.pathsep.join((str(Path(sys.executable).parent), environ.get("PATH", os.defpath)))
    return Program(
        f"worker-{number}",
        (*command, "--processes", "1", "--threads", "1"),
        {**environ, "PATH": path},
        log,
    )


def api(port: int, environ: Mapping[str, str], log: Path | None = None) -> Program:
    """`backtest api` for this machine alone."""
    command = (sys.executable, "-m", "cli", "api", "--port", str(port))
    return Program("api", command, environ, log)


class Supervisor:
    """Keeps programs running from a thread of its own.

    A program that exits with a code other than 0 and 2 is started again after a pause that doubles
    while it keeps dying. `notify(text)` hears of every exit, `changed()` of every new set of pids.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        notify: Callable[[str], object],
        changed: Callable[[], object],
    ) -> None:
        self._notify = notify
        self._changed = changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._runs = [_Run(program) for program in programs]

    def start(self) -> None:
        """Start every program and the thread that looks after them."""
        for run in self._runs:
            run.start()
        self._changed()
        self._thread.start()

    def targets(self) -> list[Target]:
        """Name the processes that run now."""
        return [Target(run.process.pid) for run in self._runs if run.alive()]

    def final_code(self) -> int | None:
        """Return the highest exit code once every program has ended for good, else None."""
        codes = [run.final_code for run in self._runs]
        return None if None in codes else max(code or 0 for code in codes)

    def ended(self, name: str) -> bool:
        """Whether the program of this name has ended for good."""
        return any(run.final_code is not None for run in self._runs if run.program.name == name)

    def stop(self) -> None:
        """Ask every program to stop, wait, and kill the sessions of those that do not."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        running = [run.process for run in self._runs if run.alive()]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for run in self._runs:
            run.close()

    def _supervise(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            for run in self._runs:
                said = run.look_after()
                if said is not None:
                    self._changed()
                    self._notify(f"{run.program.name} {said}")


class _Run:
    """One program: its current process and when to start the next."""

    process: subprocess.Popen[bytes]

    def __init__(self, program: Program) -> None:
        self.program = program
        self.final_code: int | None = None
        self._output: IO[bytes] | None = None
        self._started_at = 0.0
        self._restart_at: float | None = None  # set while it is down
        self._pauses = _restart_pauses()

    def start(self) -> None:
        if self.program.log is not None and self._output is None:
            self.program.log.parent.mkdir(parents=True, exist_ok=True)
            self._output = self.program.log.open("ab")
        self.process = subprocess.Popen(
            self.program.command,
            env=dict(self.program.environ),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT if self._output else None,
            # Ctrl-C in the terminal must reach us alone: dramatiq exits hard on a second signal.
            start_new_session=True,
        )
        self._started_at = time.monotonic()
        self._restart_at = None

    def alive(self) -> bool:
        return hasattr(self, "process") and self.process.poll() is None

    def look_after(self) -> str | None:
        """Notice an exit or end a pause; returns what happened, if anything did."""
        now = time.monotonic()
        if self.final_code is not None or self.alive():
            return None
        if self._restart_at is None:
            return self._exited(self.process.returncode, now)
        if now < self._restart_at:
            return None
        self.start()
        return "started again"

    def _exited(self, code: int, now: float) -> str:
        if code in FINAL_EXIT_CODES:
            self.final_code = code
            return f"ended with code {code}"
        if now - self._started_at > STEADY_SECONDS:
            self._pauses = _restart_pauses()
        pause = next(self._pauses)
        self._restart_at = now + pause
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        )
        return f"{how}, starting it again in {pause:g} s"

    def close(self) -> None:
        """Kill what is left of the program's session, which it leads, and close its log."""
        if hasattr(self, "process"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._output is not None:
            self._output.close()


def _restart_pauses() -> Iterator[float]:
    return backoff(FIRST_RESTART_SECONDS, LONGEST_RESTART_SECONDS)


@contextmanager
def supervising(supervisor: Supervisor) -> Iterator[Supervisor]:
    """Run the supervisor's programs for the length of a `with` block."""
    try:
        with shielded():
            supervisor.start()
        yield supervisor
    finally:
        with shielded():
            supervisor.stop()
