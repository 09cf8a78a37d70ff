"""A worker process obeys the first signal and ends in time, whatever state it is in."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks import shutdown
from tests.faults.harness import Program, Stack, gone, wait_for
from tests.network import PostgresProxy, postgres_proxy

PROMISED_SECONDS = 30

# The main thread waits for a lock of the C library, which no signal interrupts: Python's handlers
# never run.
HANGING = """
    import ctypes, os, signal, threading, time
    from pathlib import Path
    from configs import logs
    from tasks import shutdown

    logs.configure("test", "test")
    shutdown.FORCE_AFTER_SECONDS = 0.3
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
    shutdown.StopSignals(stopping, lambda: print("children ended", flush=True)).watch()
    threading.Thread(target=lambda: (stopping.wait(), print("stopping", flush=True))).start()
    mutex = ctypes.create_string_buffer(64)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex)

    def tell():
        waits_for = Path(f"/proc/self/task/{os.getpid()}/syscall")
        while hex(ctypes.addressof(mutex)) not in waits_for.read_text():
            time.sleep(0.01)
        print("hanging", flush=True)

    threading.Thread(target=tell).start()
    lock(mutex)
"""


@contextmanager
def script(text: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_that_can_handle_no_signal_ends_all_the_same() -> None:
    with script(HANGING) as process:
        assert line(process) == "hanging"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == shutdown.FORCED
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read().split("\n")[:2] == ["stopping", "children ended"]
        assert "event=ended_by_force" in process.stderr.read()


def test_a_signal_that_came_before_the_watch_is_obeyed_in_time_too() -> None:
    text = """
        import threading, time
        from tasks import shutdown

        shutdown.FORCE_AFTER_SECONDS = 0.3
        stopping = threading.Event()
        signals = shutdown.StopSignals(stopping, lambda: print("children ended", flush=True))
        signals.watch()
        signals.stop()
        print(stopping.is_set(), flush=True)
        time.sleep(600)
    """
    with script(text) as process:
        assert process.communicate(timeout=60)[0].split("\n")[:2] == ["True", "children ended"]
        assert process.returncode == shutdown.FORCED


def test_dramatiq_sees_the_first_signal_only() -> None:
    text = """
        import signal, threading
        from tasks import shutdown

        signal.signal(signal.SIGTERM, lambda number, _frame: print(number, flush=True))
        signal.signal(signal.SIGHUP, lambda number, _frame: print(number, flush=True))
        stopping = threading.Event()
        shutdown.StopSignals(stopping, lambda: None).watch()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        print(stopping.wait(10))
    """
    with script(text) as process:
        assert process.communicate()[0].split() == ["15", "True"]


# ------------------------------------------------------------------------------- the whole worker


@pytest.fixture
def network(stack: Stack) -> Iterator[PostgresProxy]:
    with postgres_proxy(stack.dsn) as proxy:
        yield proxy


def ends_in_time(program: Program, number: signal.Signals = signal.SIGTERM) -> int:
    everything = program.processes()
    program.process.send_signal(number)
    code = program.exit_code(PROMISED_SECONDS)
    gone(everything)
    return code


def test_a_booting_worker_whose_first_statements_are_swallowed_waits_and_says_so(
    stack: Stack, network: PostgresProxy
) -> None:
    network.swallow_first()
    program = stack.worker(STRATEGY_PG_DSN=network.dsn)
    program.logged("event=waiting_for_postgres")
    network.heal()
    program.logged("event=ready")
    assert "Traceback" not in program.text()
    program.kill()


def test_a_booting_worker_waits_when_postgres_stops_before_the_schema_is_checked(
    stack: Stack, network: PostgresProxy
) -> None:
    network.drop_answer_of(b"BEGIN")
    program = stack.worker(STRATEGY_PG_DSN=network.dsn)
    assert network.dropped.wait(60)
    network.refuse()
    program.logged("event=waiting_for_postgres")
    network.heal()
    program.logged("event=ready")
    assert "boot_failed" not in program.text()
    assert "Traceback" not in program.text()
    program.kill()


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_worker_that_waits_for_a_silent_postgres_ends_in_time(
    stack: Stack, network: PostgresProxy, *, whole_group: bool
) -> None:
    network.swallow_first()
    program = stack.worker(STRATEGY_PG_DSN=network.dsn)
    program.logged("event=waiting_for_postgres")
    if whole_group:
        program.signal_group(signal.SIGTERM)
        program.signal_group(signal.SIGTERM)
    assert ends_in_time(program) == 0


def test_sigterm_before_the_first_answer_of_postgres_ends_a_worker_in_time(
    stack: Stack, network: PostgresProxy
) -> None:
    network.blackhole()
    program = stack.worker(STRATEGY_PG_DSN=network.dsn)
    wait_for(network.links, "a worker that connects")
    assert ends_in_time(program) == 0


def test_a_worker_whose_master_cannot_start_again_refuses_sighup_and_goes_on(
    stack: Stack, tmp_path: Path
) -> None:
    # Somebody else's python comes first on PATH, as it does where no environment is activated.
    (tmp_path / "python").symlink_to(shutil.which("true") or "/bin/true")
    program = stack.worker(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program.logged("event=ready")

    program.process.send_signal(signal.SIGHUP)

    program.logged("event=hangup_refused")
    program.process.send_signal(signal.SIGHUP)
    assert ends_in_time(program) == 0
    assert program.text().count("event=hangup_refused") == 1
    assert "No module named" not in program.text()


def test_sighup_starts_a_worker_again_with_what_is_on_disk_now(stack: Stack) -> None:
    ours = Path(sys.executable).parent
    program = stack.worker(PATH=f"{ours}{os.pathsep}{os.environ['PATH']}")
    program.logged("event=ready")

    program.process.send_signal(signal.SIGHUP)

    wait_for(lambda: program.text().count("event=ready") == 2, "the worker to start again", 60)
    assert ends_in_time(program) == 0
