"""What a job has found: the shortlist of stage A, the top variants, what was asked of its search.

Writes are guarded by the lease like those of `storage.leases`, and belong into one transaction.
Rows travel as one text that is ready before the transaction begins, so that the job's row is locked
for a moment only; `storage.result_texts` makes it, and that of what was asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from storage import leases, statements
from storage.asking import Ask
from storage.one_message import together
from storage.records import (
    Lease,
    Shortlist,
    State,
    StoredShortlist,
    SurfaceText,
    TopText,
    TopVariant,
    ValidationText,
)

_SQL = statements.load("results")


def save_coverage(conn: psycopg.Connection[Any], lease: Lease, coverage: Mapping[str, Any]) -> bool:
    """Store what of its range the job's candles cover; False when the lease is lost."""
    values = lease.values() | {"coverage": Jsonb(coverage)}
    return conn.execute(_SQL["save_coverage"], values).rowcount == 1


def save_shortlist(
    conn: psycopg.Connection[Any],
    lease: Lease,
    shortlist: Shortlist,
    outcomes: Mapping[str, Any],
) -> bool:
    """Store the result of stage A, in place of an earlier attempt's; False when the lease is lost.

    `outcomes` are the statistics of the search. They and the shortlist are stored together or not
    at all, so that who resumes from the one has the other. Indexes and twins may be numpy integers.
    """
    twins = shortlist.twins
    values = lease.values() | {
        "outcomes": Jsonb(outcomes),
        "indexes": Jsonb([int(index) for index in shortlist.indexes]),
        "twins": None if twins is None else Jsonb([int(count) for count in twins]),
        "stage_a_variants_total": shortlist.stage_a_variants_total,
        "risk_total": shortlist.risk_total,
        "preselect_used": shortlist.preselect_used,
        "engine_version": shortlist.engine_version,
        "candles_hash": shortlist.candles_hash,
    }
    names = ("save_outcomes", "forget_twins", "save_shortlist")
    saved_outcomes, _, saved = together(conn, values, *(_SQL[name] for name in names))
    return (saved_outcomes, saved) == (1, 1)


def shortlist(conn: psycopg.Connection[Any], job_id: UUID) -> StoredShortlist | None:
    """Read the shortlist of a job, whichever attempt wrote it."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["shortlist"], {"job_id": job_id}).fetchone()
    if row is None:
        return None
    attempt, updated_at = row.pop("attempt"), row.pop("updated_at")
    return StoredShortlist(Shortlist(**row), attempt=attempt, updated_at=updated_at)


def candles_hash(job_id: UUID) -> Ask[str | None]:
    """Read which candles a job was computed from; None before stage A has ended."""
    return Ask(_SQL["candles_hash"], {"job_id": job_id}, _only)


def outcomes(job_id: UUID) -> Ask[dict[str, Any] | None]:
    """Read the statistics of a job's search with their histograms; None until stage A has ended."""
    return Ask(_SQL["outcomes"], {"job_id": job_id}, _only)


def save_snapshot(conn: psycopg.Connection[Any], lease: Lease, rows: str) -> bool:
    """Replace all top variants by the best so far; False when the lease is lost."""
    if leases.renew(conn, lease) is None:
        return False
    _replace(conn, lease, rows)
    return True


def succeed(
    conn: psycopg.Connection[Any], lease: Lease, rows: str, found: str | None = None
) -> State | None:
    """Store the final rows, which have reports, and end the job.

    `found` is what was asked of its search, where it was asked for anything. Returns `succeeded`;
    or `cancelled` when that was requested, and then no row is written; or None when the lease is
    lost. After an error, `leases.own_end` tells whether it was committed.
    """
    state = leases.end(conn, lease, State.SUCCEEDED)  # first: it locks the job's row, and decides
    if state is State.SUCCEEDED:
        _replace(conn, lease, rows)
        if found is not None:
            conn.execute(_SQL["save_answers"], {"job_id": lease.job_id, "answers": found})
    return state


def top_as_text(
    job_id: UUID, limit: int, *, report: bool = False, trades: bool = False, equity: bool = False
) -> Ask[list[TopText]]:
    """Read the best `limit` variants by rank, to be passed on: nobody looks into their JSON.

    What is not asked for is None, and is not read; report, trades and equity are those of a job
    that has succeeded. `beside_json` comes without the list of neighbours, which is long.
    """
    values = {
        "job_id": job_id,
        "limit": limit,
        "report": report,
        "trades": trades,
        "equity": equity,
    }
    return Ask(_SQL["top_as_text"], values, lambda rows: [TopText(*row) for row in rows])


def top_version(job_id: UUID, limit: int) -> Ask[tuple[int, int | None]]:
    """Read what `version_of` makes of the best `limit` variants, without reading them."""
    values = {"job_id": job_id, "limit": limit}
    return Ask(_SQL["top_version"], values, lambda rows: tuple(rows[0]))


def version_of(rows: Sequence[TopText]) -> tuple[int, int | None]:
    """Return what is another one as soon as any of these rows was written anew or taken away."""
    return len(rows), max((row.written_by for row in rows), default=None)


def variant(conn: psycopg.Connection[Any], job_id: UUID, variant_key: str) -> TopVariant | None:
    """Read one stored variant with its report, trades and equity."""
    values = {"job_id": job_id, "variant_key": variant_key}
    with conn.cursor(row_factory=class_row(TopVariant)) as cursor:
        return cursor.execute(_SQL["variant"], values).fetchone()


def variant_as_text(job_id: UUID, variant_key: str) -> Ask[TopText | None]:
    """Read one stored variant as `variant` does, to be passed on."""
    values = {"job_id": job_id, "variant_key": variant_key}
    return Ask(_SQL["variant_as_text"], values, lambda rows: TopText(*rows[0]) if rows else None)


def figures(job_id: UUID) -> Ask[dict[str, Any] | None]:
    """Read the figures that were found for a search; None until it has succeeded, or not asked."""
    return Ask(_SQL["figures"], {"job_id": job_id}, _only)


def validation(job_id: UUID) -> Ask[ValidationText | None]:
    """Read all that was asked of a search but its surfaces, to be passed on; None as `figures`."""
    return Ask(
        _SQL["validation"],
        {"job_id": job_id},
        lambda rows: ValidationText(*rows[0]) if rows else None,
    )


def surface(job_id: UUID, number: int) -> Ask[SurfaceText | None]:
    """Read one surface of a search, to be passed on; None where there is none of this number."""
    return Ask(
        _SQL["surface"],
        {"job_id": job_id, "number": number},
        lambda rows: SurfaceText(*rows[0]) if rows else None,
    )


def outline(job_id: UUID) -> Ask[list[dict[str, Any]]]:
    """Read what a verdict needs of the rows, by rank: figures of the best, of the others nothing.

    Those are read for every look at a job, and nobody wants more than their number.
    """

    def made(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not rows:
            return []
        others: list[dict[str, Any]] = [{}] * (rows[0].pop("variants") - 1)
        return [rows[0], *others]

    return Ask(_SQL["outline"], {"job_id": job_id}, made, rows=dict_row)


def _only(rows: list[tuple[Any]]) -> Any:
    return rows[0][0] if rows else None


def _replace(conn: psycopg.Connection[Any], lease: Lease, rows: str) -> None:
    # Before them the transaction has locked the job's row.
    conn.execute(_SQL["replace_top"], {"job_id": lease.job_id, "rows": rows})
