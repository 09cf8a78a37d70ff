"""What a job has found: the shortlist of stage A, and the top variants.

Writes are guarded by the lease like those of `storage.leases`. Rows travel as one JSON document
that is ready before the transaction begins, so that the job's row is locked for a moment only.
"""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from storage import statements
from storage.records import Lease, Shortlist, State, StoredShortlist, TopVariant

_SQL = statements.load("results")


def save_shortlist(conn: psycopg.Connection[Any], lease: Lease, shortlist: Shortlist) -> bool:
    """Store the result of stage A, in place of an earlier attempt's; False when the lease is lost.

    Indexes may be numpy integers.
    """
    values = lease.guard() | {
        "indexes": Jsonb([int(index) for index in shortlist.indexes]),
        "stage_a_variants_total": shortlist.stage_a_variants_total,
        "risk_total": shortlist.risk_total,
        "preselect_used": shortlist.preselect_used,
        "engine_version": shortlist.engine_version,
        "candles_hash": shortlist.candles_hash,
    }
    return conn.execute(_SQL["save_shortlist"], values).rowcount == 1


def shortlist(conn: psycopg.Connection[Any], job_id: UUID) -> StoredShortlist | None:
    """Read the shortlist of a job, whichever attempt wrote it."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["shortlist"], {"job_id": job_id}).fetchone()
    if row is None:
        return None
    attempt, updated_at = row.pop("attempt"), row.pop("updated_at")
    return StoredShortlist(Shortlist(**row), attempt=attempt, updated_at=updated_at)


def save_snapshot(conn: psycopg.Connection[Any], lease: Lease, rows: Iterable[TopVariant]) -> bool:
    """Replace all top variants by the best so far; False when the lease is lost.

    Report, trades and equity are left out: they are stored once, when the job succeeds.
    """
    values = lease.guard() | {"rows": _document(rows, reports=False)}
    with conn.transaction():
        if conn.execute(_SQL["lock_owned"], values).fetchone() is None:
            return False
        _replace(conn, values)
    return True


def succeed(
    conn: psycopg.Connection[Any], lease: Lease, rows: Iterable[TopVariant]
) -> State | None:
    """Store the final rows with their reports and end the job, in one transaction.

    Returns `succeeded`; or `cancelled` when that was requested, and then no row is written; or
    None when the lease is lost. After an error, `leases.own_end` tells whether it was committed.
    """
    values = lease.guard() | {"rows": _document(rows, reports=True)}
    with conn.transaction():
        owned = conn.execute(_SQL["lock_owned"], values).fetchone()
        if owned is None:
            return None
        (cancel_requested,) = owned
        if not cancel_requested:
            _replace(conn, values)
        ended = conn.execute(_SQL["succeed"], values).fetchone()
        assert ended is not None  # the row has been locked by us since the guard
        return State(ended[0])


def top(conn: psycopg.Connection[Any], job_id: UUID, limit: int) -> list[TopVariant]:
    """Read the best `limit` variants by rank."""
    with conn.cursor(row_factory=class_row(TopVariant)) as cursor:
        return cursor.execute(_SQL["top"], {"job_id": job_id, "limit": limit}).fetchall()


def _replace(conn: psycopg.Connection[Any], values: dict[str, Any]) -> None:
    conn.execute(_SQL["delete_top"], values)
    conn.execute(_SQL["insert_top"], values)


def _document(rows: Iterable[TopVariant], *, reports: bool) -> str:
    # NaN and infinity are no JSON; writing them is refused here, before anything is locked.
    return json.dumps([_plain(row, reports=reports) for row in rows], allow_nan=False)


def _plain(row: TopVariant, *, reports: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "rank": row.rank,
        "variant_key": row.variant_key,
        "indicator_variant_key": row.indicator_variant_key,
        "variant_index": row.variant_index,
        "total_return_pct": row.total_return_pct,
        "metrics_json": row.metrics_json,
        "payload_json": row.payload_json,
    }
    if reports:
        plain |= {
            "report_table_md": row.report_table_md,
            "trades_json": row.trades_json,
            "equity_json": row.equity_json,
        }
    return plain
