"""What user commands ask of the product, in the JSON types of its answers.

This is the only part of the user commands that knows how the product is reached. It speaks to the
database directly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from cli.errors import CommandError
from cli.submission import Submission
from configs.environment import candle_source, postgres_dsn
from storage import jobs, lists, readiness, results, schema
from storage.connection import Connection, Unreachable
from storage.records import Client, Job, NewJob, State
from storage.session import Session

Json = dict[str, Any]
Result = TypeVar("Result")

ANSWER_SECONDS = 15.0


class Service:
    """One user's view of the jobs. Use as a context manager; connects on first use.

    Raises CommandError for what the user can correct, an error that `storage.faults` calls passing
    when the database cannot be reached; the next call then tries again.
    """

    def __init__(self, environ: Mapping[str, str], user_id: UUID) -> None:
        self._environ = environ
        self._user_id = user_id
        self._session: Session | None = None

    def submit(self, document: Any, *, idempotency_key: str | None = None) -> Json:
        """Check a request, store it as a job, and return the job's status.

        With it come `warnings`, each `{"code", "message"}`, and `estimate`.
        """
        from engine.request import engine_params_hash, read_idempotency_key, request_hash

        if idempotency_key is not None:
            idempotency_key = read_idempotency_key(idempotency_key)
        checked = Submission.of(document, self._environ)
        effective = checked.effective
        new_job = NewJob(
            user_id=self._user_id,
            mode="template",
            idempotency_key=idempotency_key,
            request_json=effective,
            request_hash=request_hash(effective),
            engine_params_hash=engine_params_hash(effective),
            backtest_runtime_config_hash=checked.settings.runtime_config_hash,
            coverage_json=checked.coverage,
        )
        limit = checked.settings.backtest.jobs.max_active_jobs_per_user
        job = self._run(
            lambda conn: jobs.create(conn, new_job, max_active=limit, client=Client.CLI)
        ).job
        return _status(job) | {"warnings": checked.warnings, "estimate": checked.estimate}

    def estimate(self, document: Any) -> Json:
        """Check a request and store nothing; return it completed, `estimate` and `warnings`."""
        checked = Submission.of(document, self._environ)
        return {
            "request": checked.effective,
            "estimate": checked.estimate,
            "coverage": checked.coverage,
            "warnings": checked.warnings,
        }

    def status(self, job_id: UUID) -> Json:
        """Return one job, and what to make of it."""
        job, rows = self._run(lambda conn: (jobs.get(conn, job_id), results.outline(conn, job_id)))
        if job is None:
            raise CommandError(f"there is no job {job_id}; `backtest jobs` lists yours")
        if job.user_id != self._user_id:
            raise CommandError(f"job {job_id} belongs to another user: give theirs with --user")
        return _status(job) | {"verdict": _verdict(job, rows)}

    def find(self, prefix: str, *, limit: int) -> list[Json]:
        """Return at most `limit` jobs whose ids begin with these 1 to 32 hexadecimal digits."""
        found = self._run(lambda conn: jobs.find(conn, self._user_id, prefix, limit=limit))
        return [_status(job) for job in found]

    def latest(self, *, state: str | None, limit: int) -> list[Json]:
        """Return the latest jobs, newest first."""
        wanted = None if state is None else State(state)
        found = self._run(
            lambda conn: [
                jobs.get(conn, line.job_id)
                for line in lists.page(conn, self._user_id, state=wanted, limit=limit).items
            ]
        )
        return [_status(job) for job in found if job is not None]

    def top(self, job_id: UUID, *, limit: int) -> list[Json]:
        """Return the best variants so far, by rank."""
        self.status(job_id)
        rows = self._run(lambda conn: results.top(conn, job_id, limit))
        return [_plain(asdict(row)) for row in rows]

    def events(self, job_id: UUID) -> list[Json]:
        """Return what happened to the job, oldest first."""
        self.status(job_id)
        events = self._run(lambda conn: jobs.events(conn, job_id))
        return [_plain(asdict(event)) for event in events]

    def cancel(self, job_id: UUID) -> Json:
        """Ask the job to stop; return its status after that."""
        self.status(job_id)
        self._run(lambda conn: jobs.cancel(conn, job_id, client=Client.CLI))
        return self.status(job_id)

    def closes(self, status: Mapping[str, Any]) -> tuple[list[int], list[float]]:
        """Return close times (ms) and closes of the bars a job trades."""
        from engine.candles import load
        from engine.request import parse
        from storage.candles import open_store

        with open_store(candle_source(self._environ)) as store:
            candles = load(parse(status["request"]), store.bars)
        first = candles.first
        return candles.close_time()[first:].tolist(), candles.close[first:].tolist()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            self._session.close()

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        if self._session is None:
            self._session = Session(
                postgres_dsn(self._environ),
                application_name="backtest-cli",
                lock_seconds=ANSWER_SECONDS,
                statement_seconds=ANSWER_SECONDS,
                on_connect=schema.check,
            )
        try:
            return self._session.run(work)
        except Unreachable:
            readiness.raise_refusal(postgres_dsn(self._environ))
            raise


def _verdict(job: Job, rows: Sequence[Json]) -> list[str]:
    from engine.verdict import verdict

    return verdict(
        coverage=job.coverage_json,
        outcomes=job.outcomes_json,
        top=rows,
        request=job.request_json,
        state=job.state,
    )


def _status(job: Job) -> Json:
    """Return what a user may know of a job: no lease, no wake-ups.

    Where many are listed there is no verdict: it takes the rows of each.
    """
    shown = _plain(
        {
            "job_id": job.job_id,
            "user_id": job.user_id,
            "mode": job.mode,
            "priority": job.priority,
            "state": job.state,
            "stage": job.stage,
            "processed_units": job.processed_units,
            "total_units": job.total_units,
            "attempt": job.attempt,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "cancel_requested_at": job.cancel_requested_at,
            "progress_updated_at": job.progress_updated_at,
            "request_hash": job.request_hash,
            "engine_params_hash": job.engine_params_hash,
            "backtest_runtime_config_hash": job.backtest_runtime_config_hash,
            "engine_version": job.engine_version,
            "request": job.request_json,
            "coverage": job.coverage_json,
            "outcomes": job.outcomes_json,
            "verdict": [],
        }
    )
    if job.state is State.FAILED:
        shown |= {"last_error": job.last_error, "last_error_json": job.last_error_json}
    return shown


def _plain(values: Mapping[str, Any]) -> Json:
    return {name: _json_value(value) for name, value in values.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID | State):
        return str(value)
    return value
