"""A job whose child says what cannot be read, or dies: it ends at once, with its code."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from engine.report.details import EQUITY_POINTS, stored_bytes
from storage.records import EventName, FailureCode, Job, State
from tasks import compute, runner
from tasks.messages import Assignment
from tasks.process import Child
from tasks.worker import Worker
from tests.faults.conftest import small_sweep
from tests.faults.harness import Stack
from tests.tasks.test_child_messages import cannot_make_its_last_message, sends_garbage

Target = Callable[..., object]


@dataclass
class Forks:
    """A fork server whose children run something else, one target after the other."""

    targets: list[Target]
    loaded: bool = True
    children: list[Child] = field(default_factory=list)

    def fork(self, assignment: Assignment) -> Child:
        self.children.append(Child(self.targets.pop(0), assignment))
        return self.children[-1]


def run(
    stack: Stack, worker: Worker, *targets: Target, document: dict[str, Any] | None = None
) -> tuple[Job, Forks]:
    forks = Forks(list(targets))
    job_id = stack.submit(document or small_sweep())
    runner.run(job_id, replace(worker, fork_server=forks))  # type: ignore[arg-type]
    return stack.job(job_id), forks


def error(job: Job) -> dict[str, Any]:
    assert job.state is State.FAILED
    assert job.last_error_json is not None
    return job.last_error_json


def dies_of_a_segmentation_fault(pipe: Any, assignment: Assignment) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def dies_after_stage_a(pipe: Any, assignment: Assignment) -> None:
    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    compute._final_rows = die  # type: ignore[assignment]
    compute.main(pipe, assignment)


def makes_a_row_that_is_no_json(pipe: Any, assignment: Assignment) -> None:
    made = compute._row

    def with_nan(report: Any) -> Any:
        return replace(made(report), metrics_json={"sharpe": float("nan")})

    compute._row = with_nan
    compute.main(pipe, assignment)


def test_a_message_that_cannot_be_read_ends_the_job_at_once(stack: Stack, worker: Worker) -> None:
    # It returns long before stall_seconds, which is more than this test may take.
    assert worker.jobs.stall_seconds >= 600
    job, _ = run(stack, worker, sends_garbage)
    assert error(job)["code"] == FailureCode.UNEXPECTED_ERROR
    assert error(job)["details"] == {"exception": "UnpicklingError"}


def test_a_result_that_has_no_room_in_memory_ends_the_job_at_once(
    stack: Stack, worker: Worker
) -> None:
    limited = worker.jobs.model_copy(update={"job_memory_limit_bytes": 2**30})
    job, _ = run(stack, replace(worker, jobs=limited), cannot_make_its_last_message)
    assert error(job)["code"] == FailureCode.MEMORY_LIMIT_EXCEEDED


def test_a_number_that_is_no_json_ends_the_job_with_a_code(stack: Stack, worker: Worker) -> None:
    job, forks = run(stack, worker, makes_a_row_that_is_no_json)
    assert error(job)["code"] == FailureCode.UNEXPECTED_ERROR
    assert error(job)["details"] == {"exception": "ValueError"}
    assert len(forks.children) == 1


def test_a_child_that_dies_is_replaced_once_and_the_job_succeeds(
    stack: Stack, worker: Worker
) -> None:
    undisturbed, _ = run(stack, worker, compute.main)
    job, forks = run(stack, worker, dies_of_a_segmentation_fault, compute.main)

    assert (job.state, job.attempt, job.crash_count) == (State.SUCCEEDED, 1, 0)
    assert len(forks.children) == 2
    assert stack.stored_bytes(job.job_id) == stack.stored_bytes(undisturbed.job_id)


def test_the_second_child_starts_from_the_shortlist_of_the_first(
    stack: Stack, worker: Worker
) -> None:
    undisturbed, _ = run(stack, worker, compute.main)
    job, _ = run(stack, worker, dies_after_stage_a, compute.main)

    assert job.state is State.SUCCEEDED
    assert EventName.RESUMED_FROM_SHORTLIST in stack.events(job.job_id)
    assert stack.stored_bytes(job.job_id) == stack.stored_bytes(undisturbed.job_id)


def test_a_child_that_dies_twice_fails_the_job_with_its_signal(
    stack: Stack, worker: Worker
) -> None:
    job, forks = run(stack, worker, *[dies_of_a_segmentation_fault] * 2)

    assert error(job)["code"] == FailureCode.UNEXPECTED_ERROR
    assert error(job)["details"] == {"signal": "SIGSEGV"}
    assert len(forks.children) == 2


def test_rows_whose_trades_have_no_room_in_the_budget_say_so(stack: Stack, worker: Worker) -> None:
    wanted = small_sweep() | {"top_trades_n": 4}
    job, _ = run(stack, worker, compute.main, document=wanted)
    first, *_ = stack.rows(job.job_id)
    assert first.trades_json is not None
    charged = stored_bytes(len(first.trades_json), bars=EQUITY_POINTS)

    job, _ = run(stack, worker, compute.main, document=wanted | {"result_bytes_max": charged})

    rows = stack.rows(job.job_id)
    assert [row.trades_omitted for row in rows] == [False, True, True, True, False]
    assert [row.trades_json is None for row in rows] == [False, True, True, True, True]
    assert rows[0] == first
