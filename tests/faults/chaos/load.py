"""Jobs without end, and what each kind of them must come to."""

import random
import time
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import psycopg

from storage import jobs
from storage.connection import Unreachable
from storage.records import Client, Job, State
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import Stack

ACTIVE = 10
FIRST_SECONDS = 300.0
NO_CANDLES = "no candles"


def requests() -> dict[str, dict[str, Any]]:
    """The kinds of jobs: from a tenth of a second to two seconds, and one that must fail."""
    nowhere = small_sweep()
    nowhere["template"]["instrument_id"]["symbol"] = "NOSUCHUSDT"
    return {
        "tiny": small_sweep(),
        "small": sweep(windows=6, top_k=40, tsl=4),
        "medium": sweep(windows=20, top_k=100, tsl=8),
        "large": sweep(windows=24, top_k=300, tsl=12, preselect=3000),
        NO_CANDLES: nowhere,
    }


class Load:
    """Keeps a number of jobs alive and remembers what was submitted."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.kinds: dict[UUID, str] = {}
        self.expected: dict[str, list[tuple[str, ...]]] = {}
        self._stack = stack
        self._chance = random.Random(seed)
        self._requests = requests()
        self._unsure: tuple[str, str] | None = None  # kind and key of a submission without answer
        self._looked_at = 0.0

    def compute_undisturbed(self) -> None:
        """Have each kind computed once while nothing happens."""
        made = {kind: self._submit(kind, kind) for kind in self._requests}
        for kind, job_id in made.items():
            job = self._stack.ends(job_id, FIRST_SECONDS)
            wanted = State.FAILED if kind == NO_CANDLES else State.SUCCEEDED
            assert (job.state, job.attempt) == (wanted, 1), (kind, job)
            self.expected[kind] = self._stack.stored_bytes(job_id)

    def keep(self) -> None:
        """Submit until there are enough active jobs; harmless while Postgres is away."""
        if time.monotonic() < self._looked_at + 0.2:
            return
        self._looked_at = time.monotonic()
        for _ in range(ACTIVE - sum(self.active().values())):
            kinds, weights = [*self._requests], [8, 4, 2, 2, 1]
            (kind,) = self._chance.choices(kinds, weights)
            kind, key = self._unsure or (kind, uuid4().hex)
            self._unsure = kind, key
            self._submit(kind, key)
            self._unsure = None

    def active(self) -> Counter[str]:
        """How many jobs are queued and running."""
        rows = self._stack.connection.execute(
            "SELECT state, count(*) FROM backtest_jobs WHERE state IN ('queued', 'running')"
            " GROUP BY state"
        )
        return Counter(dict(rows.fetchall()))

    def owned(self) -> list[Job]:
        """Jobs that somebody owns, the earliest claim first."""
        rows = self._stack.connection.execute(
            "SELECT job_id FROM backtest_jobs WHERE state = 'running' AND locked_by IS NOT NULL"
            " AND lease_expires_at > now() ORDER BY locked_at, job_id"
        ).fetchall()
        # One that was released meanwhile has no owner any more.
        jobs = [self._stack.job(job_id) for (job_id,) in rows]
        return [job for job in jobs if job.locked_by is not None]

    def unfinished(self) -> list[UUID]:
        """Ids of the jobs that have not ended."""
        rows = self._stack.connection.execute(
            "SELECT job_id FROM backtest_jobs WHERE state IN ('queued', 'running')"
            " ORDER BY created_at, job_id"
        )
        return [job_id for (job_id,) in rows]

    def cancel(self, job_id: UUID) -> None:
        """Cancel as a user does."""
        jobs.cancel(self._stack.connection, job_id, client=Client.CLI)

    def _submit(self, kind: str, key: str) -> UUID:
        made = self._stack.new_job(self._requests[kind], user_id=UUID(int=1), idempotency_key=key)
        with self._stack.connection.transaction():
            submitted = jobs.create(
                self._stack.connection, made, max_active=1000, client=Client.CLI
            )
        self.kinds[submitted.job.job_id] = kind
        return submitted.job.job_id


AWAY = (psycopg.OperationalError, psycopg.InterfaceError, Unreachable)
"""What a question to Postgres raises while it is away."""
