"""How much a statement reads: what it needs, whatever the number of jobs that have ended.

Each is executed as it is in use, on a job that is running, and taken back. `rows` are those that
its scans touch, also where a filter then drops them; `blocks` are pages of 8 kB.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from storage import result_texts, statements
from tests.storage.busy import FINISHED, RUNNING, SHARDS, USER, WAITING
from tests.storage.making import OUTCOMES, OWNER, SUCCESSOR, answered, expire, variants
from tests.storage.test_plans import NO_FILTER, VALUES, nodes

ACTIVE = WAITING + RUNNING
TOP = 300


@dataclass(frozen=True)
class Bound:
    rows: int
    blocks: int


ONE_JOB = Bound(rows=20, blocks=150)
BOUNDS: dict[str, Bound] = {
    **dict.fromkeys(
        [
            *("leases.claim", "leases.claimable", "leases.recognise", "leases.renew"),
            "leases.claim_queued",
            *("leases.progress", "leases.start_stage", "leases.resumed_from_shortlist"),
            *("leases.end", "leases.release", "leases.own_end"),
            *("results.save_coverage", "results.save_outcomes"),
            *("results.save_shortlist", "results.shortlist", "results.candles_hash"),
            *("results.outcomes", "results.variant"),
            *("results.figures", "results.validation", "results.surface"),
            *("jobs.get_job", "jobs.get_by_idempotency_key", "jobs.alike", "jobs.give_key_up"),
            *("jobs.insert_job", "jobs.cancel_jobs", "jobs.events_of_job", "jobs.jobs_of_user"),
            *("jobs.describe", "watching.events", "lists.lines"),
        ],
        ONE_JOB,
    ),
    # With all shards of the stage, which are as many rows as it tells of; the plans, one of each
    # job that runs, are a page that is read through.
    "watching.watched": Bound(rows=20 + RUNNING + SHARDS, blocks=150),
    "results.forget_twins": Bound(rows=60, blocks=150),
    "results.outline": Bound(rows=60, blocks=150),
    "results.replace_top": Bound(rows=2 * TOP, blocks=30 * TOP),
    "results.save_answers": Bound(rows=50, blocks=150),
    "results.top_as_text": Bound(rows=100, blocks=150),
    "results.top_version": Bound(rows=100, blocks=150),
    "dispatch.postpone_waiting": Bound(rows=150, blocks=600),
    "dispatch.unmark": Bound(rows=150, blocks=600),
    # What waits and what runs is looked through, what has ended is not.
    "jobs.count_active": Bound(rows=ACTIVE, blocks=ACTIVE),
    "dispatch.mark_due": Bound(rows=400, blocks=3000),
    "dispatch.sweep": Bound(rows=ACTIVE, blocks=4 * ACTIVE),
    "dispatch.gauges": Bound(rows=2 * ACTIVE, blocks=4 * ACTIVE),
    "jobs.delete_finished": Bound(rows=1000, blocks=5000),
    # One look in the index for each user, and what is found there.
    "jobs.of_instrument": Bound(rows=20, blocks=150),
    "jobs.find_jobs": Bound(rows=100, blocks=500),
    "lists.page": Bound(rows=400, blocks=3000),
    "lists.counts": Bound(rows=ACTIVE + 2000, blocks=ACTIVE + 2000),
    "lists.matches": Bound(rows=400, blocks=1000),
    "watching.lines": Bound(rows=3 * ACTIVE, blocks=8 * ACTIVE),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_statement_reads_what_it_needs(busy: psycopg.Connection, name: str) -> None:
    file, _, statement = name.partition(".")
    text = statements.load(file)[statement]
    with busy.transaction(force_rollback=True):
        values = in_use(busy, name)
        row = busy.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", VALUES | NO_FILTER | values
        ).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    rows = sum(scanned(node) for node in nodes(plan))
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert rows <= BOUNDS[name].rows, (rows, plan)
    assert blocks <= BOUNDS[name].blocks, (blocks, plan)


def test_there_are_many_more_jobs_than_any_bound() -> None:
    assert FINISHED >= 20_000
    assert all(bound.rows < FINISHED for name, bound in BOUNDS.items() if bound.rows < ACTIVE)


def scanned(node: dict[str, Any]) -> int:
    """Rows of a table that a node has looked at."""
    if "Relation Name" not in node or "Scan" not in node["Node Type"]:
        return 0
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return round((node["Actual Rows"] + dropped) * node["Actual Loops"])


def in_use(conn: psycopg.Connection, name: str) -> dict[str, Any]:
    """Values as the programs send them, for a job that is running."""
    found = conn.execute(
        "SELECT job_id, attempt, user_id FROM backtest_jobs WHERE state = 'running' LIMIT 1"
    ).fetchone()
    assert found is not None
    job_id, attempt, user_id = found
    queued: list[UUID] = [
        job_id
        for (job_id,) in conn.execute(
            "SELECT job_id FROM backtest_jobs WHERE state = 'queued' ORDER BY created_at LIMIT 32"
        )
    ]
    values: dict[str, Any] = {
        "job_id": job_id,
        "attempt": attempt,
        "locked_by": OWNER,
        "actor": OWNER,
        "waiting": queued,
        "limit": 100,
        "job_ids": [job_id],
        "dispatch_counts": [1],
        "user_id": user_id,
        "user_ids": [user_id],
        "state": "succeeded" if name == "leases.end" else None,
        "name": "n",
        "name_folded": "n",
        "note": None,
        "mode": "template",
        "priority": 0,
        "idempotency_key": "k",
        "submission_hash": None,
        "request_json": Jsonb({}),
        "request_hash": "r77",
        "engine_params_hash": "e",
        "backtest_runtime_config_hash": "c",
        "spec_hash": None,
        "spec_payload_json": None,
        "coverage_json": None,
        "traceparent": None,
        "coverage": Jsonb({}),
        "outcomes": Jsonb(OUTCOMES),
        "indexes": Jsonb([1, 2, 3]),
        "twins": Jsonb([1, 2, 3]),
        "stage_a_variants_total": 3,
        "risk_total": 1,
        "preselect_used": 3,
        "engine_version": "engine-1",
        "candles_hash": "a",
        "rows": result_texts.rows(variants(TOP, reports=True, first_key=1000), reports=True),
        "answers": answered(),
        "number": 1,
        "variant_key": "key-7",
        "report": True,
        "trades": True,
        "equity": True,
        "code": None,
        "message": None,
        "details": None,
        "written_by_attempt": 1,
    }
    match name:
        case "leases.claim" | "leases.claimable":
            expire(conn, job_id)
            values |= {"actor": SUCCESSOR}
        case "leases.claim_queued":
            values |= {"job_id": queued[0], "actor": SUCCESSOR}
        case "leases.own_end":
            values |= {"state": "succeeded"}
        case "dispatch.unmark":
            values |= {"job_ids": queued, "dispatch_counts": [0] * len(queued)}
        case "jobs.alike" | "jobs.find_jobs" | "jobs.count_active":
            values |= {"user_id": USER}
        case "jobs.of_instrument":
            values |= {"symbol": "NONE", "market_id": "1"}
        case str() if name.startswith(("lists", "watching.lines")):
            values |= {"user_id": USER, "user_ids": [USER]}
    return values
