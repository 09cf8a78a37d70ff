"""Whether the API lives and can work, and what it measures."""

import psycopg
import pytest

from tests.api.running import Api


def test_a_live_process_says_so_to_anybody(api: Api) -> None:
    answer = api.nobody().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_process_that_reaches_its_database_is_ready(api: Api) -> None:
    answer = api.nobody().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("backtest_jobs_schema_version", "version_num", "0003"),
        ("backtest_jobs_schema_compat", "oldest_program_revision", "9999"),
    ],
    ids=["an older schema", "a schema for newer programs"],
)
def test_a_process_is_not_ready_for_a_schema_that_it_cannot_work_with(
    api: Api, stored: psycopg.Connection, table: str, column: str, value: str
) -> None:
    before = stored.execute(f"SELECT {column} FROM {table}").fetchone()
    assert before is not None
    change = f"UPDATE {table} SET {column} = %s"
    stored.execute(change, [value])
    try:
        answer = api.nobody().get("/readyz")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert value not in answer.text
        assert api.nobody().get("/healthz").status_code == 200
    finally:
        stored.execute(change, [before[0]])
    assert api.nobody().get("/readyz").status_code == 200
