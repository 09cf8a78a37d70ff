"""What a job is, in the words of the specification: the model that Postgres is compared with."""

from dataclasses import dataclass, field
from uuid import UUID

from storage.records import Lease

MAX_CRASHES = 2
ENDS = ("succeeded", "failed", "cancelled")


@dataclass
class Model:
    """What a job is, in the words of the specification."""

    job_id: UUID
    user_id: UUID
    priority: int
    key: str | None
    state: str = "queued"
    cancel_requested: bool = False
    owner: str | None = None
    alive: bool = False  # the lease has not run out
    attempt: int = 0
    crash_count: int = 0
    stage: str | None = None
    processed: int = 0
    total: int = 0
    due: bool = True  # as far as the time of the next wake-up goes
    dispatch_count: int = 0
    old: bool = False  # ended longer ago than jobs are kept
    code: str | None = None
    coverage: bool = False
    shortlist: tuple[int, int] | None = None  # what was found, and by which attempt
    rows: list[tuple[str, bool]] = field(default_factory=list)  # key, whether with its report
    events: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.state in ("queued", "running")

    @property
    def free(self) -> bool:
        """Whether somebody may claim it."""
        return self.state == "queued" or (self.state == "running" and not self.alive)

    def happened(self, event: str, actor: str) -> None:
        self.events.append((event, self.attempt, actor))

    def is_of(self, lease: Lease) -> bool:
        """The guard."""
        return (
            self.state == "running"
            and self.alive
            and (self.owner, self.attempt) == (lease.locked_by, lease.attempt)
        )

    def ends(self, state: str, actor: str, code: str | None = None) -> None:
        self.state = "cancelled" if self.cancel_requested else state
        self.code = code if self.state == "failed" else None
        self.alive = False
        self.happened(self.state, actor)

    def is_judged(self, actor: str, *, may_claim: bool) -> str:
        """What becomes of a job that nobody owns any more: a claim and a sweep think alike."""
        crashed = self.state == "running" and self.owner not in (None, actor)
        too_often = crashed and self.crash_count + 1 > MAX_CRASHES
        if self.cancel_requested or too_often:
            self.crash_count += crashed
            self.ends("failed", actor, "worker_crashed_repeatedly")
        elif may_claim:
            self.crash_count += crashed
        return self.state if self.state in ENDS else "running"

    def is_claimed(self, actor: str) -> None:
        self.state, self.owner, self.alive = "running", actor, True
        self.attempt += 1
        self.stage, self.processed, self.total = "stage_a", 0, 0
        self.due, self.dispatch_count = True, 0
        self.happened("claimed" if self.attempt == 1 else "reclaimed", actor)
