"""What becomes of a child's message that cannot be read, and of a child that says nothing more."""

import fcntl
import os
import re
import resource
import signal
import struct
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from configs.environment import CandlesFolder
from storage.records import FailureCode
from tasks import compute, isolation
from tasks.messages import Assignment, Begin, Failed, Finished, Stopped
from tasks.process import Child, ChildDied, ChildEnded, ForkServer
from tests.faults.conftest import small_sweep
from tests.faults.harness import wait_for
from tests.tasks.children import assignment, heard, listen_to_the_end

MIB = 2**20
HUGE = 2**29
HOARD: list[bytearray] = []


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


def has_used_up_its_memory(pipe: Any, assignment: Assignment) -> None:
    """Not even the words about it would find room."""

    def fill(_parent: Any, assignment: Assignment, **_: Any) -> None:
        isolation.limit_memory(assignment.memory_bytes)
        size = 2**24
        while size >= 64:
            try:
                HOARD.append(bytearray(size))
            except MemoryError:
                size //= 2
        raise MemoryError

    compute._compute = fill
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


def test_a_child_without_any_memory_left_still_says_so(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(has_used_up_its_memory, assignment(candles, small_sweep(), 2**29))
    failed = heard(child)
    assert isinstance(failed, Failed)
    assert failed.code is FailureCode.MEMORY_LIMIT_EXCEEDED
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


def hears_nothing(pipe: Any, _assignment: Assignment) -> None:
    time.sleep(600)


def test_a_child_that_hears_nothing_holds_up_nobody(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(hears_nothing, assignment(candles, small_sweep()))
    long = Begin(np.arange(MIB))  # more than a pipe holds
    sending = threading.Thread(target=child.send, args=(long,), daemon=True)
    sending.start()
    sending.join(10)
    said = not sending.is_alive()
    assert child.end() == -signal.SIGKILL
    assert said
    assert not any(thread.name.startswith("child-") for thread in threading.enumerate())


def sends_three(pipe: Any, _assignment: Assignment) -> None:
    for number in range(3):
        pipe.send(Finished(str(number) * MIB))
    pipe.send(Stopped())
    time.sleep(600)


def unread_bytes(child: Child) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(child._pipe.fileno(), termios.FIONREAD, b"\0" * 4))
    return count


def test_no_message_is_read_before_the_owner_asks_for_it(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = Child(sends_three, assignment(candles, small_sweep()))
    assert heard(child) == Finished("0" * MIB)

    # A megabyte does not fit into the socket: the child waits in the middle of the second message.
    seen: list[int] = []

    def nobody_reads() -> bool:
        seen.append(unread_bytes(child))
        return len(seen) >= 50 and len(set(seen[-50:])) == 1 and seen[-1] > 0

    wait_for(nobody_reads, "a second message that stays in the socket", 10)
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
