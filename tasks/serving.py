"""A stage in the computing child: it is computed alone, or part by part as the parent orders."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine import rate
from storage.records import Stage
from tasks import trial
from tasks.messages import (
    Assignment,
    Compute,
    Divided,
    Indexes,
    Merge,
    Merged,
    MergeEnd,
    ShardFinished,
    Snapshot,
    SnapshotWanted,
)
from tasks.parent import Parent
from tasks.trial import TakesLong

if TYPE_CHECKING:
    from engine.divided import Divided as DividedStage
    from engine.partial import Partial
    from engine.ranking import TopList
    from engine.sweep import Batch

Rows = Callable[[Indexes, Indexes], str]
"""Writes the best so far, by indexes and twins, as `storage.result_texts.rows`."""


class Snapshots:
    """Sends the best so far when the parent wants it, unless it is the last one again."""

    def __init__(self, parent: Parent, rows: Rows) -> None:
        self._parent = parent
        self._rows = rows
        self._shown: tuple[Indexes, Indexes] | None = None

    def send(self, top: "TopList") -> None:
        """Answer a `SnapshotWanted`."""
        now = top.indexes(), top.twins()
        unchanged = self._shown is not None and all(map(np.array_equal, now, self._shown))
        self._parent.send(Snapshot(None if unchanged else self._rows(*now)))
        self._shown = now


def run_stage(
    parent: Parent,
    stage: Stage,
    work: "DividedStage",
    assignment: Assignment,
    *,
    divided: bool,
    snapshots: Snapshots | None = None,
) -> "Partial":
    """Return what a stage has found; with `divided` others may have computed parts of it already.

    A stage is offered to others if it takes one worker longer than `shard_seconds`. That is found
    out by computing alone for a moment (`trial`).
    """
    known = rate.remembered()
    seconds = 0.0 if known is None else work.seconds(known)
    if not divided:
        try:
            batches = trial.alone(work.run(None), seconds, assignment.shard_seconds)
            return work.found(run(parent, stage, batches, snapshots))
        except TakesLong as tried:
            seconds = tried.seconds
    pieces = work.pieces(seconds, assignment.shard_seconds, assignment.workers)
    parent.send(Divided(stage, pieces))
    return _serve(parent, stage, work, snapshots)


def run(
    parent: Parent, stage: Stage, batches: Iterator["Batch"], snapshots: Snapshots | None = None
) -> "Batch":
    """Compute to the end; send the snapshots that the parent asks for, if there are any."""
    for batch in batches:
        parent.report_progress(stage, batch.processed, batch.total)
        if parent.listen() and snapshots is not None:
            snapshots.send(batch.top)
    parent.report_progress(stage, batch.processed, batch.total, last=True)
    return batch


def _serve(
    parent: Parent, stage: Stage, work: "DividedStage", snapshots: Snapshots | None
) -> "Partial":
    """Obey orders about parts until all of them are merged; raises StopRequested."""
    from engine.partial import Partial

    merged: Partial | None = None
    while True:
        match parent.order():
            case Compute(part):
                batch = run(parent, stage, work.run(part))
                parent.send(ShardFinished(work.found(batch).to_bytes()))
            case Merge(result):
                found = Partial.from_bytes(result)
                if merged is None:
                    merged = found
                else:
                    merged.merge(found)
                parent.send(Merged())
            case SnapshotWanted() if snapshots is not None and merged is not None:
                snapshots.send(merged.top)
            case SnapshotWanted():  # asked for before the parent knew that the stage is shared
                parent.send(Snapshot(None))
            case MergeEnd() if merged is not None:
                return merged
            case order:
                raise AssertionError(f"there is nothing to be done about {order!r} now")
