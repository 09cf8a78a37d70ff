"""Rows as answers: all JSON of the answers is made here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.verdict import verdict
from storage.records import Event, Job, State

Json = dict[str, Any]


def time(at: datetime) -> str:
    """Write a time as `2024-01-01T00:00:00Z`, with microseconds where there are some."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def plain(values: Mapping[str, Any]) -> Json:
    """Return values of a row in JSON types."""
    return {name: _value(value) for name, value in values.items()}


def status(job: Job, rows: Sequence[Json]) -> Json:
    """Return what a user may know of a job: no lease, no wake-ups.

    `rows` is what a verdict needs of its top rows, from `storage.results.outline`.
    """
    shown = plain(
        {
            "job_id": job.job_id,
            "name": getattr(job, "name", None),  # INTERIM
            "note": getattr(job, "note", None),  # INTERIM
            "mode": job.mode,
            "state": job.state,
            "stage": job.stage,
            "progress": progress(job),
            "attempt": job.attempt,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "cancel_requested_at": job.cancel_requested_at,
            "progress_updated_at": job.progress_updated_at,
            "request_hash": job.request_hash,
            "engine_params_hash": job.engine_params_hash,
            "backtest_runtime_config_hash": job.backtest_runtime_config_hash,
            "spec_hash": job.spec_hash,
            "spec_payload": job.spec_payload_json,
            "engine_version": job.engine_version,
            "request": job.request_json,
            "coverage": job.coverage_json,
            "outcomes": job.outcomes_json,
            "verdict": verdict(
                coverage=job.coverage_json,
                outcomes=job.outcomes_json,
                top=rows,
                request=job.request_json,
                state=job.state,
            ),
        }
    )
    if job.state is State.FAILED:
        shown |= {"last_error": job.last_error, "last_error_json": job.last_error_json}
    return shown


def progress(job: Any) -> Json | None:
    """Return how far a running job is; the rate is that of its stage up to the last news.

    It needs no clock of ours: as long as the job tells nothing new, the answer is the same.
    """
    if job.state is not State.RUNNING:
        return None
    rate = eta = None
    if getattr(job, "stage_started_at", None) is not None and job.progress_updated_at is not None:
        seconds = (job.progress_updated_at - job.stage_started_at).total_seconds()
        if seconds > 0 and job.processed_units > 0:
            rate = job.processed_units / seconds
            eta = max(0, job.total_units - job.processed_units) / rate
    return {
        "stage": job.stage or State.QUEUED,
        "done": job.processed_units,
        "total": job.total_units,
        "rate": None if rate is None else float(f"{rate:.4g}"),
        "eta": None if eta is None else round(eta, 1),
    }


def event(row: Event) -> Json:
    """Return what happened to a job."""
    return plain(asdict(row)) | {}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return time(value)
    if isinstance(value, UUID):
        return str(value)
    return value
