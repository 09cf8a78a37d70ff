"""What the migrated schema refuses by itself, whoever writes."""

import re
from collections.abc import Iterator
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest

from storage.plan_records import ShardState
from storage.records import Client, EventName, Mode, Stage, State
from tests.migrations import shard_rows
from tests.storage.making import new_database

LEGAL = {
    (State.QUEUED, State.RUNNING),
    (State.QUEUED, State.CANCELLED),
    (State.RUNNING, State.SUCCEEDED),
    (State.RUNNING, State.FAILED),
    (State.RUNNING, State.CANCELLED),
}
CHANGES = [(old, new) for old, new in product(State, State) if old is not new]

# What has to be set along with a state, so that nothing but the transition can be refused.
COLUMNS_OF_STATE = {
    State.QUEUED: "lease_expires_at = NULL, finished_at = NULL, next_dispatch_at = now()",
    State.RUNNING: "lease_expires_at = now() + interval '1 min', finished_at = NULL,"
    " locked_by = 'host-1-0000000a'",
} | dict.fromkeys(
    (State.SUCCEEDED, State.FAILED, State.CANCELLED),
    "lease_expires_at = NULL, finished_at = now(), next_dispatch_at = NULL",
)


@pytest.fixture(scope="module")
def shared_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """One database for the module: every test here rolls back."""
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture
def conn(shared_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shared_database) as made:
        yield made
        made.rollback()


def a_job(conn: psycopg.Connection, state: State = State.QUEUED) -> UUID:
    job_id = uuid4()
    conn.execute(
        "INSERT INTO backtest_jobs (job_id, user_id, mode, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash)"
        " VALUES (%s, %s, 'template', '{}', 'r', 'e', 'c')",
        [job_id, uuid4()],
    )
    path = {State.QUEUED: [], State.RUNNING: [State.RUNNING], State.CANCELLED: [State.CANCELLED]}
    for step in path.get(state, [State.RUNNING, state]):
        go(conn, job_id, step)
    return job_id


def go(conn: psycopg.Connection, job_id: UUID, state: State) -> None:
    conn.execute(
        f"UPDATE backtest_jobs SET state = %s, {COLUMNS_OF_STATE[state]} WHERE job_id = %s",
        [state, job_id],
    )


# --- transitions


@pytest.mark.parametrize(("old", "new"), [pair for pair in CHANGES if pair not in LEGAL])
def test_an_illegal_transition_is_refused(conn: psycopg.Connection, old: State, new: State) -> None:
    job_id = a_job(conn, old)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        go(conn, job_id, new)
    assert caught.value.diag.constraint_name == "backtest_jobs_transition"
    assert caught.value.diag.message_primary == f"a job cannot go from {old} to {new}"


@pytest.mark.parametrize(("old", "new"), sorted(LEGAL))
def test_a_legal_transition_is_taken(conn: psycopg.Connection, old: State, new: State) -> None:
    job_id = a_job(conn, old)
    go(conn, job_id, new)
    row = conn.execute("SELECT state FROM backtest_jobs WHERE job_id = %s", [job_id]).fetchone()
    assert row == (new,)


@pytest.mark.parametrize("state", list(State))
def test_an_update_within_a_state_is_legal(conn: psycopg.Connection, state: State) -> None:
    job_id = a_job(conn, state)
    go(conn, job_id, state)
    conn.execute("UPDATE backtest_jobs SET updated_at = now() WHERE job_id = %s", [job_id])


def test_the_trigger_sees_changes_of_the_state_only(conn: psycopg.Connection) -> None:
    row = conn.execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'backtest_jobs_transition'"
    ).fetchone()
    assert row is not None
    assert "BEFORE UPDATE OF state" in row[0]
    assert "WHEN ((old.state IS DISTINCT FROM new.state))" in row[0]


# --- checks: (constraint, the state to start from, what to set)

JOB_CHECKS = [
    ("mode", State.QUEUED, "mode = 'other'"),
    ("stage", State.RUNNING, "stage = 'stage_c'"),
    ("lease_while_running", State.RUNNING, "lease_expires_at = NULL"),
    ("lease_while_running", State.QUEUED, "lease_expires_at = now()"),
    ("lease_while_running", State.SUCCEEDED, "lease_expires_at = now()"),
    ("owner_until_release", State.RUNNING, "locked_by = NULL"),
    ("finished_when_terminal", State.QUEUED, "finished_at = now()"),
    ("finished_when_terminal", State.RUNNING, "finished_at = now()"),
    ("finished_when_terminal", State.SUCCEEDED, "finished_at = NULL"),
    ("finished_when_terminal", State.FAILED, "finished_at = NULL"),
    ("finished_when_terminal", State.CANCELLED, "finished_at = NULL"),
    ("spec_when_saved", State.QUEUED, "mode = 'saved'"),
    ("spec_when_saved", State.QUEUED, "mode = 'saved', spec_hash = 's'"),
    ("spec_when_saved", State.QUEUED, "mode = 'saved', spec_payload_json = '{}'"),
    ("spec_when_saved", State.QUEUED, "spec_hash = 's'"),
    ("spec_when_saved", State.QUEUED, "spec_payload_json = '{}'"),
    ("idempotency_key", State.QUEUED, "idempotency_key = ''"),
    ("idempotency_key", State.QUEUED, "idempotency_key = repeat('k', 256)"),
    ("idempotency_key", State.QUEUED, "idempotency_key = repeat('k', 7000)"),
    ("name", State.QUEUED, "name = '', name_folded = ''"),
    ("name", State.SUCCEEDED, "name = repeat('n', 121), name_folded = 'n'"),
    ("name_folded", State.QUEUED, "name = 'n'"),
    ("name_folded", State.QUEUED, "name_folded = 'n'"),
    ("note", State.QUEUED, "note = repeat('n', 4001)"),
    ("submission_hash", State.QUEUED, "submission_hash = repeat('a', 63)"),
    ("submission_hash", State.QUEUED, "submission_hash = repeat('A', 64)"),
    ("submission_hash", State.QUEUED, "submission_hash = repeat('a', 64) || E'\\n'"),
    ("traceparent", State.QUEUED, "traceparent = 'nonsense'"),
    ("traceparent", State.QUEUED, f"traceparent = '00-{'a' * 32}-{'b' * 16}-01' || E'\\n'"),
    ("wake_up_while_queued", State.QUEUED, "next_dispatch_at = NULL"),
    ("processed_units", State.RUNNING, "processed_units = -1"),
    ("total_units", State.RUNNING, "total_units = -1"),
    ("attempt", State.RUNNING, "attempt = -1"),
    ("crash_count", State.RUNNING, "crash_count = -1"),
    ("dispatch_count", State.QUEUED, "dispatch_count = -1"),
    ("request_json", State.QUEUED, "request_json = '[]'"),
    ("request_json", State.QUEUED, "request_json = 'null'"),
    ("spec_payload_json", State.QUEUED, "mode = 'saved', spec_hash = 's', spec_payload_json = '1'"),
    ("coverage_json", State.QUEUED, "coverage_json = '[]'"),
    ("coverage_json", State.RUNNING, "coverage_json = 'null'"),
    ("outcomes_json", State.RUNNING, "outcomes_json = '[]'"),
    ("last_error_json", State.FAILED, "last_error_json = '[]'"),
    ("last_error_json", State.FAILED, """last_error_json = '{"code": 1, "message": 1}'"""),
]


@pytest.mark.parametrize(("constraint", "state", "change"), JOB_CHECKS)
def test_a_job_row_that_contradicts_itself_is_refused(
    conn: psycopg.Connection, constraint: str, state: State, change: str
) -> None:
    job_id = a_job(conn, state)
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        conn.execute(f"UPDATE backtest_jobs SET {change} WHERE job_id = %s", [job_id])
    assert caught.value.diag.constraint_name == f"backtest_jobs_{constraint}"


def test_an_unknown_state_is_refused(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        conn.execute(
            "INSERT INTO backtest_jobs (user_id, state, mode, request_json, request_hash,"
            " engine_params_hash, backtest_runtime_config_hash)"
            " VALUES (%s, 'paused', 'template', '{}', 'r', 'e', 'c')",
            [uuid4()],
        )
    assert caught.value.diag.constraint_name == "backtest_jobs_state"


def test_a_running_job_without_an_owner_has_a_lease_that_ran_out(conn: psycopg.Connection) -> None:
    job_id = a_job(conn, State.RUNNING)
    conn.execute(
        "UPDATE backtest_jobs SET locked_by = NULL, lease_expires_at = now(), updated_at = now()"
        " WHERE job_id = %s",
        [job_id],
    )


SHORTLIST = {
    "job_id": "%(job_id)s",
    "stage_a_indexes_json": "'[1]'",
    "stage_a_variants_total": "1",
    "risk_total": "1",
    "preselect_used": "1",
    "attempt": "1",
    "engine_version": "'e'",
    "candles_hash": "'c'",
}
VARIANT = {
    "job_id": "%(job_id)s",
    "rank": "1",
    "variant_key": "'k'",
    "indicator_variant_key": "'i'",
    "variant_index": "0",
    "total_return_pct": "1.5",
    "metrics_json": "'{}'",
    "payload_json": "'{}'",
}
VALIDATION = {"job_id": "%(job_id)s", "figures_json": "'{}'", "pictures_json": "'{}'"}
SURFACE = {
    "job_id": "%(job_id)s",
    "number": "1",
    "axis_x": "'x'",
    "axis_y": "NULL",
    "surface_json": "'{}'",
}
EVENT = {"job_id": "%(job_id)s", "event": "'queued'", "attempt": "0", "actor": "'api'"}
STRATEGY = {
    "user_id": "%(job_id)s",
    "name": "'n'",
    "template_json": "'{}'",
    "source_job_id": "%(job_id)s",
    "source_variant_key": "'k'",
}
ROWS = {
    "backtest_job_stage_a_shortlist": SHORTLIST,
    "backtest_job_top_variants": VARIANT,
    "backtest_job_validation": VALIDATION,
    "backtest_job_surfaces": SURFACE,
    "backtest_job_events": EVENT,
}

VALUES = ROWS | {"backtest_strategies": STRATEGY}
NAMED_OTHERWISE = {"source_job_id": "source", "source_variant_key": "source"}

ROW_CHECKS = [
    ("backtest_job_stage_a_shortlist", "stage_a_indexes_json", "'{}'"),
    ("backtest_job_stage_a_shortlist", "stage_a_variants_total", "-1"),
    ("backtest_job_stage_a_shortlist", "risk_total", "-1"),
    ("backtest_job_stage_a_shortlist", "preselect_used", "-1"),
    ("backtest_job_stage_a_shortlist", "attempt", "-1"),
    ("backtest_job_stage_a_shortlist", "twins_json", "'{}'"),
    ("backtest_job_stage_a_shortlist", "twins_json", "'null'"),
    ("backtest_job_stage_a_shortlist", "twins_json", "'[]'"),
    ("backtest_job_stage_a_shortlist", "twins_json", "'[1, 2]'"),
    ("backtest_job_top_variants", "twins", "0"),
    ("backtest_job_top_variants", "rank", "0"),
    ("backtest_job_top_variants", "variant_index", "-1"),
    ("backtest_job_top_variants", "metrics_json", "'[]'"),
    ("backtest_job_top_variants", "payload_json", "'1'"),
    ("backtest_job_top_variants", "trades_json", "'{}'"),
    ("backtest_job_top_variants", "equity_json", "'{}'"),
    ("backtest_job_top_variants", "trades_omitted", "true"),
    ("backtest_job_top_variants", "test_metrics_json", "'[]'"),
    ("backtest_job_top_variants", "test_trades_json", "'{}'"),
    ("backtest_job_top_variants", "test_equity_json", "'{}'"),
    ("backtest_job_top_variants", "beside_json", "'[]'"),
    ("backtest_job_validation", "figures_json", "'[]'"),
    ("backtest_job_validation", "figures_json", "'null'"),
    ("backtest_job_validation", "pictures_json", "'[]'"),
    ("backtest_job_surfaces", "number", "0"),
    ("backtest_job_surfaces", "surface_json", "'[]'"),
    ("backtest_job_events", "event", "'progress'"),
    ("backtest_job_events", "attempt", "-1"),
    ("backtest_job_events", "details", "'[]'"),
    ("backtest_strategies", "name", "''"),
    ("backtest_strategies", "name", "repeat('n', 121)"),
    ("backtest_strategies", "note", "repeat('n', 4001)"),
    ("backtest_strategies", "template_json", "'[]'"),
    ("backtest_strategies", "source_job_id", "NULL"),
    ("backtest_strategies", "source_variant_key", "NULL"),
]


def insert(conn: psycopg.Connection, table: str, values: dict[str, str], job_id: UUID) -> None:
    conn.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})",
        {"job_id": job_id},
    )


@pytest.mark.parametrize(("table", "column", "value"), ROW_CHECKS)
def test_a_row_with_an_impossible_value_is_refused(
    conn: psycopg.Connection, table: str, column: str, value: str
) -> None:
    job_id = a_job(conn)
    beside = {"trades_omitted": {"trades_json": "'[]'"}}.get(column, {})
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(conn, table, VALUES[table] | beside | {column: value}, job_id)
    assert caught.value.diag.constraint_name == f"{table}_{NAMED_OTHERWISE.get(column, column)}"


def test_every_check_has_its_test(conn: psycopg.Connection) -> None:
    named = {
        name
        for (name,) in conn.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        )
    }
    tested = {f"backtest_jobs_{constraint}" for constraint, _, _ in JOB_CHECKS}
    tested |= {f"{table}_{NAMED_OTHERWISE.get(column, column)}" for table, column, _ in ROW_CHECKS}
    tested.add("backtest_job_events_client")
    tested |= {f"backtest_switches_{column}" for column, _ in SWITCH_CHECKS}
    tested |= {f"backtest_job_shards_{constraint}" for constraint, _ in shard_rows.CHECKS}
    tested |= {"backtest_job_plans_stage", "backtest_job_plans_shards"}
    # Inserted, not updated, and the one row of one table: they have tests of their own.
    assert named - tested == {"backtest_jobs_state", "backtest_jobs_schema_compat_only_row"}


def test_there_is_one_oldest_program(conn: psycopg.Connection) -> None:
    for value in ("true", "false"):
        with pytest.raises(psycopg.errors.IntegrityError), conn.transaction():
            conn.execute(
                "INSERT INTO backtest_jobs_schema_compat (only_row, oldest_program_revision)"
                f" VALUES ({value}, '0001')"
            )


@pytest.mark.parametrize("client", list(Client))
def test_an_event_of_a_user_says_what_they_acted_through(
    conn: psycopg.Connection, client: Client
) -> None:
    details = f"""'{{"client": "{client}"}}'"""
    insert(
        conn, "backtest_job_events", EVENT | {"actor": "'user'", "details": details}, a_job(conn)
    )


@pytest.mark.parametrize("details", ["{}", '{"client": null}', '{"client": "curl"}'])
def test_an_event_of_a_user_of_no_client_is_refused(conn: psycopg.Connection, details: str) -> None:
    event = EVENT | {"actor": "'user'", "details": f"'{details}'"}
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        insert(conn, "backtest_job_events", event, a_job(conn))
    assert caught.value.diag.constraint_name == "backtest_job_events_client"


@pytest.mark.parametrize("length", [1, 255])
def test_an_idempotency_key_has_up_to_255_characters(conn: psycopg.Connection, length: int) -> None:
    conn.execute(
        "UPDATE backtest_jobs SET idempotency_key = repeat('ä', %s) WHERE job_id = %s",
        [length, a_job(conn)],
    )


@pytest.mark.parametrize(
    "column", ["trades_json", "equity_json", "test_trades_json", "test_equity_json"]
)
def test_omitted_trades_are_not_there(conn: psycopg.Connection, column: str) -> None:
    job_id = a_job(conn)
    insert(conn, "backtest_job_top_variants", VARIANT | {"trades_omitted": "true"}, job_id)
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(f"UPDATE backtest_job_top_variants SET {column} = '[]'")


# --- the same words in the database and in Python

WORDS = {
    "backtest_jobs_state": State,
    "backtest_jobs_mode": Mode,
    "backtest_jobs_stage": Stage,
    "backtest_job_events_event": EventName,
    "backtest_job_plans_stage": [stage for stage in Stage if stage is not Stage.FINALIZING],
    "backtest_job_shards_state": ShardState,
}


def lists_of_words(conn: psycopg.Connection) -> dict[str, set[str]]:
    """Every check that a column is one of some words, as the database prints it."""
    rows = conn.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    ).fetchall()
    return {
        name: set(re.findall(r"'([^']*)'::text", text))
        for name, text in rows
        if re.fullmatch(r"CHECK \(\((\w+ = ANY \(ARRAY\[[^\]]*\]\))\)\)( NOT VALID)?", text)
    }


def test_every_list_of_words_in_the_database_is_an_enumeration(conn: psycopg.Connection) -> None:
    assert lists_of_words(conn) == {
        name: {str(word) for word in enumeration} for name, enumeration in WORDS.items()
    }


# --- keys


@pytest.mark.parametrize("change", [{"rank": "2"}, {"variant_key": "'other'"}])
def test_a_rank_and_a_variant_occur_once_per_job(
    conn: psycopg.Connection, change: dict[str, str]
) -> None:
    job_id = a_job(conn)
    insert(conn, "backtest_job_top_variants", VARIANT, job_id)
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(conn, "backtest_job_top_variants", VARIANT | change, job_id)


@pytest.mark.parametrize("table", ["backtest_job_validation", "backtest_job_surfaces"])
def test_a_search_is_answered_once_and_a_surface_occurs_once(
    conn: psycopg.Connection, table: str
) -> None:
    job_id = a_job(conn)
    insert(conn, table, ROWS[table], job_id)
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(conn, table, ROWS[table], job_id)


def test_an_idempotency_key_occurs_once_per_user(conn: psycopg.Connection) -> None:
    user_id = uuid4()
    ids = [a_job(conn), a_job(conn)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(
            "UPDATE backtest_jobs SET user_id = %s, idempotency_key = 'k' WHERE job_id = ANY(%s)",
            [user_id, ids],
        )


def test_a_name_of_a_strategy_occurs_once_per_user_and_case_counts(
    conn: psycopg.Connection,
) -> None:
    user_id, other = uuid4(), uuid4()
    insert(conn, "backtest_strategies", STRATEGY, user_id)
    insert(conn, "backtest_strategies", STRATEGY, other)
    insert(conn, "backtest_strategies", STRATEGY | {"name": "'N'"}, user_id)
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(conn, "backtest_strategies", STRATEGY, user_id)


@pytest.mark.parametrize("length", [1, 120])
def test_a_name_has_up_to_120_characters(conn: psycopg.Connection, length: int) -> None:
    name = f"repeat('ä', {length})"
    conn.execute(
        f"UPDATE backtest_jobs SET name = {name}, name_folded = {name} WHERE job_id = %s",
        [a_job(conn)],
    )
    insert(conn, "backtest_strategies", STRATEGY | {"name": name}, uuid4())


@pytest.mark.parametrize("table", ROWS)
def test_rows_need_their_job(conn: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        insert(conn, table, ROWS[table], uuid4())


def test_deleting_a_job_deletes_its_rows(conn: psycopg.Connection) -> None:
    job_id = a_job(conn)
    for table, values in ROWS.items():
        insert(conn, table, values, job_id)
    conn.execute("DELETE FROM backtest_jobs WHERE job_id = %s", [job_id])
    for table in ROWS:
        assert conn.execute(f"SELECT FROM {table} WHERE job_id = %s", [job_id]).rowcount == 0


# --- switches


SWITCH_CHECKS = [
    ("name", "'stop', true, NULL, 'me'"),
    ("reason", "'pause', true, '', 'me'"),
    ("reason", f"'pause', true, '{'x' * 501}', 'me'"),
    ("reason", "'pause', false, 'why', 'me'"),
    ("changed_by", "'pause', true, NULL, ''"),
    ("changed_by", f"'pause', true, NULL, '{'x' * 201}'"),
]


@pytest.mark.parametrize(("column", "values"), SWITCH_CHECKS)
def test_a_switch_that_means_nothing_is_refused(
    conn: psycopg.Connection, column: str, values: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        conn.execute(
            f"INSERT INTO backtest_switches (name, is_on, reason, changed_by) VALUES ({values})"
        )
    assert caught.value.diag.constraint_name == f"backtest_switches_{column}"
