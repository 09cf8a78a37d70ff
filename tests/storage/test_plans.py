"""How Postgres executes the statements: indexes used, and updates that touch no index."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import leases, results, shards, statements
from storage.records import Stage
from tests.storage.busy import USER
from tests.storage.making import COVERAGE, OUTCOMES, OWNER, SHORTLIST, claimed
from tests.storage.sharing import CANDLES, ENGINE, helped, helper, planned

VALUES: dict[str, Any] = {
    "job_id": uuid4(),
    "user_id": USER,
    "locked_by": OWNER,
    "actor": OWNER,
    "request_version": 1,
    "waiting": [uuid4()],
    "attempt": 1,
    "lease_seconds": 60,
    "max_crashes": 3,
    "engine_version": "engine-1",
    "limit": 100,
    "states": ["queued", "succeeded"],
    "most": [None, 1001],
    "batch": 100,
    "redispatch_seconds": 30,
    "days": 10,
    "idempotency_key": "k",
    "state": "queued",
    "stage": "stage_a",
    "processed": 1,
    "before": 0,
    "total": 2,
    "job_ids": [uuid4()],
    "first": UUID(hex="3f0c" + "0" * 28),
    "last": UUID(hex="3f0c" + "f" * 28),
    "dispatch_counts": [1],
    "renames": True,
    "notes": True,
    "name": "n",
    "name_folded": "n",
    "note": "n",
    "client": "api",
    "symbol": None,
    "before_created_at": "infinity",
    "before_id": uuid4(),
    "pattern": "sweep%",
    "examined": 100,
    "seen": [0],
    "user_ids": [USER],
    "listed": [uuid4() for _ in range(50)],
    "finished_within": 30,
    "bounds": [60.0, 600.0],
    "within": 3600,
    "expired": 10,
    "cancel": 60,
    "finalizing": 60,
    "progress": 60,
    "queued": 600,
    "plan_id": uuid4(),
    "engine_identity": ENGINE,
    "candles_hash": CANDLES,
    "shards": "[]",
    "shard": 0,
    "shard_lease_seconds": 10,
    "result": b"",
    "after": -1,
    "stages": ["stage_a"],
    **dict.fromkeys(("code", "message", "details")),
}
NO_FILTER: dict[str, Any] = {"state": None, "symbol": None}
EARLIER = {"before_created_at": "2020-01-01 00:00Z", "before_id": UUID(int=5)}


def relations(plan: dict[str, Any]) -> set[tuple[str, str]]:
    """(node type, index or relation) of every node of a plan."""
    return {
        (node["Node Type"], node.get("Index Name") or node.get("Relation Name", ""))
        for node in nodes(plan)
    }


@pytest.mark.parametrize(
    ("file", "name", "index"),
    [
        ("leases", "claim", "backtest_jobs_pkey"),
        ("leases", "renew", "backtest_jobs_pkey"),
        ("leases", "progress", "backtest_jobs_pkey"),
        ("leases", "recognise", "backtest_jobs_pkey"),
        ("dispatch", "postpone_waiting", "backtest_jobs_pkey"),
        ("dispatch", "mark_due", "backtest_jobs_wake_up"),
        ("jobs", "find_jobs", "backtest_jobs_pkey"),
        ("jobs", "count_active", "backtest_jobs_active_of_user"),
        ("jobs", "get_by_idempotency_key", "backtest_jobs_idempotency"),
        ("jobs", "delete_finished", "backtest_jobs_retention"),
        ("jobs", "describe", "backtest_jobs_pkey"),
        ("jobs", "cancel_jobs", "backtest_jobs_pkey"),
        ("jobs", "jobs_of_user", "backtest_jobs_pkey"),
        ("jobs", "events_of_job", "backtest_job_events_of_job"),
        ("lists", "matches", "backtest_jobs_by_name"),
        ("lists", "matches", "backtest_jobs_pkey"),
        ("lists", "page_of_matches", "backtest_jobs_by_name"),
        ("lists", "page_of_matches", "backtest_jobs_pkey"),
        ("lists", "lines", "backtest_jobs_pkey"),
        ("lists", "counts", "backtest_jobs_list_by_state"),
        ("operating", "ended", "backtest_jobs_retention"),
        ("operating", "events", "backtest_job_events_pkey"),
        ("watching", "watched", "backtest_jobs_pkey"),
        ("watching", "watched", "backtest_job_shards_pkey"),
        ("watching", "events", "backtest_job_events_of_job"),
        ("watching", "lines", "backtest_jobs_active_of_user"),
        ("watching", "lines", "backtest_jobs_retention"),
        ("watching", "lines", "backtest_jobs_pkey"),
        ("plans", "plan", "backtest_jobs_pkey"),
        ("plans", "adopt", "backtest_jobs_pkey"),
        ("plans", "claim", "backtest_jobs_pkey"),
        ("plans", "claim", "backtest_job_shards_pkey"),
        ("plans", "progress", "backtest_jobs_pkey"),
        ("plans", "progress", "backtest_job_shards_pkey"),
        ("plans", "tally", "backtest_job_shards_pkey"),
        ("plans", "next_result", "backtest_job_shards_pkey"),
        ("plans", "discard", "backtest_jobs_pkey"),
        ("shards", "offer", "backtest_job_shards_pkey"),
        ("shards", "claim", "backtest_jobs_pkey"),
        ("shards", "claim", "backtest_job_shards_pkey"),
        ("shards", "beat", "backtest_jobs_pkey"),
        ("shards", "beat", "backtest_job_shards_pkey"),
        ("shards", "finish", "backtest_job_shards_pkey"),
        ("shards", "fail", "backtest_job_shards_pkey"),
        ("shards", "give_back", "backtest_job_shards_pkey"),
        ("shards", "lines", "backtest_job_shards_pkey"),
        ("dispatch", "help_wanted", "backtest_job_shards_pkey"),
        ("dispatch", "sweep_plans", "backtest_jobs_pkey"),
    ],
)
def test_a_statement_uses_its_index(
    busy: psycopg.Connection, file: str, name: str, index: str
) -> None:
    plan = explain(busy, file, name)
    scans = relations(plan)
    assert index in {relation for _, relation in scans}, json.dumps(plan, indent=1)
    assert not {("Seq Scan", "backtest_jobs"), ("Seq Scan", "backtest_job_shards")} & scans


@pytest.mark.parametrize("name", ["queue", "leases", "running_stuck", "queued_stuck"])
def test_what_operators_look_at_is_read_from_active_jobs_alone(
    busy: psycopg.Connection, name: str
) -> None:
    scans = relations(explain(busy, "operating", name))
    assert ("Seq Scan", "backtest_jobs") not in scans
    # The last one skips from user to user, and reads of each the jobs of one state.
    active = {
        "backtest_jobs_wake_up",
        "backtest_jobs_active_of_user",
        "backtest_jobs_list_by_state",
    }
    used = {index for kind, index in scans if "Index" in kind and index.startswith("backtest_jobs")}
    assert used
    assert used <= active


@pytest.mark.parametrize("place", [{}, EARLIER], ids=["first page", "deep"])
@pytest.mark.parametrize("name", ["page", "examine"])
@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "backtest_jobs_list"),
        ({"state": "succeeded"}, "backtest_jobs_list_by_state"),
        ({"state": "failed"}, "backtest_jobs_list_by_state"),
        ({"symbol": "BTCUSDT"}, "backtest_jobs_list_by_symbol"),
        ({"symbol": "NONE"}, "backtest_jobs_list_by_symbol"),
        (
            {"symbol": "BTCUSDT", "state": "queued"},
            "backtest_jobs_list_by_symbol_and_state",
        ),
    ],
    ids=str,
)
def test_every_filter_of_a_list_is_read_in_the_order_of_an_index(
    busy: psycopg.Connection,
    name: str,
    filters: dict[str, Any],
    index: str,
    place: dict[str, Any],
) -> None:
    plan = explain(busy, "lists", name, NO_FILTER | filters | place)
    (scan,) = [node for node in nodes(plan) if node.get("Relation Name") == "backtest_jobs"]
    assert (scan["Node Type"], scan["Index Name"]) in (
        ("Index Scan", index),
        ("Index Only Scan", index),
    )
    assert "Filter" not in scan, scan  # what is read is what is listed


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize(
    "name",
    ["postpone_waiting", "mark_due", "unmark", "sweep", "gauges", "help_wanted", "sweep_plans"],
)
def test_the_scheduler_reads_no_finished_job(busy: psycopg.Connection, name: str) -> None:
    assert ("Seq Scan", "backtest_jobs") not in relations(explain(busy, "dispatch", name))


def explain(
    conn: psycopg.Connection, file: str, name: str, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    text = statements.load(file)[name]
    row = conn.execute(f"EXPLAIN (FORMAT JSON) {text}", VALUES | (values or {})).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def test_beats_and_progress_touch_no_index_and_copy_no_large_document(
    connection: psycopg.Connection,
) -> None:
    held = [claimed(connection) for _ in range(10)]
    for lease in held:
        assert results.save_coverage(connection, lease, COVERAGE)
        assert results.save_shortlist(connection, lease, SHORTLIST, MANY_OUTCOMES)
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = updates(connection, "backtest_jobs")
    documents = pieces_of_large_documents(connection)
    assert documents > 0
    rounds = 100
    for number in range(rounds):
        for lease in held:
            assert leases.renew(connection, lease)
            assert leases.progress(connection, lease, Stage.STAGE_B, number, rounds)
    connection.execute("SELECT pg_stat_force_next_flush()")
    after = updates(connection, "backtest_jobs")
    total, hot = (now - earlier for now, earlier in zip(after, before, strict=True))
    assert total == rounds * len(held) * 2
    # A snapshot that something else takes meanwhile may keep a few old versions on their page.
    assert hot >= 0.95 * total
    assert pieces_of_large_documents(connection) == documents


MANY_OUTCOMES = OUTCOMES | {
    "total_return_pct": {
        "bins": [[131_072 + number, number * 7919 % 104_729] for number in range(5000)],
        "undefined": 0,
        "infinite": 0,
    }
}


def pieces_of_large_documents(conn: psycopg.Connection) -> int:
    """How many have ever been written for jobs."""
    row = conn.execute(
        "SELECT n_tup_ins + n_tup_upd FROM pg_stat_all_tables AS piece"
        " JOIN pg_class AS job ON piece.relid = job.reltoastrelid"
        " WHERE job.relname = 'backtest_jobs'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def updates(conn: psycopg.Connection, table: str) -> tuple[int, int]:
    """How many rows were updated, and how many of them without touching an index."""
    row = conn.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relname = %s", [table]
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_what_happens_to_shards_touches_no_index(connection: psycopg.Connection) -> None:
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = updates(connection, "backtest_job_shards")
    plan = planned(connection, claimed(connection), 200)
    workers = [helper(f"host-{number}-0") for number in range(10)]
    beats = 4
    for _ in range(20):
        held = [helped(connection, plan, who).lease for who in workers]
        for number in range(beats):
            assert all(shards.beat(connection, lease, number) for lease in held)
        assert all(shards.finish(connection, lease, LARGE_RESULT) for lease in held)
    connection.execute("SELECT pg_stat_force_next_flush()")
    after = updates(connection, "backtest_job_shards")
    total, hot = (now - earlier for now, earlier in zip(after, before, strict=True))
    assert total == 200 * (beats + 2)
    assert hot >= 0.95 * total  # as above


LARGE_RESULT = bytes(5000)


BEAT_COLUMNS = {
    "updated_at",
    "stage",
    "processed_units",
    "total_units",
    "progress_updated_at",
    "lease_expires_at",
    "heartbeat_at",
}


SHARD_COLUMNS = {
    *("state", "locked_by", "attempt", "crash_count", "lease_expires_at", "heartbeat_at"),
    *("processed_units", "result", "error", "updated_at"),
}


@pytest.mark.parametrize(
    ("table", "columns"), [("backtest_jobs", BEAT_COLUMNS), ("backtest_job_shards", SHARD_COLUMNS)]
)
def test_no_index_names_a_column_that_beats_change(
    connection: psycopg.Connection, table: str, columns: set[str]
) -> None:
    for (definition,) in connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table]
    ):
        assert not columns & set(re.findall(r"\w+", definition)), definition
