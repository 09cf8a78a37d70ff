"""Jobs by the first digits of their ids."""

from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs

USER, OTHER = uuid4(), uuid4()
IDS = (
    "3f0bffff-ffff-ffff-ffff-ffffffffffff",
    "3f0c0000-0000-0000-0000-000000000000",
    "3f0c8000-0000-4000-8000-000000000001",
    "3f0cffff-ffff-ffff-ffff-ffffffffffff",
    "3f0d0000-0000-0000-0000-000000000000",
)


@pytest.fixture
def stored(connection: psycopg.Connection) -> psycopg.Connection:
    """Jobs at and around the ends of the range `3f0c`, and one of another user inside it."""
    for user, job_id in [*((USER, each) for each in IDS), (OTHER, "3f0c1111" + "0" * 24)]:
        connection.execute(
            "INSERT INTO backtest_jobs (job_id, user_id, mode, state, request_json, request_hash,"
            " engine_params_hash, backtest_runtime_config_hash)"
            " VALUES (%s, %s, 'template', 'queued', '{}', 'r', 'e', 'c')",
            (job_id, user),
        )
    return connection


def found(conn: psycopg.Connection, user: UUID, prefix: str, limit: int = 9) -> list[str]:
    return [str(job.job_id) for job in jobs.find(user, prefix, limit=limit).of(conn)]


def test_the_ids_that_begin_alike_are_found_to_both_ends(stored: psycopg.Connection) -> None:
    assert found(stored, USER, "3f0c") == list(IDS[1:4])


def test_more_digits_find_less(stored: psycopg.Connection) -> None:
    assert found(stored, USER, "3f0c8") == [IDS[2]]
    assert found(stored, USER, "3f0c7") == []


def test_a_whole_id_is_a_prefix_too(stored: psycopg.Connection) -> None:
    assert found(stored, USER, IDS[2].replace("-", "")) == [IDS[2]]


def test_only_ones_own_jobs_are_found(stored: psycopg.Connection) -> None:
    assert found(stored, OTHER, "3f0c") == ["3f0c1111-0000-0000-0000-000000000000"]


def test_no_more_than_the_limit_are_read(stored: psycopg.Connection) -> None:
    assert found(stored, USER, "3f0", limit=2) == list(IDS[:2])
