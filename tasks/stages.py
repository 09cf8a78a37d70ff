"""One stage of an owned job: computed by its child alone, or shared with whoever has time.

Where the child says that the stage takes long, it is planned as shards, or the plan of an earlier
attempt is taken over with all that is done of it. The owner of the job is their coordinator: it
computes shards like everybody else, waits for those of others, and has the child merge them all.
"""

import time
from typing import TypeVar

from storage.plan_records import ClaimedShard, Plan
from storage.records import Stage
from tasks.job_writer import JobWriter
from tasks.messages import (
    Compute,
    Divided,
    Merge,
    Merged,
    MergeEnd,
    Progress,
    ShardFinished,
    StageAFinished,
    StageBFinished,
    Validated,
)
from tasks.supervisor import Supervisor

WAIT_SECONDS = 0.1
"""Between two looks whether others have finished, or left, what is theirs."""

End = TypeVar("End", StageAFinished, StageBFinished, Validated)


def ended(kind: type[End], candles_hash: str, child: Supervisor, writer: JobWriter) -> End:
    """Have a stage computed that the child was told to begin; returns what it then says."""
    said = child.expect(kind, Divided)
    if isinstance(said, Divided):
        _share(said, candles_hash, child, writer)
        said = child.expect(kind)
    return said


def _share(divided: Divided, candles_hash: str, child: Supervisor, writer: JobWriter) -> None:
    stage = divided.stage
    plan = writer.plans.adopt(stage, candles_hash)
    if plan is None:
        plan = writer.plans.make(stage, candles_hash, divided.pieces)
        writer.log.info("plan_made", shards=plan.shards)
    else:
        writer.log.info("plan_adopted", shards=plan.shards)
    sharing = _Sharing(plan, divided.before, child, writer)
    with child.sharing(sharing.beat):
        sharing.run()


class _Sharing:
    """The life of one plan under one coordinator."""

    def __init__(self, plan: Plan, before: int, child: Supervisor, writer: JobWriter) -> None:
        self._plan = plan
        self._before = before
        self._child = child
        self._writer = writer
        self._merged: set[int] = set()

    def run(self) -> None:
        plans = self._writer.plans
        while not (counted := plans.tally(self._plan)).complete:
            # What the child before this one died of is still ours, and a claim gives it again.
            to_be_had = counted.claimable or plans.own is not None
            taken = plans.claim(self._plan) if to_be_had else None
            if taken is None:
                if counted.done > len(self._merged):  # while others compute what is left
                    self._merge()
                self._child.rest(WAIT_SECONDS)
            else:
                self._compute(taken)
            if self._plan.stage is Stage.STAGE_B:
                self._show(counted.processed_units)
        self.beat()  # all of it is done, also where that was written a second ago
        self._merge()
        assert len(self._merged) == self._plan.shards, "a shard is missing"
        self._child.tell(MergeEnd())

    def beat(self) -> None:
        """Write how far the stage is."""
        self._writer.plans.beat(self._plan, self._before, self._writer.progress.processed)

    def _compute(self, taken: ClaimedShard) -> None:
        """Compute a shard; its failure, and the death of the child over it, are the job's."""
        self._writer.note_part(Progress(self._plan.stage, 0, taken.total_units))
        self._child.tell(Compute(taken.part))
        self._writer.plans.finish(self._child.expect(ShardFinished).result)

    def _show(self, processed: int) -> None:
        """Save a snapshot when one is due: the merge of what is done, and was not merged before.

        Each shard is read and merged once, now or in the end. So a snapshot costs no more than one
        of a child that computes alone.
        """
        if self._child.snapshot_due(processed):
            self._merge()
            if self._merged:
                self._child.save_snapshot(processed)

    def _merge(self) -> None:
        """Have the child take in one after the other: no more than one result is held here."""
        begin = time.monotonic()
        plans = self._writer.plans
        for shard in plans.done(self._plan):
            if shard not in self._merged:
                self._child.tell(Merge(plans.result(self._plan, shard)))
                self._child.expect(Merged)
                self._merged.add(shard)
        self._writer.note_merge(time.monotonic() - begin)
