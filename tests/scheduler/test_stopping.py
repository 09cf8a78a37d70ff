"""A program in whatever state ends soon after a signal."""

import os
import signal
import subprocess
import sys

import pytest

from scheduler import stopping
from scheduler.stopping import Stop


def run(script: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


WAITS = """
from scheduler.stopping import Stop
stop = Stop()
stop.listen()
print("ready", flush=True)
stop.wait()
"""

HANGS = """
import ctypes
from scheduler.stopping import Stop
stop = Stop(end_seconds=0.1)
stop.listen()
stop.code = 7
print("ready", flush=True)
mask = (ctypes.c_ulong * 16)(*[(1 << 64) - 1] * 16)
libc = ctypes.CDLL(None)
libc.pthread_sigmask(0, mask, None)  # the main thread will hear of no signal
libc.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_endless_wait(number: signal.Signals) -> None:
    with run(WAITS) as process:
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_a_signal_to_a_stopped_process_is_never_lost() -> None:
    for _ in range(10):
        with run(WAITS) as process:
            for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT):
                os.kill(process.pid, number)
            assert process.wait(timeout=20) == 0


def test_a_hanging_main_thread_is_left_behind() -> None:
    with run(HANGS) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 7


def test_patience_is_counted_from_the_first_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(stopping, "monotonic", lambda: now)
    stop = Stop()
    assert not stop.is_urgent()
    stop.set()
    now += stopping.PATIENCE_SECONDS - 0.1
    stop.set()
    assert not stop.is_urgent()
    now += 0.2
    assert stop.is_urgent()


def test_the_last_resort_leaves_a_supervisor_its_30_seconds() -> None:
    assert stopping.PATIENCE_SECONDS < stopping.END_SECONDS < 30
