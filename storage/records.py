"""What is stored about a job, as frozen dataclasses and string enumerations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self
from uuid import UUID


class State(StrEnum):
    """Life cycle of a job; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing leaves this state."""
        return self not in (State.QUEUED, State.RUNNING)


class Stage(StrEnum):
    """What a running job is doing, in this order."""

    STAGE_A = "stage_a"
    STAGE_B = "stage_b"
    VALIDATION = "validation"
    FINALIZING = "finalizing"


class Mode(StrEnum):
    """Where the request came from: a saved strategy or a free template."""

    SAVED = "saved"
    TEMPLATE = "template"


class Client(StrEnum):
    """What a user acted through; stands in the details of events whose actor is `user`."""

    CLI = "cli"
    PAGE = "page"
    API = "api"


class FailureCode(StrEnum):
    """Stable codes of `last_error_json`."""

    NO_MARKET_DATA = "no_market_data"
    CANDLE_SOURCE_UNAVAILABLE = "candle_source_unavailable"
    GUARD_EXCEEDED = "guard_exceeded"
    INVALID_REQUEST = "invalid_request"
    MEMORY_LIMIT_EXCEEDED = "memory_limit_exceeded"
    PLUGIN_FAILED = "plugin_failed"
    STALLED = "stalled"
    WORKER_CRASHED_REPEATEDLY = "worker_crashed_repeatedly"
    UNEXPECTED_ERROR = "unexpected_error"


class EventName(StrEnum):
    """The lifecycle events, each appended once when it happens."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    STAGE_STARTED = "stage_started"
    RECLAIMED = "reclaimed"
    RESUMED_FROM_SHORTLIST = "resumed_from_shortlist"
    LEASE_RELEASED = "lease_released"
    CANCEL_REQUESTED = "cancel_requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to submit; `saved` mode needs `spec_hash` and `spec_payload_json`, `template` none.

    `request_json` is the effective request: every value that can change a result. `coverage_json`
    says what of its range the candles covered when it was submitted, None when that was not asked.
    `submission_hash`, 64 hexadecimal digits, tells what was sent under an idempotency key from
    anything else; without one `request_hash` does. With `replace_ended` a job under the key that
    failed or was cancelled gives the key up. `traceparent` is the span that submitted it.
    """

    user_id: UUID
    mode: str
    request_json: Mapping[str, Any]
    request_hash: str
    engine_params_hash: str
    backtest_runtime_config_hash: str
    priority: int = 0
    name: str | None = None
    note: str | None = None
    idempotency_key: str | None = None
    submission_hash: str | None = None
    replace_ended: bool = False
    spec_hash: str | None = None
    spec_payload_json: Mapping[str, Any] | None = None
    coverage_json: Mapping[str, Any] | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `backtest_jobs`; all times are aware and from the database clock.

    `coverage_json` is None until it is known. `outcomes_json` is None until stage A has ended, and
    comes without its histograms: `storage.results.outcomes` reads it whole.
    """

    job_id: UUID
    user_id: UUID
    name: str | None
    note: str | None
    mode: Mode
    priority: int
    idempotency_key: str | None
    submission_hash: str | None
    state: State
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    request_json: dict[str, Any]
    request_hash: str
    engine_params_hash: str
    backtest_runtime_config_hash: str
    engine_version: str | None
    spec_hash: str | None
    spec_payload_json: dict[str, Any] | None
    stage: Stage | None
    processed_units: int
    total_units: int
    progress_updated_at: datetime | None
    locked_by: str | None
    locked_at: datetime | None
    lease_expires_at: datetime | None
    heartbeat_at: datetime | None
    attempt: int
    crash_count: int
    next_dispatch_at: datetime | None
    dispatch_count: int
    last_error: str | None
    last_error_json: dict[str, Any] | None
    coverage_json: dict[str, Any] | None
    outcomes_json: dict[str, Any] | None
    traceparent: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Make a job of a row by column name; columns it does not know are ignored."""
        values = {field.name: row[field.name] for field in fields(cls)}
        stage = values["stage"]
        values |= {
            "mode": Mode(values["mode"]),
            "state": State(values["state"]),
            "stage": None if stage is None else Stage(stage),
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Claimer:
    """Who asks for a job, and on which terms.

    `locked_by` is new for every claim. `engine_version` is what would compute the job, and
    `request_version` the newest form of a request that it understands.
    """

    locked_by: str
    lease_seconds: float
    max_crashes: int
    engine_version: str
    request_version: int

    def values(self, job_id: UUID) -> dict[str, Any]:
        """Parameters of the statements around a claim."""
        return {
            "job_id": job_id,
            "actor": self.locked_by,
            "lease_seconds": self.lease_seconds,
            "max_crashes": self.max_crashes,
            "engine_version": self.engine_version,
            "request_version": self.request_version,
        }


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker proves its ownership with; `attempt` is the fencing token.

    A renewal makes it last `seconds` from then on.
    """

    job_id: UUID
    locked_by: str
    attempt: int
    seconds: float

    def values(self) -> dict[str, Any]:
        """Parameters that every write of the owner carries: the guard's, and the renewal's."""
        return {
            "job_id": self.job_id,
            "locked_by": self.locked_by,
            "attempt": self.attempt,
            "lease_seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that the caller owns from now on.

    `previous_owner` is None on the first claim; `crashed` says whether that owner vanished
    (True) or released the job (False).
    """

    job: Job
    lease: Lease
    previous_owner: str | None
    crashed: bool

    @property
    def reclaimed(self) -> bool:
        """Whether somebody owned the job before."""
        return self.job.attempt > 1


@dataclass(frozen=True, slots=True)
class Beat:
    """Answer of a guarded write that succeeded: the lease is still ours."""

    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a stable code, one short sentence for the user, JSON details."""

    code: str
    message: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Result of stage A: variant indexes in rank order, and what they were computed from.

    `twins` says how many variants each of them stands for. None came from a program of the release
    before, which knew none.
    """

    indexes: Sequence[int]
    twins: Sequence[int] | None
    stage_a_variants_total: int
    risk_total: int
    preselect_used: int
    engine_version: str
    candles_hash: str


@dataclass(frozen=True, slots=True)
class StoredShortlist:
    """A shortlist as stored, with the attempt that wrote it."""

    shortlist: Shortlist
    attempt: int
    updated_at: datetime

    def usable_with(self, *, engine_version: str, candles_hash: str) -> bool:
        """Whether stage B may start from it: same engine, same candles, and nothing is missing."""
        stored = self.shortlist
        same = (stored.engine_version, stored.candles_hash) == (engine_version, candles_hash)
        return same and stored.twins is not None


@dataclass(frozen=True, slots=True)
class TopVariant:
    """One row of the top list; report, trades and equity are None until the job has succeeded.

    `total_return_pct` is in percent, None when the money overflowed; `payload_json` is enough to
    rerun this one variant. `trades_omitted` says that trades and equity were wanted and had no room
    in the result's budget. `twins` variants, this one included, have the same outcome. What begins
    with `test` is of bars that the variant was not chosen on, and `beside_json` says how the
    variants next to it did; None where there are none.
    """

    rank: int
    variant_key: str
    indicator_variant_key: str
    variant_index: int
    total_return_pct: float | None
    metrics_json: Mapping[str, Any]
    payload_json: Mapping[str, Any]
    report_table_md: str | None = None
    trades_json: Sequence[Any] | None = None
    equity_json: Sequence[Any] | None = None
    trades_omitted: bool = False
    twins: int = 1
    test_metrics_json: Mapping[str, Any] | None = None
    test_trades_json: Sequence[Any] | None = None
    test_equity_json: Sequence[Any] | None = None
    beside_json: Mapping[str, Any] | None = None


class TopText(NamedTuple):
    """A row of the top list with its JSON as the text that the database holds."""

    rank: int
    variant_key: str
    indicator_variant_key: str
    variant_index: int
    total_return_pct: float | None
    twins: int
    metrics_json: str
    payload_json: str
    report_table_md: str | None
    trades_json: str | None
    equity_json: str | None
    trades_omitted: bool
    test_metrics_json: str | None
    test_trades_json: str | None
    test_equity_json: str | None
    beside_json: str | None
    written_by: int
    """The transaction."""


class ValidationText(NamedTuple):
    """What was asked of a search, as the text that the database holds.

    `surfaces` lists their numbers and axes; each is read by itself.
    """

    figures: str
    pictures: str
    surfaces: str


class SurfaceText(NamedTuple):
    """A surface over two axes, or over one where `axis_y` is None; `surface` is the text of it."""

    axis_x: str
    axis_y: str | None
    surface: str


@dataclass(frozen=True, slots=True)
class Event:
    """One row of `backtest_job_events`: who did what, when."""

    event_id: int
    job_id: UUID
    at: datetime
    event: EventName
    attempt: int
    actor: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Due:
    """A job that was marked for a wake-up; `dispatch_count` is the count after the mark."""

    job_id: UUID
    dispatch_count: int


@dataclass(frozen=True, slots=True)
class Gauges:
    """The state of the queue at one moment; ages in seconds, 0 when nothing is queued.

    `waiting_sessions` are those that wait for a lock, `finalizing_overdue` the jobs that have been
    finalizing for more than a minute. Shards are those of all jobs; a failed one is none of these.
    """

    queued: int
    running: int
    oldest_queued_age_seconds: float
    expired_leases: int
    waiting_sessions: int
    finalizing_overdue: int
    paused: bool
    open_shards: int
    running_shards: int
    done_shards: int
