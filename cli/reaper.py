"""Ends what a stack started when the stack itself is killed: `python reaper.py < pipe`.

A SIGKILL leaves its victim no time to clean up, so a process in a session of its own holds the
reading end of a pipe. Each line is the complete list of stages to end, first stage first, as JSON
`[[{"pid": 1, "signal": 15}, ...], ...]`. End of file means that the writer is gone: what the last
line names is ended. A writer that stopped everything itself sends an empty list.
Imports the standard library only: it starts in milliseconds and survives anything.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

GRACE_SECONDS = 20.0
POLL_SECONDS = 0.05


class Target(NamedTuple):
    """A process to end, and the signal by which it stops in an orderly way."""

    pid: int
    signal: int = signal.SIGTERM


class Reaper:
    """The stack's side of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def watch(self, stages: Sequence[Sequence[Target]]) -> None:
        """Replace the list of what to end when this process dies, first stage first."""
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # a killed reaper is no reason to stop working
            pipe.write(
                json.dumps([[target._asdict() for target in stage] for stage in stages]) + "\n"
            )
            pipe.flush()

    def dismiss(self) -> None:
        """Everything has been stopped: let the reaper end with nothing to do."""
        self.watch([])
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Wait for the end of the pipe, then end the targets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    last = "[]"
    for line in sys.stdin:
        if line.endswith("\n"):  # the writer may die in the middle of a line
            last = line
    for stage in json.loads(last):
        _end([Target(**target) for target in stage])


def _end(targets: Sequence[Target]) -> None:
    for target in targets:
        _signal(target.pid, target.signal)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(_alive(target.pid) for target in targets) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for target in targets:
        if _alive(target.pid):
            _signal(target.pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    status = Path(f"/proc/{pid}/stat")  # Linux: a zombie waits for its reaper, not for us
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()


if __name__ == "__main__":
    main()
