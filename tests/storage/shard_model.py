"""What a shared job is, in the words of the specification: the model Postgres is compared with."""

from dataclasses import dataclass, field
from uuid import UUID

from storage.plan_records import NewPlan, Plan, ShardLease
from storage.records import Lease

MAX_CRASHES = 1
UNITS = 5


@dataclass
class ShardModel:
    """One shard of a plan."""

    number: int
    state: str = "open"
    owner: str | None = None
    alive: bool = False  # the lease has not run out
    attempt: int = 0
    crash_count: int = 0
    processed: int = 0
    result: bytes | None = None

    @property
    def expired(self) -> bool:
        return self.state == "running" and not self.alive

    def free_for(self, who: str) -> bool:
        """For a helper; what it has already is given again."""
        mine = self.state == "running" and self.owner == who
        return self.free or mine

    @property
    def free(self) -> bool:
        return self.state == "open" or (self.expired and self.crash_count < MAX_CRASHES)

    def free_for_coordinator(self, who: str) -> bool:
        mine = self.state == "running" and self.owner == who
        return self.state in ("open", "failed") or self.expired or mine

    def is_claimed(self, who: str) -> None:
        self.crash_count += self.state == "running" and self.owner != who
        self.state, self.owner, self.alive, self.processed = "running", who, True, 0
        self.attempt += 1

    def is_of(self, lease: ShardLease) -> bool:
        """The guard."""
        return (
            self.state == "running"
            and self.alive
            and (self.owner, self.attempt) == (lease.locked_by, lease.attempt)
        )

    def was_ended_by(self, lease: ShardLease, state: str) -> bool:
        """A second call of what ended it."""
        return (self.state, self.owner, self.attempt) == (state, lease.locked_by, lease.attempt)

    def goes(self, state: str, processed: int = 0) -> None:
        self.state, self.alive, self.processed = state, False, processed
        if state == "open":
            self.owner = None


@dataclass
class PlanModel:
    """A plan and its shards."""

    new: NewPlan
    stored: Plan
    shards: list[ShardModel]

    def goes_with(self, engine: str, candles: str) -> bool:
        return (self.new.engine_identity, self.new.candles_hash) == (engine, candles)


@dataclass
class JobModel:
    """A job that runs, as far as those who help with it care."""

    job_id: UUID
    engine: str
    owner: str | None
    alive: bool = True
    attempt: int = 1
    cancel_requested: bool = False
    ended: bool = False
    plans: dict[str, PlanModel] = field(default_factory=dict)  # by stage

    @property
    def goes_on(self) -> bool:
        """Whether helpers may claim."""
        return self.alive and self.wants_results

    @property
    def wants_results(self) -> bool:
        """Whether helpers may go on with what they have claimed."""
        return not self.ended and not self.cancel_requested

    def is_of(self, lease: Lease) -> bool:
        """The guard of the coordinator."""
        return (
            self.alive
            and not self.ended
            and (self.owner, self.attempt) == (lease.locked_by, lease.attempt)
        )

    def shard(self, lease: ShardLease) -> ShardModel | None:
        """Where the plan that a lease is of is still there."""
        plan = self.plans.get(lease.stage)
        if plan is None or plan.stored.plan_id != lease.plan_id:
            return None
        return plan.shards[lease.shard]
