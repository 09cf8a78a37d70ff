"""The whole server goes away, comes back, and is a standby for a while."""

import time

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from storage.records import EventName, Stage, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack, owner_pid, wait_for
from tests.own_postgres import OwnPostgres

Rows = list[tuple[str, ...]]
UNNOTICED = [
    EventName.QUEUED,
    EventName.CLAIMED,
    *[EventName.STAGE_STARTED] * 3,
    EventName.SUCCEEDED,
]
READ_ONLY_SECONDS = 3.0


def test_nobody_notices_three_seconds_of_a_read_only_standby(
    own_stack: Stack, own_server: OwnPostgres, undisturbed: Rows
) -> None:
    with own_stack.only(lease_seconds=9, heartbeat_seconds=1) as worker:
        job_id = own_stack.submit(sweep())
        before = own_stack.reaches(job_id, Stage.STAGE_B)

        own_server.become_standby()
        standby_since = time.monotonic()
        wait_for(
            lambda: (
                "heartbeat_failed" in worker.text()
                and time.monotonic() > standby_since + READ_ONLY_SECONDS
            ),
            "refusals for a while",
        )
        own_server.promote()
        own_stack.reconnect()
        ended = own_stack.ends(job_id)

        assert "25006" in worker.text()
        assert owner_pid(ended) == owner_pid(before)
    assert (ended.state, ended.attempt, ended.crash_count) == (State.SUCCEEDED, 1, 0)
    assert own_stack.events(job_id) == UNNOTICED
    assert own_stack.stored_bytes(job_id) == undisturbed


def test_a_database_whose_default_is_read_only_is_written_all_the_same(
    stack: Stack, undisturbed: Rows
) -> None:
    stack.workers(1)
    database = sql.Identifier(str(conninfo_to_dict(stack.dsn)["dbname"]))
    read_only = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
    as_before = sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only")
    job_id = stack.submit(sweep())
    stack.reaches(job_id, Stage.STAGE_B)
    stack.connection.execute(read_only.format(database))
    try:
        for pid in stack.backends():
            stack.connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        ended = stack.ends(job_id)
    finally:
        stack.connection.execute(as_before.format(database))
    assert stack.events(job_id) == UNNOTICED
    assert ended.attempt == 1
    assert stack.stored_bytes(job_id) == undisturbed


def test_jobs_survive_restarts_of_the_whole_server_under_load(
    own_stack: Stack, own_server: OwnPostgres, undisturbed: Rows
) -> None:
    own_stack.workers(2)
    long = own_stack.submit(sweep())
    own_stack.reaches(long, Stage.STAGE_B)
    short = [own_stack.submit(small_sweep()) for _ in range(12)]
    for mode in ("fast", "immediate"):
        own_server.stop(mode)
        own_server.start()
        own_stack.reconnect()
        own_stack.claimed(short[-1] if mode == "immediate" else long)

    for job_id in (long, *short):
        assert own_stack.ends(job_id).state is State.SUCCEEDED
        assert own_stack.events(job_id).count(EventName.SUCCEEDED) == 1
    assert own_stack.stored_bytes(long) == undisturbed
