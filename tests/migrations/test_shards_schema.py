"""What the schema refuses about plans and shards: a plan is whole, and stays as it was made."""

from collections.abc import Callable
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from storage.plan_records import ShardState
from tests.migrations.shard_rows import CHECKS, OPEN, PLAN, STATES
from tests.migrations.test_schema import a_job, conn, insert, shared_database

__all__ = ["conn", "shared_database"]

Conn = psycopg.Connection[Any]
OPENED, RUNNING, DONE, FAILED = ShardState
LEGAL = {
    (OPENED, RUNNING),
    (RUNNING, OPENED),
    (RUNNING, DONE),
    (RUNNING, FAILED),
    (FAILED, RUNNING),
}


def plan(
    conn: Conn,
    *shards: dict[str, str],
    job_id: UUID | None = None,
    stage: str = "stage_a",
    number: int | None = None,
) -> UUID:
    """Insert a plan and such shards by one statement; the plan says that it has `number`."""
    job_id = job_id or a_job(conn)
    head = PLAN | {"stage": f"'{stage}'", "shards": str(len(shards) if number is None else number)}
    text = f"INSERT INTO backtest_job_plans ({', '.join(head)}) VALUES ({', '.join(head.values())})"
    if shards:
        rows = ", ".join(
            f"({', '.join((shard | {'stage': head['stage']}).values())})" for shard in shards
        )
        text = (
            f"WITH planned AS ({text}) INSERT INTO backtest_job_shards ({', '.join(OPEN)})"
            f" VALUES {rows}"
        )
    conn.execute(text, {"job_id": job_id})
    return job_id


def numbered(*numbers: int) -> list[dict[str, str]]:
    return [OPEN | {"shard": str(number)} for number in numbers]


def refusal(conn: Conn, act: Callable[[], object]) -> str | None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught, conn.transaction():
        act()
    return caught.value.diag.constraint_name


@pytest.mark.parametrize(("constraint", "shard"), CHECKS)
def test_a_shard_that_contradicts_itself_is_refused(
    conn: Conn, constraint: str, shard: dict[str, str]
) -> None:
    assert refusal(conn, lambda: plan(conn, shard)) == f"backtest_job_shards_{constraint}"


@pytest.mark.parametrize("state", list(ShardState))
def test_a_shard_of_every_state_is_accepted(conn: Conn, state: ShardState) -> None:
    plan(conn, STATES[state])


# --- transitions


def go(conn: Conn, state: ShardState) -> None:
    columns = ("state", "locked_by", "lease_expires_at", "processed_units", "result", "error")
    values = ", ".join(f"{column} = {STATES[state][column]}" for column in columns)
    conn.execute(f"UPDATE backtest_job_shards SET {values}".replace("%", "%%"), {})


@pytest.mark.parametrize(
    ("old", "new"), [pair for pair in product(ShardState, ShardState) if pair[0] is not pair[1]]
)
def test_a_shard_takes_legal_transitions_and_no_others(
    conn: Conn, old: ShardState, new: ShardState
) -> None:
    plan(conn, STATES[old])
    if (old, new) in LEGAL:
        go(conn, new)
    else:
        assert refusal(conn, lambda: go(conn, new)) == "backtest_job_shards_transition"


@pytest.mark.parametrize("state", list(ShardState))
def test_an_update_within_a_state_is_legal(conn: Conn, state: ShardState) -> None:
    plan(conn, STATES[state])
    go(conn, state)


def test_a_beat_calls_no_trigger(conn: Conn) -> None:
    """Each is for columns that no beat names."""
    rows = conn.execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger"
        " WHERE tgrelid = 'backtest_job_shards'::regclass AND NOT tgisinternal"
    ).fetchall()
    updates = sorted(text for (text,) in rows if "UPDATE" in text)
    assert len(updates) == 2
    assert "UPDATE OF job_id, stage, shard, plan_id, part, total_units ON" in updates[0]
    assert "UPDATE OF state ON" in updates[1]
    assert "WHEN ((old.state IS DISTINCT FROM new.state))" in updates[1]


# --- a plan is never changed


@pytest.mark.parametrize("column", PLAN)
def test_no_column_of_a_plan_changes(conn: Conn, column: str) -> None:
    plan(conn, *numbered(0))
    change = f"UPDATE backtest_job_plans SET {column} = {column}"
    assert refusal(conn, lambda: conn.execute(change)) == "backtest_job_plans_stay"


@pytest.mark.parametrize("column", ["job_id", "stage", "shard", "plan_id", "part", "total_units"])
def test_a_shard_stays_what_it_was_planned_as(conn: Conn, column: str) -> None:
    plan(conn, *numbered(0))
    change = f"UPDATE backtest_job_shards SET {column} = {column}"
    assert refusal(conn, lambda: conn.execute(change)) == "backtest_job_plans_stay"


# --- and always whole


@pytest.mark.parametrize(
    ("number", "shards"), [(1, []), (2, [0]), (1, [0, 1]), (2, [0, 2]), (2, [1, 2])]
)
def test_a_plan_has_its_shards_from_0_on(conn: Conn, number: int, shards: list[int]) -> None:
    torn = refusal(conn, lambda: plan(conn, *numbered(*shards), number=number))
    assert torn == "backtest_job_plans_whole"


def test_no_shard_is_added_later(conn: Conn) -> None:
    job_id = plan(conn, *numbered(0, 1))
    (another,) = numbered(2)
    added = refusal(conn, lambda: insert(conn, "backtest_job_shards", another, job_id))
    assert added == "backtest_job_plans_whole"


def test_no_shard_is_taken_away(conn: Conn) -> None:
    plan(conn, *numbered(0, 1))
    for which in ("shard = 0", "shard = 1", "true"):
        delete = f"DELETE FROM backtest_job_shards WHERE {which}"
        assert refusal(conn, lambda text=delete: conn.execute(text)) == "backtest_job_plans_whole"


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_plan_has_at_least_one_shard(conn: Conn, number: str) -> None:
    empty = refusal(conn, lambda: plan(conn, number=int(number)))
    assert empty == "backtest_job_plans_shards"


@pytest.mark.parametrize("stage", ["finalizing", "stage_c"])
def test_only_what_is_computed_is_planned(conn: Conn, stage: str) -> None:
    assert refusal(conn, lambda: plan(conn, *numbered(0), stage=stage)) == (
        "backtest_job_plans_stage"
    )


def test_a_shard_is_of_a_plan_of_its_own_job_and_stage(conn: Conn) -> None:
    plan(conn, *numbered(0))
    for change in ({"plan_id": f"'{uuid4()}'"}, {"stage": "'stage_b'"}, {}):
        with pytest.raises(psycopg.errors.ForeignKeyViolation), conn.transaction():
            insert(conn, "backtest_job_shards", OPEN | change, a_job(conn))


def test_a_stage_has_one_plan(conn: Conn) -> None:
    job_id = plan(conn, *numbered(0))
    plan(conn, *numbered(0), job_id=job_id, stage="stage_b")
    with pytest.raises(psycopg.errors.UniqueViolation):
        plan(conn, *numbered(0), job_id=job_id)


@pytest.mark.parametrize("table", ["backtest_job_plans", "backtest_jobs"])
def test_what_a_plan_is_of_takes_its_shards_along(conn: Conn, table: str) -> None:
    job_id = plan(conn, *numbered(0, 1))
    other = plan(conn, *numbered(0))
    conn.execute(f"DELETE FROM {table} WHERE job_id = %s", [job_id])
    left = conn.execute("SELECT job_id, shard FROM backtest_job_shards").fetchall()
    assert left == [(other, 0)]


# --- how it is kept


def test_half_of_each_page_is_left_to_new_versions_of_its_rows(conn: Conn) -> None:
    row = conn.execute(
        "SELECT reloptions FROM pg_class WHERE oid = 'backtest_job_shards'::regclass"
    ).fetchone()
    assert row == (["fillfactor=50"],)


def test_results_are_not_compressed_a_second_time(conn: Conn) -> None:
    row = conn.execute(
        "SELECT attstorage FROM pg_attribute"
        " WHERE attrelid = 'backtest_job_shards'::regclass AND attname = 'result'"
    ).fetchone()
    assert row in ((b"e",), ("e",))
