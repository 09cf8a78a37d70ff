"""`backtest stuck`: what it prints, and the exit code of a check."""

from collections.abc import Iterator

import psycopg
import pytest

from api.operating import ADVICE
from storage.operating import Problem
from tests.cli.conftest import Backtest
from tests.storage.making import claimed, expire, submitted


@pytest.fixture(autouse=True)
def empty(connection: psycopg.Connection) -> Iterator[None]:
    """The database is shared with other tests, whose jobs may be old by now."""
    connection.execute("TRUNCATE backtest_jobs, backtest_switches CASCADE")
    yield
    connection.execute("TRUNCATE backtest_jobs, backtest_switches CASCADE")


def queued_for(connection: psycopg.Connection, seconds: int) -> str:
    job_id = submitted(connection).job_id
    connection.execute(
        "UPDATE backtest_jobs SET created_at = now() - make_interval(secs => %s) WHERE job_id = %s",
        [seconds, job_id],
    )
    return str(job_id)


def test_nothing_is_stuck_while_jobs_wait_and_run(
    service: Backtest, connection: psycopg.Connection
) -> None:
    submitted(connection)
    claimed(connection)
    ended = service("stuck")
    assert (ended.code, ended.out, ended.err) == (0, "nothing is stuck\n", "")
    assert service("stuck", "--json").json == {"found": 0, "items": []}


def test_jobs_are_listed_under_what_is_wrong_with_them_and_what_to_do(
    service: Backtest, connection: psycopg.Connection
) -> None:
    jobs = [queued_for(connection, seconds) for seconds in (700, 7300)]
    gone = claimed(connection)
    expire(connection, gone.job_id)
    connection.execute(
        "UPDATE backtest_jobs SET lease_expires_at = now() - interval '90 s' WHERE job_id = %s",
        [gone.job_id],
    )
    ended = service("stuck")
    assert ended.code == 1
    for problem in (Problem.NOT_DISPATCHED, Problem.EXPIRED_LEASE):
        assert ended.out.count(ADVICE[problem].said) == 1
        assert f"-> {ADVICE[problem].advice}" in ended.out
        assert f"docs/runbook.md#{ADVICE[problem].section}" in ended.out
    assert f"{jobs[0]}  queued, for 11m" in ended.out
    assert f"{jobs[1]}  queued, for 2h" in ended.out
    assert f"{gone.job_id}  running, for 1m" in ended.out
    assert f"owner {gone.locked_by}" in ended.out


def test_for_machines_it_prints_the_same_as_json(
    service: Backtest, connection: psycopg.Connection
) -> None:
    job_id = queued_for(connection, 700)
    ended = service("stuck", "--json")
    assert (ended.code, ended.json["found"]) == (1, 1)
    (item,) = ended.json["items"]
    assert (item["job_id"], item["problem"]) == (job_id, "not_dispatched")
    assert item["advice"] == ADVICE[Problem.NOT_DISPATCHED].advice


def test_of_very_many_it_says_how_many_are_left(
    service: Backtest, connection: psycopg.Connection
) -> None:
    submitted(connection)
    connection.execute(
        "INSERT INTO backtest_jobs (user_id, mode, request_json, request_hash, engine_params_hash,"
        " backtest_runtime_config_hash, created_at) SELECT user_id, mode, request_json,"
        " request_hash, engine_params_hash, backtest_runtime_config_hash,"
        " now() - interval '1 hour' FROM backtest_jobs, generate_series(1, 203)"
    )
    ended = service("stuck")
    assert ended.code == 1
    assert ended.out.endswith("and 3 more\n")
