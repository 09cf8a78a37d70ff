"""A job that two workers share, while one of them is killed, paused, stopped, or comes later.

Whoever computes is met in the middle of a shard, by pausing the process that computes for it.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from configs.environment import CandlesFolder
from engine import synthetic
from storage import jobs, shards
from storage.candles import Bars, open_store
from storage.plan_records import ShardLine, ShardState
from storage.records import Client, EventName, Stage, State
from tests.faults.conftest import MINUTES, START_MS, sweep
from tests.faults.harness import Program, Stack, child_of, gone, owner_pid, wait_for
from tests.tasks.sharing import Witness

Rows = list[tuple[str, ...]]
Met = TypeVar("Met")

SHARD_SECONDS = 0.1
STAGES = [Stage.STAGE_A, Stage.STAGE_B, Stage.VALIDATION]


def document(stage: Stage) -> dict[str, Any]:
    """A request whose job is shared in a stage.

    Every part of its shortlist may have a place in the final list; of a validation, whose search is
    short, each draw is a shard.
    """
    if stage is not Stage.VALIDATION:
        return sweep(windows=16, top_k=60, tsl=60, preselect=300)
    validation = {"train_pct": 80, "draws": 8, "splits": 0, "walk_forward": None}
    return sweep(windows=4, top_k=5, tsl=12, preselect=100) | {"validation": validation}


@pytest.fixture(scope="module")
def alone(stack: Stack) -> dict[Stage, Rows]:
    """What is stored of the jobs when one worker computes them without shards."""
    stack.workers(1)
    search, validated = (
        stack.submit(document(stage)) for stage in (Stage.STAGE_A, Stage.VALIDATION)
    )
    for job in map(stack.ends, (search, validated)):
        assert job.state is State.SUCCEEDED, job.last_error_json
    both = dict.fromkeys(STAGES, stack.stored_bytes(search))
    return both | {Stage.VALIDATION: stack.stored_bytes(validated)}


@pytest.fixture(scope="module")
def witness(stack: Stack) -> Iterator[Witness]:
    witness = Witness(stack.connection)
    yield witness
    witness.close()


@dataclass
class Crew:
    """Workers that share jobs; who was hurt is replaced by the next test."""

    stack: Stack
    shard_seconds: float
    programs: list[Program] = field(default_factory=list)

    def are(self, count: int) -> list[Program]:
        """Have so many, and no other: those that are not wanted now stand still."""
        self.programs = [program for program in self.programs if program.alive()]
        for program in self.programs[count:]:
            program.signal_group(signal.SIGSTOP)
        for program in self.programs[:count]:
            program.signal_group(signal.SIGCONT)
        while len(self.programs) < count:
            self.joins()
        for program in self.programs[:count]:
            program.logged("event=ready")
        return self.programs[:count]

    def share(self, shard_seconds: float) -> None:
        """Have shards of another length from now on."""
        if shard_seconds != self.shard_seconds:
            self.end()
            self.shard_seconds = shard_seconds

    def end(self) -> None:
        """Have nobody any more."""
        for program in self.programs:
            program.kill()
        self.programs.clear()

    def joins(self, **environ: str) -> Program:
        """Have one more."""
        config = self.stack.configure("sharing.yaml", shard_seconds=self.shard_seconds)
        program = self.stack.worker(ROEHUB_BACKTEST_CONFIG=str(config), **environ)
        self.programs.append(program)
        return program


@pytest.fixture(scope="module")
def crew(stack: Stack, alone: dict[Stage, Rows]) -> Iterator[Crew]:
    stack.workers(0)
    crew = Crew(stack, SHARD_SECONDS)
    yield crew
    crew.end()


class Missed(Exception):
    """The stage was over, or nothing of it left, before anybody was met in it."""


class Work:
    """A job in a stage that is shared, and who computes what of it."""

    def __init__(self, stack: Stack, stage: Stage) -> None:
        self._stack = stack
        self.stage = stage
        self._begin()

    def _begin(self) -> None:
        self.job_id = self._stack.submit(document(self.stage))
        self._paused: list[psutil.Process] = []

    def lines(self) -> list[ShardLine]:
        found = shards.lines(self.job_id).of(self._stack.connection)
        return [line for line in found if line.stage is self.stage]

    def done(self) -> int:
        return sum(line.state is ShardState.DONE for line in self.lines())

    def at_work(self) -> dict[int, ShardLine]:
        """By the pid of the worker process."""
        running = [line for line in self.lines() if line.state is ShardState.RUNNING]
        return {pid_of(line.locked_by): line for line in running}

    def pause_owner(self) -> int:
        """Pause what computes for the owner, in a shard of the stage; returns the owner's pid."""
        return self._anew(lambda: self._met(self._is_owner))

    def pause_both(self) -> tuple[int, int]:
        """The same of the owner, and then of a helper."""
        return self._anew(
            lambda: (self._met(self._is_owner), self._met(lambda pid: not self._is_owner(pid)))
        )

    def _anew(self, meet: Callable[[], Met]) -> Met:
        """Have another job where this one was too fast."""
        while True:
            with suppress(Missed):
                return meet()
            self.end()
            self._begin()

    def _is_owner(self, pid: int) -> bool:
        return pid == pid_of(self._stack.job(self.job_id).locked_by)

    def end(self) -> None:
        """Let the job end, whatever was paused."""
        self.go_on()
        jobs.cancel(self._stack.connection, self.job_id, client=Client.CLI)
        self._stack.ends(self.job_id)

    def go_on(self) -> None:
        for child in self._paused:
            with suppress(psutil.NoSuchProcess):
                child.resume()
        self._paused.clear()

    def _met(self, wanted: Callable[[int], bool]) -> int:
        def there() -> int | None:
            for pid in filter(wanted, self.at_work()):
                child = child_of(pid)
                if child is not None and self._pauses(child, pid):
                    return pid
            left = [line for line in self.lines() if line.state is not ShardState.DONE]
            begun = self._stack.in_stage(self.job_id, self.stage) and self.lines()
            if self._stack.ended(self.job_id) or (begun and len(left) <= len(self._paused)):
                raise Missed
            return None

        return wait_for(there, f"a shard of {self.stage}", 60)

    def _pauses(self, child: psutil.Process, pid: int) -> bool:
        """Pause what computes for a worker; False where its shard, or it itself, ended before."""
        with suppress(psutil.NoSuchProcess):
            child.suspend()
            # It may have finished its shard before; what it has said then is written soon.
            if any(self._rests(pid) for _ in range(4)):
                self._paused.append(child)
                return True
            child.resume()
        return False

    def _rests(self, pid: int) -> bool:
        """Whether a worker has one and the same shard for a while."""
        before = self.at_work().get(pid)
        with suppress(AssertionError):
            wait_for(lambda: self.at_work().get(pid) != before, "another shard", 0.3, every=0.03)
            return False
        return before is not None


def pid_of(locked_by: str | None) -> int:
    return int(locked_by.rsplit("-", 2)[1]) if locked_by else 0


@pytest.fixture
def work(request: pytest.FixtureRequest, stack: Stack, crew: Crew) -> Iterator[Work]:
    """A job of two workers, in the stage that the test is parametrized with, or in stage A."""
    crew.are(2)
    work = Work(stack, getattr(request, "param", Stage.STAGE_A))
    yield work
    work.end()


in_every_stage = pytest.mark.parametrize("work", STAGES, indirect=True)
in_both_of_a_search = pytest.mark.parametrize("work", STAGES[:2], indirect=True)


def assert_succeeded(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness, **is_: int
) -> None:
    """With the result of one worker, and no shard computed twice."""
    job = stack.ends(work.job_id)
    assert job.state is State.SUCCEEDED, job.last_error_json
    assert {"attempt": job.attempt, "crash_count": job.crash_count} == (
        {"attempt": 1, "crash_count": 0} | is_
    )
    assert stack.stored_bytes(work.job_id) == alone[work.stage]
    assert witness.none_twice(work.job_id, work.stage)


@pytest.mark.parametrize(
    ("workers", "shard_seconds"), [(2, 0.03), (2, 0.3), (1, SHARD_SECONDS), (4, SHARD_SECONDS)]
)
def test_workers_of_any_number_with_shards_of_any_length_find_what_one_finds_alone(
    stack: Stack,
    crew: Crew,
    alone: dict[Stage, Rows],
    witness: Witness,
    workers: int,
    shard_seconds: float,
) -> None:
    crew.share(shard_seconds)
    crew.are(workers)
    for stage in (Stage.STAGE_A, Stage.VALIDATION):
        job = stack.ends(stack.submit(document(stage)))
        assert job.state is State.SUCCEEDED, job.last_error_json
        assert stack.stored_bytes(job.job_id) == alone[stage]
        assert 1 <= len(set(map(pid_of, witness.owners(job.job_id)))) <= workers


def test_an_owner_that_is_killed_when_all_is_merged_changes_nothing(
    stack: Stack, crew: Crew, alone: dict[Stage, Rows]
) -> None:
    crew.are(2)
    met, _ = stack.caught(document(Stage.STAGE_A), Stage.FINALIZING)
    job_id, owner = met.job_id, owner_pid(met)
    everything = stack.master_of(owner).processes()

    os.kill(owner, signal.SIGKILL)

    gone(everything)
    job = stack.ends(job_id)
    assert (job.state, job.attempt, job.crash_count) == (State.SUCCEEDED, 2, 1)
    assert stack.stored_bytes(job_id) == alone[Stage.STAGE_A]


def test_a_worker_that_comes_later_helps(
    stack: Stack, crew: Crew, alone: dict[Stage, Rows], witness: Witness
) -> None:
    crew.are(1)
    work = Work(stack, Stage.STAGE_A)
    work.pause_owner()
    helper = crew.joins()
    wait_for(lambda: work.done() == len(work.lines()) - 1, "all that is to be had", 60, every=0.05)
    work.go_on()
    assert_succeeded(stack, work, alone, witness)
    assert len(witness.owners(work.job_id)) >= 2
    wait_for(
        lambda: helper.metric("backtest_job_runner_help_seconds_total") > 0,
        "the help to be counted",
        every=0.05,
    )
    assert helper.metric("backtest_job_runner_stale_message_total") == 0


@in_every_stage
def test_a_killed_owner_costs_its_own_shard_alone(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness
) -> None:
    owner, _ = work.pause_both()
    held = work.at_work()
    everything = stack.master_of(owner).processes()

    os.kill(owner, signal.SIGKILL)

    gone(everything)
    work.go_on()
    assert_succeeded(stack, work, alone, witness, attempt=2, crash_count=1)
    ends = dict(witness.ends(work.job_id, work.stage))
    theirs = [line for pid, line in held.items() if pid != owner]
    assert [ends[line.shard] for line in theirs] == [line.locked_by for line in theirs]


@in_both_of_a_search
def test_an_owner_that_is_stopped_hands_on_what_is_done(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness
) -> None:
    owner, _ = work.pause_both()
    master = stack.master_of(owner)

    master.process.send_signal(signal.SIGTERM)

    assert master.exit_code(30) == 0
    assert [line.state for pid, line in work.at_work().items() if pid == owner] == []
    work.go_on()
    assert_succeeded(stack, work, alone, witness, attempt=2)
    assert stack.events(work.job_id).count(EventName.LEASE_RELEASED) == 1


def test_a_killed_helper_costs_its_own_shard_alone(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness
) -> None:
    _, helper = work.pause_both()
    shard = work.at_work()[helper].shard
    everything = stack.master_of(helper).processes()

    os.kill(helper, signal.SIGKILL)

    gone(everything)
    work.go_on()
    assert_succeeded(stack, work, alone, witness)
    ends = dict(witness.ends(work.job_id, work.stage))
    assert pid_of(ends[shard]) != helper


def test_a_helper_that_is_stopped_gives_its_shard_back(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness
) -> None:
    _, helper = work.pause_both()
    master = stack.master_of(helper)

    master.process.send_signal(signal.SIGTERM)

    assert master.exit_code(30) == 0
    assert "event=shard_given_back" in master.text()
    assert helper not in work.at_work()
    work.go_on()
    assert_succeeded(stack, work, alone, witness)


def test_a_helper_that_comes_back_too_late_writes_nothing(
    stack: Stack, work: Work, alone: dict[Stage, Rows], witness: Witness
) -> None:
    _, helper = work.pause_both()
    shard = work.at_work()[helper].shard
    master = stack.master_of(helper)
    os.kill(helper, signal.SIGSTOP)
    try:
        work.go_on()  # its child ends the shard, and nobody hears of it
        assert_succeeded(stack, work, alone, witness)
    finally:
        os.kill(helper, signal.SIGCONT)
    ends = dict(witness.ends(work.job_id, work.stage))
    assert pid_of(ends[shard]) != helper
    master.logged("event=shard_lost", 30)
    assert_succeeded(stack, work, alone, witness)


@in_every_stage
def test_a_cancelled_job_ends_with_all_who_compute_it(stack: Stack, work: Work) -> None:
    children = [child_of(pid) for pid in work.pause_both()]

    jobs.cancel(stack.connection, work.job_id, client=Client.CLI)

    assert stack.ends(work.job_id).state is State.CANCELLED
    gone([child for child in children if child is not None])
    wait_for(lambda: work.lines() == [], "the plan to be swept", every=0.05)


def test_a_worker_with_other_candles_does_not_help(
    stack: Stack, crew: Crew, alone: dict[Stage, Rows], witness: Witness, tmp_path: Path
) -> None:
    with open_store(CandlesFolder(tmp_path)) as store:
        minutes = synthetic.minutes(seed=8, start_ms=START_MS, count=MINUTES)
        store.append(1, "BTCUSDT", [Bars.of(minutes)])
    crew.are(1)
    stranger = crew.joins(ROEHUB_CANDLES_DIR=str(tmp_path))
    stranger.logged("event=ready")
    stopped = stranger.processes()
    for process in stopped:
        process.suspend()  # so that it does not become the owner
    work = Work(stack, Stage.STAGE_A)
    work.pause_owner()
    for process in stopped:
        process.resume()
    stranger.logged("event=help_declined", 30)
    assert work.done() == 0 or len(witness.owners(work.job_id)) == 1
    work.go_on()
    assert_succeeded(stack, work, alone, witness)
    assert stranger.metric("backtest_job_runner_help_declined_total") >= 1
    assert stranger.metric("backtest_job_runner_stale_message_total") == 0
    stranger.kill()
