"""What is stored about stages that several workers compute: plans, shards, and who holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from storage.records import Beat, Stage

Value = TypeVar("Value")

SHARD_LEASE_SECONDS = 10.0
"""How long the lease of a shard lasts after a beat; one is due each second."""


class ShardState(StrEnum):
    """What has become of a shard. Nothing leaves `done`; a failed one is for the coordinator."""

    OPEN = "open"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewShard:
    """A part of a stage to plan, as its computation understands it, and how many units it is."""

    part: Mapping[str, Any]
    units: int


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan to make of a stage; `plan_id` is new for every plan.

    `engine_identity` and `candles_hash` say what it is computed with, and from: workers that have
    others cannot help. `shards` is their `storage.plans.document`.
    """

    stage: Stage
    plan_id: UUID
    engine_identity: str
    candles_hash: str
    shards: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored plan: the shards 0 to `shards` - 1 of one stage. It is never changed."""

    job_id: UUID
    stage: Stage
    plan_id: UUID
    engine_identity: str
    candles_hash: str
    shards: int
    created_at: datetime

    def values(self) -> dict[str, Any]:
        """Parameters of the statements about its shards."""
        return {"job_id": self.job_id, "stage": self.stage, "plan_id": self.plan_id}


@dataclass(frozen=True, slots=True)
class Helper:
    """Who asks for a shard of somebody else's job, and on which terms.

    `locked_by` is a name of its own, and has one shard at a time. A shard whose owners vanished
    `max_crashes` times is not for helpers.
    """

    locked_by: str
    engine_identity: str
    max_crashes: int

    def values(self) -> dict[str, Any]:
        """Parameters of the statements around a claim."""
        return {
            "actor": self.locked_by,
            "engine_identity": self.engine_identity,
            "max_crashes": self.max_crashes,
            "shard_lease_seconds": SHARD_LEASE_SECONDS,
        }


@dataclass(frozen=True, slots=True)
class ShardLease:
    """What a worker proves with that a shard is its own; `attempt` is the fencing token."""

    job_id: UUID
    stage: Stage
    plan_id: UUID
    shard: int
    locked_by: str
    attempt: int

    def values(self) -> dict[str, Any]:
        """Parameters that every write about the shard carries: the guard's, and the renewal's."""
        return {
            "job_id": self.job_id,
            "stage": self.stage,
            "plan_id": self.plan_id,
            "shard": self.shard,
            "locked_by": self.locked_by,
            "attempt": self.attempt,
            "lease_seconds": SHARD_LEASE_SECONDS,
        }


@dataclass(frozen=True, slots=True)
class ClaimedShard:
    """A shard that the caller has from now on; `crash_count` owners before it vanished."""

    lease: ShardLease
    part: dict[str, Any]
    total_units: int
    crash_count: int


@dataclass(frozen=True, slots=True)
class Granted(Beat, Generic[Value]):
    """Answer to a coordinator whose lease of the job is still its own, and what it got besides."""

    value: Value


@dataclass(frozen=True, slots=True)
class Tally:
    """How many shards of a plan are in which state, and how many units are done.

    `expired` of the running ones have an owner that is gone.
    """

    open: int
    running: int
    done: int
    failed: int
    expired: int
    processed_units: int
    total_units: int

    @property
    def complete(self) -> bool:
        """Whether all shards are done."""
        return not (self.open or self.running or self.failed)

    @property
    def claimable(self) -> bool:
        """Whether there is one for the coordinator to claim."""
        return bool(self.open or self.failed or self.expired)


class ShardResult(NamedTuple):
    """What a shard has found."""

    shard: int
    result: bytes


class ShardLine(NamedTuple):
    """A shard in a list; `locked_by` has it, or had it last, None where nobody did."""

    stage: Stage
    shard: int
    state: ShardState
    locked_by: str | None
    processed_units: int
    total_units: int


@dataclass(frozen=True, slots=True)
class HelpWanted:
    """A running job with shards to be had; its owner is one of its `workers`."""

    job_id: UUID
    user_id: UUID
    workers: int
    free_shards: int
