"""A pooler in transaction mode between every program and Postgres."""

from collections.abc import Iterator

import pytest

from storage.records import EventName, State
from storage.session import Session
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack
from tests.pooler import Pooler, pooler, programs_behind

UNNOTICED = [
    EventName.QUEUED,
    EventName.CLAIMED,
    *[EventName.STAGE_STARTED] * 3,
    EventName.SUCCEEDED,
]


@pytest.fixture
def pool(stack: Stack) -> Iterator[Pooler]:
    """Two sessions for everybody."""
    with pooler(stack.dsn, size=2) as pool:
        yield pool


def test_jobs_behind_a_pooler_run_as_without_one(
    stack: Stack, undisturbed: list[tuple[str, ...]], pool: Pooler
) -> None:
    stack.workers(0)
    user = Session(pool.dsn, application_name="user", lock_seconds=5, statement_seconds=5)
    programs = programs_behind(pool, stack, workers=2)
    try:
        long = [stack.submit(sweep(), user) for _ in range(2)]
        short = [stack.submit(small_sweep(), user) for _ in range(3)]
        for job_id in (*long, *short):
            ended = stack.ends(job_id, seconds=120)
            assert (ended.state, ended.attempt) == (State.SUCCEEDED, 1), ended.last_error_json
            assert stack.events(job_id) == UNNOTICED
    finally:
        user.close()
        for program in programs:
            program.kill()
    assert [stack.stored_bytes(job_id) for job_id in long] == [undisturbed, undisturbed]
    for program in programs:
        assert "Traceback" not in program.text()
        assert "level=error" not in program.text()
