"""A worker that helps with a job of another one, both in this process."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from configs.environment import CandlesFolder
from engine import synthetic
from storage import jobs, results, shards, switches
from storage.candles import Bars, open_store
from storage.plan_records import ShardState
from storage.records import Client, Stage, State
from tasks import compute, helper, identity, runner, serving, shard_writer
from tasks.messages import Assignment
from tasks.worker import Worker
from tests.faults.conftest import START_MS
from tests.faults.harness import Stack, wait_for
from tests.network import PostgresProxy
from tests.tasks.answering import answering, session_to
from tests.tasks.sharing import (
    Slow,
    Witness,
    another,
    computed_alone,
    shared_in,
    sharing,
    with_children,
)

Rows = list[tuple[str, ...]]


@pytest.fixture
def other(stack: Stack, worker: Worker) -> Iterator[Worker]:
    with another(stack, worker, stopping=threading.Event()) as other:
        yield other


@contextmanager
def helping(helper_: Worker, job_id: UUID) -> Iterator[None]:
    """Have a worker help with a job whenever there is something to be had."""
    ended = threading.Event()

    def help_on() -> None:
        while not ended.wait(0.01):
            helper.run(job_id, helper_)

    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(help_on)
        try:
            yield
        finally:
            ended.set()
            answered.result(60)


def value(counter: Any) -> float:
    return float(counter._value.get())


@pytest.mark.parametrize(
    ("stage", "shard_seconds"),
    [
        (Stage.STAGE_B, 0.002),
        (Stage.STAGE_B, 0.005),
        (Stage.STAGE_B, 0.01),
        (Stage.VALIDATION, 0.005),
    ],
)
def test_two_workers_find_what_one_finds(
    stack: Stack,
    worker: Worker,
    other: Worker,
    witness: Witness,
    stage: Stage,
    shard_seconds: float,
) -> None:
    alone = computed_alone(stack, worker, stage)
    job_id = stack.submit(shared_in(stage))
    with (
        helping(other, job_id),
        answering(sharing(worker, shard_seconds), runner.run, job_id) as answered,
    ):
        answered.result(60)
    assert stack.job(job_id).state is State.SUCCEEDED
    assert stack.stored_bytes(job_id) == alone
    assert witness.none_twice(job_id, stage)
    assert value(other.metrics.help_seconds) > 0
    assert value(worker.metrics.help_seconds) == 0
    assert value(other.metrics.help_declined) == value(other.metrics.stale_messages) == 0


# ------------------------------------------------------------------------- one call at a time


class Shared:
    """A job whose owner waits before its first shard of a stage until it may go on."""

    def __init__(
        self, stack: Stack, job_id: UUID, stage: Stage, slow: Slow, answered: Future[None]
    ) -> None:
        self.stack = stack
        self.stage = stage
        self.job_id = job_id
        self._slow = slow
        self._answered = answered

    def states(self) -> list[ShardState]:
        lines = shards.lines(self.job_id).of(self.stack.connection)
        return [line.state for line in lines if line.stage is self.stage]

    def goes_on(self) -> None:
        self._slow.open()

    def ends(self) -> State:
        self.goes_on()
        self._answered.result(60)
        return self.stack.job(self.job_id).state


@pytest.fixture
def shared(
    request: pytest.FixtureRequest, stack: Stack, worker: Worker, tmp_path: Path
) -> Iterator[Shared]:
    """A job in the stage that the test is parametrized with, or in stage A."""
    stage = getattr(request, "param", Stage.STAGE_A)
    slow = Slow(tmp_path, stage)
    job_id = stack.submit(shared_in(stage))
    owner = with_children(sharing(worker), slow.target, slow.target)
    with answering(owner, runner.run, job_id) as answered:
        shared = Shared(stack, job_id, stage, slow, answered)
        wait_for(lambda: ShardState.RUNNING in shared.states(), "a shard of the owner", every=0.05)
        yield shared
        slow.open()


OPEN, RUNNING, DONE, FAILED = ShardState


@pytest.mark.parametrize("shared", [Stage.STAGE_A, Stage.STAGE_B], indirect=True)
def test_a_helper_computes_what_is_to_be_had_and_ends(
    shared: Shared,
    other: Worker,
    alone: Rows,
    witness: Witness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(helper, "BEAT_SECONDS", 0.0)  # so that each shard has beats of its own
    helper.run(shared.job_id, other)
    first, *others = shared.states()
    assert (first, set(others)) == (RUNNING, {DONE})
    assert value(other.metrics.variants.labels(shared.stage)) > 0
    assert shared.ends() is State.SUCCEEDED
    assert shared.stack.stored_bytes(shared.job_id) == alone
    stored = results.shortlist(shared.stack.connection, shared.job_id)
    assert stored is not None
    assert max(stored.shortlist.twins or ()) > 1
    assert len(witness.owners(shared.job_id)) == 2


@pytest.mark.parametrize("shared", [Stage.VALIDATION], indirect=True)
def test_a_helper_searches_draws_and_what_its_child_died_of_is_left_to_others(
    stack: Stack, worker: Worker, shared: Shared, other: Worker, witness: Witness
) -> None:
    helper.run(shared.job_id, with_children(other, dies))
    assert shared.states()[:3] == [RUNNING, RUNNING, OPEN]
    with another(stack, other, declined=deque()) as third:
        helper.run(shared.job_id, third)
    assert third.metrics.variants._metrics.keys() == {("stage_a",), ("stage_b",)}
    assert shared.states()[:2] == [RUNNING, RUNNING]
    assert set(shared.states()[2:]) == {DONE}
    runs_out(shared, 1)
    assert shared.ends() is State.SUCCEEDED
    assert stack.stored_bytes(shared.job_id) == computed_alone(stack, worker, shared.stage)
    assert witness.none_twice(shared.job_id, shared.stage)


def test_a_helper_yields_after_its_shard_when_a_job_waits(shared: Shared, other: Worker) -> None:
    helper.run(shared.job_id, replace(other, job_waits=lambda: True))
    assert shared.states().count(DONE) == 1
    assert shared.states().count(RUNNING) == 1


def test_a_helper_begins_nothing_while_the_queue_is_paused(shared: Shared, other: Worker) -> None:
    conn = shared.stack.connection
    switches.pause(conn, by="root@host", reason=None)
    try:
        helper.run(shared.job_id, other)
        assert DONE not in shared.states()
    finally:
        switches.resume(conn, by="root@host")


def test_a_helper_with_other_candles_declines_and_remembers_it(
    shared: Shared, other: Worker, tmp_path: Path
) -> None:
    with open_store(CandlesFolder(tmp_path)) as store:
        minutes = Bars.of(synthetic.minutes(seed=8, start_ms=START_MS, count=20 * 1440))
        store.append(1, "BTCUSDT", [minutes])
    forks = CountsForks(other)
    stranger = replace(other, candle_source=CandlesFolder(tmp_path), fork_server=forks)
    for _ in range(3):
        helper.run(shared.job_id, stranger)
    assert DONE not in shared.states()
    assert value(other.metrics.help_declined) == forks.number == 1
    assert value(other.metrics.stale_messages) == 0


class CountsForks:
    """The fork server of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._server = worker.fork_server
        self.number = 0

    def fork(self, assignment: Assignment) -> Any:
        self.number += 1
        return self._server.fork(assignment)


def test_a_helper_of_another_engine_does_not_help(
    shared: Shared, other: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = SimpleNamespace(ENGINE="another", new_owner=identity.new_owner)
    monkeypatch.setattr(helper, "identity", stranger)
    helper.run(shared.job_id, other)
    assert DONE not in shared.states()


def test_nobody_helps_with_a_job_that_is_not_there(other: Worker) -> None:
    helper.run(uuid4(), other)
    assert value(other.metrics.help_seconds) == 0


def fails(pipe: Any, assignment: Assignment) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError

    serving.run = fail
    compute.main(pipe, assignment)


def dies(pipe: Any, assignment: Assignment) -> None:
    def die(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGSEGV)

    serving.run = die
    compute.main(pipe, assignment)


def runs_out(shared: Shared, shard: int) -> None:
    """Have the time of a shard's owner be over.

    And have been over for a while: a beat that began just before this, and waited for it, would
    still be in time.
    """
    shared.stack.connection.execute(
        "UPDATE backtest_job_shards SET lease_expires_at = now() - interval '1 minute'"
        " WHERE job_id = %s AND stage = %s AND shard = %s",
        (shared.job_id, shared.stage, shard),
    )


def crashes(shared: Shared) -> int:
    """How many owners of the job's shards have vanished."""
    row = shared.stack.connection.execute(
        "SELECT sum(crash_count)::int FROM backtest_job_shards WHERE job_id = %s", (shared.job_id,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_what_fails_at_a_helper_is_left_to_the_owner(
    shared: Shared, other: Worker, alone: Rows
) -> None:
    for _ in range(2):
        helper.run(shared.job_id, with_children(other, fails))
    assert shared.states().count(FAILED) == 1
    row = shared.stack.connection.execute(
        "SELECT error ->> 'code' FROM backtest_job_shards WHERE state = 'failed'"
    ).fetchone()
    assert row == ("memory_limit_exceeded",)
    assert value(other.metrics.help_declined) == 1
    assert shared.ends() is State.SUCCEEDED
    assert shared.stack.stored_bytes(shared.job_id) == alone


def test_a_shard_that_a_helper_s_child_died_of_counts_a_crash(
    shared: Shared, other: Worker, alone: Rows
) -> None:
    helper.run(shared.job_id, with_children(other, dies))
    assert shared.states()[:2] == [RUNNING, RUNNING]  # until the lease runs out
    runs_out(shared, 1)
    with another(shared.stack, other) as third:
        helper.run(shared.job_id, replace(third, declined=deque()))
    assert crashes(shared) == 1
    assert shared.ends() is State.SUCCEEDED
    assert shared.stack.stored_bytes(shared.job_id) == alone


# ------------------------------------------------------------------------- in the middle of a shard


@contextmanager
def in_a_shard(shared: Shared, other: Worker, tmp_path: Path) -> Iterator[Future[None]]:
    """Have a helper that computes a shard until the test lets it end."""
    slow = Slow(tmp_path / "other")
    slow.gate.parent.mkdir()
    with answering(with_children(other, slow.target), helper.run, shared.job_id) as answered:
        wait_for(lambda: shared.states().count(RUNNING) == 2, "a shard of the helper", every=0.05)
        yield answered
        slow.open()


def test_a_helper_that_is_told_to_stop_gives_its_shard_back(
    shared: Shared, other: Worker, tmp_path: Path
) -> None:
    with in_a_shard(shared, other, tmp_path) as answered:
        other.stopping.set()
        answered.result(10)
        assert shared.states()[:2] == [RUNNING, OPEN]
    assert crashes(shared) == 0


def test_a_helper_ends_when_the_job_is_cancelled(
    shared: Shared, other: Worker, tmp_path: Path
) -> None:
    with in_a_shard(shared, other, tmp_path) as answered:
        jobs.cancel(shared.stack.connection, shared.job_id, client=Client.CLI)
        answered.result(10)
    assert shared.ends() is State.CANCELLED


def test_a_helper_whose_shard_was_taken_over_ends_its_child_and_writes_nothing(
    shared: Shared, other: Worker, alone: Rows, witness: Witness, tmp_path: Path
) -> None:
    with in_a_shard(shared, other, tmp_path) as answered:
        runs_out(shared, 1)
        answered.result(10)
        assert shared.states()[1] is RUNNING  # expired
    assert shared.ends() is State.SUCCEEDED
    assert shared.stack.stored_bytes(shared.job_id) == alone
    assert len(witness.owners(shared.job_id)) == 1


def test_a_helper_that_cannot_renew_its_shard_gives_it_up_by_the_clock(
    shared: Shared,
    other: Worker,
    tmp_path: Path,
    network: PostgresProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_writer, "SHARD_LEASE_SECONDS", 1.5)
    cut_off = replace(other, session=session_to(network.dsn))
    with in_a_shard(shared, cut_off, tmp_path) as answered:
        network.refuse()
        network.cut()
        begin = time.monotonic()
        answered.result(20)
        assert time.monotonic() - begin < 10
    runs_out(shared, 1)
    assert shared.ends() is State.SUCCEEDED


def test_what_a_helper_computes_outlives_the_owner(
    stack: Stack,
    shared: Shared,
    worker: Worker,
    other: Worker,
    alone: Rows,
    tmp_path: Path,
    witness: Witness,
) -> None:
    slow = Slow(tmp_path / "other")
    slow.gate.parent.mkdir()
    with answering(with_children(other, slow.target), helper.run, shared.job_id) as answered:
        wait_for(lambda: shared.states().count(RUNNING) == 2, "a shard of the helper", every=0.05)
        worker.stopping.set()
        wait_for(lambda: stack.job(shared.job_id).locked_by is None, "the release", every=0.05)
        time.sleep(1.5 * helper.BEAT_SECONDS)
        slow.open()
        answered.result(20)
    assert shared.states()[:3] == [OPEN, DONE, OPEN]
    worker.stopping.clear()
    runner.run(shared.job_id, sharing(worker))
    assert stack.job(shared.job_id).state is State.SUCCEEDED
    assert stack.stored_bytes(shared.job_id) == alone
    assert witness.none_twice(shared.job_id)


@pytest.mark.parametrize("shared", [Stage.VALIDATION], indirect=True)
def test_draws_are_searched_while_the_next_owner_repeats_what_comes_before_them(
    stack: Stack, shared: Shared, worker: Worker, other: Worker, tmp_path: Path, witness: Witness
) -> None:
    worker.stopping.set()
    wait_for(lambda: stack.job(shared.job_id).locked_by is None, "the release", every=0.05)
    worker.stopping.clear()
    slow = Slow(tmp_path / "next", Stage.STAGE_B)
    slow.gate.parent.mkdir()
    following = with_children(sharing(worker), slow.target)
    with answering(following, runner.run, shared.job_id) as answered:
        wait_for(
            lambda: stack.in_stage(shared.job_id, Stage.STAGE_B), "stage B once more", every=0.05
        )
        helper.run(shared.job_id, other)
        assert set(shared.states()) == {DONE}
        assert stack.job(shared.job_id).stage is Stage.STAGE_B
        slow.open()
        answered.result(20)
    worker.stopping.clear()
    assert stack.job(shared.job_id).state is State.SUCCEEDED
    assert stack.stored_bytes(shared.job_id) == computed_alone(stack, worker, shared.stage)
    assert witness.none_twice(shared.job_id, shared.stage)
