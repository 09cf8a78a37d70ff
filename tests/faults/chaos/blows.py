"""Doing a fault and undoing it, and the memory of it, for those who have to explain its effects."""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import psutil
import redis

from storage import schema
from storage.records import Job
from tests.faults.chaos.load import AWAY, Load
from tests.faults.chaos.plan import Planned
from tests.faults.chaos.site import Site, Slot
from tests.faults.harness import owner_pid

EVERYBODY = "everybody"
AFTERMATH_SECONDS = 3.0
"""How long after its end a fault may still cost somebody the lease: backoff, a late answer."""


@dataclass(frozen=True)
class Blow:
    """What may have cost a lease or a child: by whose program, or whose job, and when."""

    kind: str
    program: str
    since: float
    until: float


@dataclass
class Rescue:
    """An owner that died, and the attempt that it died in."""

    kind: str
    job_id: UUID
    attempt: int
    at: float


@dataclass(order=True)
class Undo:
    """What ends a fault that lasts."""

    at: float
    number: int
    what: Callable[[], object] = field(compare=False)


class Clockwork:
    """Does what was planned and undoes it; knows the victims, and remembers what it did to whom."""

    def __init__(self, site: Site, load: Load) -> None:
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.blows: list[Blow] = []
        self.rescues: list[Rescue] = []
        self.children_killed: Counter[UUID] = Counter()
        self.children_paused: set[UUID] = set()
        self.candles_away: list[Blow] = []
        self._site = site
        self._load = load
        self._undos: list[Undo] = []
        self._postgres_down = False
        self._redis_down = False
        self._namespace = schema.namespace(site.stack.connection)

    # --------------------------------------------------------------------------- the clockwork

    @staticmethod
    def method_of(kind: str) -> str:
        """Name of the method that does a kind of fault."""
        return "_" + kind.lower().replace(" ", "_")

    def strike(self, planned: Planned) -> None:
        """Do it; what finds no victim, or a server that is away already, is only counted."""
        act = getattr(self, self.method_of(planned.kind))
        try:
            hit = act(planned)
        except (*AWAY, psutil.Error, ProcessLookupError, redis.RedisError):
            hit = False
        (self.done if hit else self.missed)[planned.kind] += 1

    def undo_due(self, *, all_of_them: bool = False) -> None:
        """End the faults whose time has come."""
        while self._undos and (all_of_them or self._undos[0].at <= time.monotonic()):
            undo = heapq.heappop(self._undos)
            with suppress(psutil.Error, ProcessLookupError):
                undo.what()

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self._undos, Undo(time.monotonic() + seconds, len(self._undos), what))

    def _hurt(self, kind: str, slot: Slot | None, seconds: float = 0.0) -> None:
        program = EVERYBODY if slot is None else slot.program.log.name
        now = time.time()
        self.blows.append(Blow(kind, program, now, now + seconds + AFTERMATH_SECONDS))

    # --------------------------------------------------------------------------- victims

    def _owner(self, rank: int, *, unluckiest: bool = False) -> tuple[Job, Slot, int] | None:
        """A job that is being computed, the slot of its owner, and the owner's pid."""
        owned = self._load.owned()
        if unluckiest:
            most = max((job.crash_count for job in owned), default=0)
            owned = [job for job in owned if job.crash_count == most]
        if not owned:
            return None
        job = owned[rank % len(owned)]
        pid = owner_pid(job)
        master = psutil.Process(pid).ppid()
        for slot in self._site.workers:
            if slot.program.pid == master:
                return job, slot, pid
        return None

    def _child(self, pid: int) -> psutil.Process | None:
        for server in psutil.Process(pid).children():
            for child in server.children():
                if child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def _worker(self, planned: Planned) -> Slot:
        return self._site.workers[planned.rank % len(self._site.workers)]

    def _scheduler(self, planned: Planned) -> Slot:
        return self._site.schedulers[planned.rank % len(self._site.schedulers)]

    def _any(self, planned: Planned) -> Slot:
        return self._site.slots[planned.rank % len(self._site.slots)]
