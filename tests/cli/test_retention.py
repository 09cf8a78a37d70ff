"""`backtest retention`: what it would delete, and that it deletes that alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Backtest
from tests.faults.harness import wait_for
from tests.storage.making import claimed, submitted

FAILED = '{"code": "stalled", "message": "x", "details": {}}'


@pytest.fixture(autouse=True)
def empty(connection: psycopg.Connection) -> Iterator[None]:
    """The database is shared with other tests, whose jobs have ended."""
    connection.execute("TRUNCATE backtest_jobs CASCADE")
    yield
    connection.execute("TRUNCATE backtest_jobs CASCADE")


def ended(connection: psycopg.Connection, days: float, state: str = "succeeded") -> str:
    """A job that ended so many days ago."""
    job_id = claimed(connection).job_id
    connection.execute(
        "UPDATE backtest_jobs SET state = %s, lease_expires_at = NULL, stage = 'finalizing',"
        " last_error = CASE WHEN %s = 'failed' THEN 'x' END,"
        " last_error_json = CASE WHEN %s = 'failed' THEN %s::jsonb END,"
        " finished_at = now() - %s * interval '1 day' WHERE job_id = %s",
        [state, state, state, FAILED, days, job_id],
    )
    return str(job_id)


def stored(connection: psycopg.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT job_id FROM backtest_jobs")}


@pytest.fixture
def weekly(service: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backtest:
    """The same where jobs are kept for a week."""
    file = tmp_path / "backtest.yaml"
    file.write_text("backtest: {jobs: {retention_days: 7}}\n")
    monkeypatch.setenv("ROEHUB_BACKTEST_CONFIG", str(file))
    return service


def test_where_all_is_kept_it_says_so_and_deletes_nothing(
    service: Backtest, connection: psycopg.Connection
) -> None:
    old = ended(connection, 1000)
    shown = service("retention")
    assert (shown.code, shown.out) == (0, "retention_days is null: all jobs are kept\n")
    refused = service("retention", "--delete")
    assert refused.code == 2
    assert "--days" in refused.err
    assert service("retention", "--json").json == {"days": None, "deleted": None, "items": []}
    assert stored(connection) == {old}


def test_it_shows_what_the_configured_days_delete_and_leaves_it(
    weekly: Backtest, connection: psycopg.Connection
) -> None:
    jobs = {ended(connection, days) for days in (8, 9, 6.9)} | {ended(connection, 20, "failed")}
    jobs |= {str(submitted(connection).job_id), str(claimed(connection).job_id)}
    shown = weekly("retention")
    assert shown.code == 0
    counted = [line.split()[:2] for line in shown.out.splitlines()[1:]]
    assert counted == [["failed", "1"], ["succeeded", "2"]]
    assert stored(connection) == jobs


def test_other_days_can_be_tried(service: Backtest, connection: psycopg.Connection) -> None:
    for days in (5, 50):
        ended(connection, days)
    assert service("retention", "--days", 3, "--json").json["items"][0]["number"] == 2
    assert service("retention", "--days", 30, "--json").json["items"][0]["number"] == 1
    assert service("retention", "--days", 300).out == "no job ended more than 300 days ago\n"


def test_what_it_deletes_is_what_it_showed(
    weekly: Backtest, connection: psycopg.Connection
) -> None:
    for _ in range(3):
        ended(connection, 8)
    kept = {ended(connection, 6), str(submitted(connection).job_id)}
    shown = weekly("retention", "--json").json
    deleted = weekly("retention", "--delete", "--json").json
    assert [item["number"] for item in shown["items"]] == [deleted["deleted"]] == [3]
    assert deleted["items"] == []
    assert stored(connection) == kept
    again = weekly("retention", "--delete")
    assert (again.code, again.out) == (0, "deleted 0 jobs that ended more than 7 days ago\n")


def test_more_jobs_than_a_batch_are_all_deleted(
    service: Backtest, connection: psycopg.Connection
) -> None:
    connection.execute(
        "INSERT INTO backtest_jobs (job_id, user_id, mode, state, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash, created_at, updated_at, finished_at)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 'template', 'cancelled', '{}', repeat('r',"
        " 64), repeat('e', 64), repeat('c', 64), now(), now(), now() - interval '40 days'"
        " FROM generate_series(1, 450)"
    )
    assert service("retention", "--days", 30, "--delete", "--json").json["deleted"] == 450
    assert stored(connection) == set()


def test_while_another_program_deletes_it_says_what_is_left(
    service: Backtest, connection: psycopg.Connection
) -> None:
    ended(connection, 8)
    lock: Any = "SELECT pg_advisory_xact_lock(hashtextextended('backtest_jobs.retention', 0))"
    with psycopg.connect(connection.info.dsn) as other:
        other.execute(lock)
        said = service("retention", "--days", 7, "--delete")
        assert said.code == 0
        assert "1 are left: another program is deleting" in said.out
    wait_for(
        lambda: service("retention", "--days", 7, "--delete", "--json").json["items"] == [],
        "the deletion",
    )


@pytest.mark.parametrize("days", ["0", "-1", "many"])
def test_days_that_are_none_are_refused(service: Backtest, days: str) -> None:
    assert service("retention", "--days", days).code == 2
