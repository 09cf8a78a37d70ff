"""The fork server and the children it forks: what they say, and how they end."""

import json
import os
import re
import resource
import signal
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from configs import settings
from configs.environment import CandlesFolder
from engine.request import Limits, complete, read_defaults
from storage.records import FailureCode
from tasks import compute, isolation
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Failed,
    Finished,
    Progress,
    Snapshot,
    SnapshotWanted,
    StageAFinished,
    StageBFinished,
    Stop,
    Stopped,
)
from tasks.process import Child, ChildDied, ChildEnded, ForkServer
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import gone, wait_for

Message = TypeVar("Message")
PLENTY = 8 * 2**30
MIB = 2**20
HUGE = 2**29


def assignment(
    candles: CandlesFolder, document: dict[str, Any], memory_bytes: int = PLENTY
) -> Assignment:
    loaded = settings.load(None, {"ROEHUB_ENV": "test"})
    unlimited = Limits(max_variants_per_compute=2**40, max_compute_bytes_total=2**50)
    request = complete(document, read_defaults(*loaded.request_defaults()), unlimited)
    return Assignment(
        request=request,
        candle_source=candles,
        candle_retry_seconds=(),
        threads=1,
        memory_bytes=memory_bytes,
    )


def heard(child: Child) -> Any:
    message = child.receive(60)
    assert message is not None, "the child is silent"
    return message


def expect(child: Child, kind: type[Message]) -> Message:
    """Skip progress until something else is said."""
    while isinstance(message := heard(child), Progress):
        pass
    assert isinstance(message, kind), message
    return message


def listen_to_the_end(child: Child) -> None:
    while True:
        heard(child)


def test_a_child_tells_the_whole_story_in_order(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, small_sweep()))
    assert expect(child, CandlesLoaded).preloaded
    child.send(Begin())
    best = expect(child, StageAFinished)
    assert (best.total, best.risk_total) == (1560, 6)
    assert expect(child, StageBFinished).reports == 5
    assert len(json.loads(expect(child, Finished).document)) == 5
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    assert child.end() == 0


def test_a_shortlist_spares_stage_a(fork_server: ForkServer, candles: CandlesFolder) -> None:
    first = fork_server.fork(assignment(candles, small_sweep()))
    expect(first, CandlesLoaded)
    first.send(Begin())
    shortlist = expect(first, StageAFinished).indexes
    expect(first, StageBFinished)
    document = expect(first, Finished).document
    first.end()

    second = fork_server.fork(assignment(candles, small_sweep()))
    expect(second, CandlesLoaded)
    second.send(Begin(shortlist))
    expect(second, StageBFinished)
    assert expect(second, Finished).document == document
    second.end()


def test_a_child_obeys_at_the_next_batch_boundary(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    expect(child, CandlesLoaded)
    child.send(Begin())
    assert isinstance(heard(child), Progress)
    child.send(Stop())
    while not isinstance(heard(child), Stopped):
        pass
    assert child.exit_code(10) == 0
    child.end()


def test_a_snapshot_is_sent_when_asked_for_and_only_when_it_is_new(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    expect(child, CandlesLoaded)
    child.send(Begin())
    expect(child, StageAFinished)
    child.send(SnapshotWanted())
    document = expect(child, Snapshot).document
    assert document is not None
    rows = json.loads(document)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert not any("report_table_md" in row or "trades_json" in row for row in rows)
    child.end()


def test_a_killed_child_is_heard_of_with_its_signal(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    child.kill()
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    assert child.end() == -signal.SIGKILL
    child.send(Stop())  # nobody is there to mind


def test_stop_signals_do_not_reach_a_child(fork_server: ForkServer, candles: CandlesFolder) -> None:
    child = fork_server.fork(assignment(candles, small_sweep()))
    expect(child, CandlesLoaded)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        psutil.Process(child.pid).send_signal(number)
    child.send(Begin())
    expect(child, StageAFinished)
    child.end()


def test_a_new_server_takes_the_place_of_a_killed_one_and_its_children(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    process = psutil.Process(child.pid)
    server = process.parent()
    assert server is not None

    server.kill()

    gone([process])
    wait_for(lambda: fork_server.died, "the end of the server to be noticed")
    child.end()
    fork_server.wait()
    assert not fork_server.died
    after = fork_server.fork(assignment(candles, small_sweep()))
    assert expect(after, CandlesLoaded).preloaded
    after.end()


# ------------------------------------------------------------------------- what cannot be read


def sends_garbage(pipe: Any, _assignment: Assignment) -> None:
    pipe.send_bytes(b"no message")
    time.sleep(600)


def dies_in_the_middle_of_a_message(pipe: Any, _assignment: Assignment) -> None:
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"the beginning of it")
    os.kill(os.getpid(), signal.SIGKILL)


def hangs_in_the_middle_of_a_message(pipe: Any, _assignment: Assignment) -> None:
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"the beginning of it")
    time.sleep(600)


def sends_half_a_gigabyte(pipe: Any, _assignment: Assignment) -> None:
    pipe.send_bytes(bytes(HUGE))
    time.sleep(600)


def cannot_make_its_last_message(pipe: Any, assignment: Assignment) -> None:
    """Under the memory limit there is room for the text, but not for a second copy of it."""

    def only_the_end(parent: Any, assignment: Assignment, **_: Any) -> None:
        isolation.limit_memory(assignment.memory_bytes)
        parent.send(Finished("x" * (assignment.memory_bytes * 6 // 10)))

    compute._compute = only_the_end
    compute.main(pipe, assignment)


@pytest.fixture
def room_of_64_mib() -> Iterator[None]:
    """This process may take 64 MiB more and no byte beyond."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    (kilobytes,) = re.findall(
        r"^VmData:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE
    )
    resource.setrlimit(resource.RLIMIT_DATA, (int(kilobytes) * 1024 + 64 * 2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def test_a_message_that_cannot_be_decoded_is_a_failure_at_once(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(sends_garbage, assignment(candles, small_sweep()))
    failed = heard(child)
    assert isinstance(failed, Failed)
    assert failed.code is FailureCode.UNEXPECTED_ERROR
    assert failed.details == {"exception": "UnpicklingError"}
    assert child.end() == -signal.SIGKILL


def test_a_message_that_has_no_room_in_memory_is_a_failure_at_once(
    fork_server: ForkServer, candles: CandlesFolder, room_of_64_mib: None
) -> None:
    child = Child(sends_half_a_gigabyte, assignment(candles, small_sweep()))
    failed = heard(child)
    assert isinstance(failed, Failed)
    assert failed.code is FailureCode.MEMORY_LIMIT_EXCEEDED
    child.end()


def test_a_last_message_that_has_no_room_in_the_childs_memory_is_a_failure_that_is_told(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(cannot_make_its_last_message, assignment(candles, small_sweep(), 2**30))
    failed = heard(child)
    assert isinstance(failed, Failed)
    assert failed.code is FailureCode.MEMORY_LIMIT_EXCEEDED
    assert "MemoryError" in (failed.trace or "")
    assert child.exit_code(10) == 0
    child.end()


def test_half_a_message_is_the_end_of_a_child_that_died(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(dies_in_the_middle_of_a_message, assignment(candles, small_sweep()))
    with pytest.raises(ChildEnded):
        heard(child)
    assert child.end() == -signal.SIGKILL


def test_a_child_that_hangs_in_a_message_holds_up_nobody(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(hangs_in_the_middle_of_a_message, assignment(candles, small_sweep()))
    assert child.receive(0.5) is None
    assert child.end() == -signal.SIGKILL
    assert not any(thread.name == "child-reader" for thread in threading.enumerate())


def sends_three(pipe: Any, _assignment: Assignment) -> None:
    for number in range(3):
        pipe.send(Finished(str(number) * MIB))
    pipe.send(Stopped())
    time.sleep(600)


def test_no_message_is_read_before_the_owner_asks_for_it(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(sends_three, assignment(candles, small_sweep()))
    assert heard(child) == Finished("0" * MIB)

    # A megabyte does not fit into the socket: the child waits in the middle of the second message.
    process = psutil.Process(child.pid)
    wait_for(lambda: process.status() == psutil.STATUS_SLEEPING, "the child to wait")
    assert child._messages.empty()

    assert [heard(child) for _ in range(2)] == [Finished("1" * MIB), Finished("2" * MIB)]
    assert heard(child) == Stopped()
    child.end()


# ----------------------------------------------------------------------------- what a death means


def dies(pipe: Any, _assignment: Assignment) -> None:
    pipe.recv()


def death_of(child: Child, number: signal.Signals) -> Failed:
    """What is made of a child that `number` ended; a ChildDied is raised."""
    wait_for(lambda: child.receive(0.1) is None and peak_is_known(child), "a look at its memory")
    psutil.Process(child.pid).send_signal(number)
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    child.end()
    return child.failure()


def peak_is_known(child: Child) -> bool:
    return child._memory._peak > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_death_without_a_lack_of_memory_is_worth_another_try(
    fork_server: ForkServer, candles: CandlesFolder, number: signal.Signals
) -> None:
    child = Child(dies, assignment(candles, small_sweep()))
    with pytest.raises(ChildDied) as died:
        death_of(child, number)
    assert died.value.failure.code is FailureCode.UNEXPECTED_ERROR
    assert died.value.failure.details == {"signal": number.name}


def test_a_sigkill_near_the_memory_limit_is_one_for_memory(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(dies, assignment(candles, small_sweep(), memory_bytes=MIB))
    assert death_of(child, signal.SIGKILL).code is FailureCode.MEMORY_LIMIT_EXCEEDED


def test_another_signal_near_the_memory_limit_is_not(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(dies, assignment(candles, small_sweep(), memory_bytes=MIB))
    with pytest.raises(ChildDied):
        death_of(child, signal.SIGSEGV)


def test_the_end_of_the_fork_server_is_no_end_of_the_job(candles: CandlesFolder) -> None:
    server = ForkServer()
    server.start()
    server.wait()
    child = server.fork(assignment(candles, sweep()))
    server_process = psutil.Process(child.pid).parent()
    assert server_process is not None
    server_process.kill()
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    child.end()
    with pytest.raises(ChildDied) as died:
        child.failure()
    assert died.value.failure.details == {"signal": "SIGKILL", "process": "fork server"}

    wait_for(lambda: not server.loaded, "the end of the server to be noticed")
    with pytest.raises(ChildDied):
        server.fork(assignment(candles, sweep()))
    server.stop()
