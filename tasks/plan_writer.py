"""Writes down what the owner of a job does with plans: it coordinates those who share a stage."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from structlog.stdlib import BoundLogger

from storage import plans, shards
from storage.connection import Connection
from storage.plan_records import (
    ClaimedShard,
    Granted,
    NewPlan,
    NewShard,
    Plan,
    ShardLease,
    ShardState,
    Tally,
)
from storage.records import Beat, Lease, Stage
from tasks import identity
from tasks.guarded_writes import GuardedWrites
from tasks.stop_reasons import LeaseLost

Value = TypeVar("Value")


class PlanWriter:
    """Plans and shards of one ownership. Raises as `GuardedWrites` says.

    `may_exist` says whether the job may have plans: where nobody can have made one, nobody asks.
    `heed` is told each answer of the job's guard.
    """

    def __init__(
        self,
        lease: Lease,
        writes: GuardedWrites,
        heed: Callable[[Beat], object],
        log: Callable[[], BoundLogger],
    ) -> None:
        self.may_exist = lease.attempt > 1
        self.own: ShardLease | None = None
        self._lease = lease
        self._writes = writes
        self._heed = heed
        self._log = log

    def adopt(self, stage: Stage, candles_hash: str) -> Plan | None:
        """Return the stage's plan of an earlier attempt or child, if these candles go with it."""
        if not self.may_exist:
            return None
        ours = {"engine_identity": identity.ENGINE, "candles_hash": candles_hash}
        return self._granted(
            "adopt_plan", lambda conn: plans.adopt(conn, self._lease, stage, **ours)
        )

    def make(
        self, stage: Stage, candles_hash: str, pieces: Iterable[tuple[Mapping[str, Any], int]]
    ) -> Plan:
        """Plan a stage that has no plan: pieces are the parts and how many units each has."""
        listed = plans.document(NewShard(part, units) for part, units in pieces)
        new = NewPlan(stage, uuid4(), identity.ENGINE, candles_hash, listed)
        self.may_exist = True
        return self._granted(
            "make_plan", lambda conn: plans.plan(conn, self._lease, new), several=True
        )

    def tally(self, plan: Plan) -> Tally:
        """Count the shards by state."""
        return self._writes.read("tally", lambda conn: plans.tally(conn, plan))

    def claim(self, plan: Plan) -> ClaimedShard | None:
        """Take the next shard that is to be had."""
        taken = self._granted("claim_shard", lambda conn: plans.claim(conn, self._lease, plan))
        if taken is not None:
            self.own = taken.lease
            self._log().debug("shard_claimed", shard=taken.lease.shard, units=taken.total_units)
        return taken

    def beat(self, plan: Plan, before: int, processed: int) -> None:
        """Write how far the stage is, and the own shard, which somebody may have taken over.

        So many units were done `before` the stage was shared, and are in no shard.
        """
        own = self.own

        def write(conn: Connection) -> Granted[bool] | None:
            if own is not None:
                return plans.beat(conn, self._lease, plan, own, processed, before=before)
            answer = plans.progress(conn, self._lease, plan, before=before)
            return None if answer is None else Granted(answer.cancel_requested, True)

        answer = self._writes.write_or_skip("progress", write, several=own is not None)
        if answer is not None:
            self._heed(answer)
            if not answer.value:
                self._lost()

    def finish(self, result: bytes) -> None:
        """Store what the own shard has found, if it is still ours."""
        own = self.own
        if own is None:
            return
        if self._granted(
            "finish_shard",
            lambda conn: plans.finish(conn, self._lease, own, result),
            several=True,
        ):
            self._log().debug("shard_finished", shard=own.shard, bytes=len(result))
            self.own = None
        else:
            self._lost()

    def done(self, plan: Plan) -> list[int]:
        """Read which shards are done, in the order of their numbers."""
        lines = self._writes.read("list_shards", shards.lines(plan.job_id).of)
        return [
            line.shard
            for line in lines
            if line.stage is plan.stage and line.state is ShardState.DONE
        ]

    def result(self, plan: Plan, shard: int) -> bytes:
        """Read what a shard that is done has found; raises LeaseLost where the plan is gone."""
        found = self._writes.read(
            "read_result", lambda conn: plans.next_result(conn, plan, after=shard - 1)
        )
        if found is None or found.shard != shard:
            raise LeaseLost  # nobody else deletes it
        return found.result

    def give_back(self, conn: Connection) -> None:
        """Give the own shard back, in the transaction that releases the job."""
        if self.own is not None:
            shards.give_back(conn, self.own)

    def discard(self, conn: Connection, *stages: Stage) -> bool:
        """Delete the plans that are merged, before the write of that; False: the lease is lost."""
        return not self.may_exist or plans.discard(conn, self._lease, *stages) is not None

    def _lost(self) -> None:
        """Compute on, for the next shard: somebody else has this one."""
        if self.own is not None:
            self._log().warning("shard_lost", shard=self.own.shard)
            self.own = None

    def _granted(
        self,
        name: str,
        statement: Callable[[Connection], Granted[Value] | None],
        *,
        several: bool = False,
    ) -> Value:
        answer = self._writes.write(name, statement, several=several)
        self._heed(answer)
        return answer.value
