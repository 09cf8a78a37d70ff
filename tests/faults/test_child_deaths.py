"""Whatever kills a computing child or its fork server: the same owner computes once more."""

import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from storage.records import EventName, FailureCode, Job, Stage, State
from tests.faults.conftest import small_sweep, sweep, sweep_through
from tests.faults.harness import Stack, computing_child, gone, owner_pid, wait_for

Rows = list[tuple[str, ...]]

MIB = 2**20


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("stage", list(Stage))
def test_a_killed_child_is_replaced_and_changes_nothing_in_the_result(
    stack: Stack,
    undisturbed_through: dict[Stage, Rows],
    stage: Stage,
    number: signal.Signals,
) -> None:
    stack.workers(1)
    job, child = stack.caught(sweep_through(stage), stage)
    job_id, worker_pid = job.job_id, owner_pid(job)

    child.send_signal(number)
    with suppress(psutil.NoSuchProcess):
        child.resume()  # who stands still dies of SIGKILL alone

    ended = stack.ends(job_id)
    gone([child])
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    resumed = EventName.RESUMED_FROM_SHORTLIST in stack.events(job_id)
    assert resumed is (stage is not Stage.STAGE_A)
    assert stack.stored_bytes(job_id) == undisturbed_through[stage]
    assert psutil.pid_exists(worker_pid)


def test_a_child_that_is_killed_twice_fails_its_job_and_nothing_else(stack: Stack) -> None:
    stack.workers(1)
    job_id = stack.submit(sweep_through(Stage.STAGE_A))
    worker_pid = owner_pid(stack.reaches(job_id, Stage.STAGE_A))
    first = computing_child(worker_pid)
    first.kill()
    gone([first])
    computing_child(worker_pid).kill()

    ended = stack.ends(job_id)

    assert failure(ended)["code"] == FailureCode.UNEXPECTED_ERROR
    assert failure(ended)["details"] == {"signal": "SIGKILL"}
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED
    assert psutil.pid_exists(worker_pid)


def test_a_fork_server_that_is_killed_under_a_job_is_replaced_and_the_job_succeeds(
    stack: Stack, undisturbed_through: dict[Stage, Rows]
) -> None:
    (worker,) = stack.workers(1)
    job_id = stack.submit(sweep_through(Stage.STAGE_A))
    child = computing_child(owner_pid(stack.reaches(job_id, Stage.STAGE_A)))
    server = child.parent()
    assert server is not None

    server.kill()

    gone([child, server])
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert stack.stored_bytes(job_id) == undisturbed_through[Stage.STAGE_A]
    assert f"event=computing_once_more job_id={job_id}" in worker.text()
    assert "engine_not_preloaded" not in worker.text()


def test_a_fork_server_that_refuses_before_it_has_ended_costs_no_attempt(
    stack: Stack, undisturbed_through: dict[Stage, Rows]
) -> None:
    """As in the moment in which its sockets are closed and its children killed, but it is there."""
    (worker,) = stack.workers(1)
    job_id = stack.submit(sweep_through(Stage.STAGE_A))
    child = computing_child(owner_pid(stack.reaches(job_id, Stage.STAGE_A)))
    server = child.parent()
    assert server is not None
    for socket in server.net_connections("unix"):
        if socket.laddr:
            Path(socket.laddr).unlink()
    child.kill()
    worker.logged(f"event=computing_once_more job_id={job_id}")
    server.kill()
    ended = stack.ends(job_id)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert stack.stored_bytes(job_id) == undisturbed_through[Stage.STAGE_A]


def test_a_fork_server_that_does_not_answer_is_replaced_and_costs_no_attempt(stack: Stack) -> None:
    (worker,) = stack.workers(1)
    server = wait_for(lambda: fork_server_among(worker.processes()), "the fork server")
    server.suspend()

    ended = stack.ends(stack.submit(small_sweep()))

    gone([server])
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)


def test_a_job_is_released_while_its_fork_server_is_being_replaced(stack: Stack) -> None:
    """The new server is frozen before it holds the engine: the job waits for it, SIGTERM comes."""
    job_id = wait_for(partial(released_while_a_server_loads, stack), "a server met while it loads")
    assert EventName.LEASE_RELEASED in stack.events(job_id)
    assert stack.job(job_id).crash_count == 0


def released_while_a_server_loads(stack: Stack) -> UUID | None:
    """Return the released job; None where the server had loaded before it could be frozen."""
    (worker,) = stack.workers(1)
    ready_before = worker.text().count("event=ready")
    job_id = stack.submit(sweep_through(Stage.STAGE_A))
    worker_pid = owner_pid(stack.reaches(job_id, Stage.STAGE_A))
    server = computing_child(worker_pid).parent()
    assert server is not None
    server.kill()
    wait_for(lambda: not server.is_running(), "the old server to be reaped")
    worker_process = psutil.Process(worker_pid)
    successor = wait_for(
        lambda: fork_server_among(worker_process.children()), "the next server", every=0.001
    )
    successor.suspend()
    worker.logged(f"event=computing_once_more job_id={job_id}")
    if worker.text().count("event=ready") > ready_before:
        successor.resume()
        stack.ends(job_id)
        return None
    everything = worker.processes()

    worker.process.terminate()

    assert worker.exit_code(30) == 0
    gone(everything)
    return job_id


def test_a_child_that_the_kernel_kills_for_memory_fails_its_job(stack: Stack) -> None:
    hungry = sweep(windows=3000)  # 190,000 bars: more than 200 MiB of signals
    hungry["template"]["timeframe"] = "1m"
    (worker,) = stack.workers(1)
    job_id = stack.submit(hungry)
    worker_pid = owner_pid(stack.reaches(job_id, Stage.STAGE_A))
    child = computing_child(worker_pid)
    with small_cgroup(worker_pid, child.pid):
        ended = stack.ends(job_id)
    assert worker.alive()
    assert f"event=computing_once_more job_id={job_id}" not in worker.text()

    assert failure(ended)["code"] == FailureCode.MEMORY_LIMIT_EXCEEDED
    assert ended.attempt == 1


def test_nothing_stays_in_tmpdir_after_the_next_start(stack: Stack) -> None:
    # Short: the path of a socket has little room.
    with tempfile.TemporaryDirectory(prefix="bt-", dir="/tmp") as folder:
        stack.workers(0)
        first = stack.worker(TMPDIR=folder)
        first.logged("event=ready")
        job_id = stack.submit(sweep())
        stack.claimed(job_id)
        everything = first.processes()
        for process in everything:
            process.kill()
        gone(everything)
        first.process.wait()
        left = names_in(folder)
        assert left

        second = stack.worker(TMPDIR=folder)
        second.logged("event=ready")
        assert not left & names_in(folder)
        stack.ends(job_id)
        assert not [name for name in names_in(folder) if name.startswith(("pymp-", "clickhouse"))]
        second.process.terminate()
        assert second.exit_code() == 0
        assert names_in(folder) == set()


def failure(job: Job) -> dict[str, object]:
    assert job.state is State.FAILED
    assert job.last_error_json is not None
    details: dict[str, object] = job.last_error_json
    return details


def names_in(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def fork_server_among(processes: Iterable[psutil.Process]) -> psutil.Process | None:
    for process in processes:
        with suppress(psutil.Error):
            if "multiprocessing.forkserver" in " ".join(process.cmdline()):
                return process
    return None


@contextmanager
def small_cgroup(worker_pid: int, child_pid: int) -> Iterator[None]:
    """Move a worker process and its child into a cgroup that has no room for the child."""
    here = own_memory_cgroup()
    folder = here / f"test-{uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no right to make a cgroup")
    try:
        for pid in (worker_pid, child_pid):
            (folder / "cgroup.procs").write_text(str(pid))
        # Pages stay charged to the old cgroup; what they touch from now on is ours. The worker
        # process needs very little of it.
        limit(folder, 32 * MIB)
        yield
    finally:
        limit(folder, None)
        for left in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (here / "cgroup.procs").write_text(left)
        with suppress(OSError):
            folder.rmdir()


def own_memory_cgroup() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/")
    pytest.skip("the memory controller of cgroups v1 is not there")


def limit(folder: Path, limit_bytes: int | None) -> None:
    (folder / "memory.limit_in_bytes").write_text(str(-1 if limit_bytes is None else limit_bytes))
