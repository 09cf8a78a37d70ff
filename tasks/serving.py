"""A stage in the computing child: it is computed alone, or part by part as the parent orders."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

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
    from engine.divided import Found, Step
    from engine.partial import Partial
    from engine.sweep import Batch

StepT = TypeVar("StepT", bound="Step")
FoundT = TypeVar("FoundT", bound="Found")

Rows = Callable[[Indexes, Indexes], str]
"""Writes the best so far, by indexes and twins, as `storage.result_texts.rows`."""


class Snapshots:
    """Sends the best so far when the parent wants it, unless it is the last one again."""

    def __init__(self, parent: Parent, rows: Rows) -> None:
        self._parent = parent
        self._rows = rows
        self._shown: tuple[Indexes, Indexes] | None = None

    def send(self, found: "Batch | Partial") -> None:
        """Answer a `SnapshotWanted`."""
        now = found.top.indexes(), found.top.twins()
        unchanged = self._shown is not None and all(map(np.array_equal, now, self._shown))
        self._parent.send(Snapshot(None if unchanged else self._rows(*now)))
        self._shown = now


def run_stage(
    parent: Parent,
    stage: Stage,
    work: "DividedStage[StepT, FoundT]",
    assignment: Assignment,
    *,
    planned: bool,
    before: int = 0,
    show: Callable[[StepT | FoundT], None] | None = None,
) -> FoundT:
    """Return what a stage has found; if it is `planned`, others may have computed parts already.

    A stage is offered to others if it takes one worker longer than `shard_seconds`. That is found
    out by computing alone for a moment (`trial`). So many units of it were done `before`; with
    `show` the best so far is sent when the parent wants it.
    """
    known = rate.remembered()
    seconds = 0.0 if known is None else work.seconds(known)
    if not planned:
        try:
            steps = trial.alone(work.run(None), seconds, assignment.shard_seconds)
            return work.found(run(parent, stage, steps, show, before))
        except TakesLong as tried:
            seconds = tried.seconds
    pieces = work.pieces(seconds, assignment.shard_seconds, assignment.workers)
    parent.send(Divided(stage, pieces, before))
    return _serve(parent, stage, work, show)


def run(
    parent: Parent,
    stage: Stage,
    steps: Iterator[StepT],
    show: Callable[[StepT], None] | None = None,
    before: int = 0,
) -> StepT:
    """Compute to the end; send the snapshots that the parent asks for, if there are any."""
    for step in steps:
        parent.report_progress(stage, before + step.processed, before + step.total)
        if parent.listen() and show is not None:
            show(step)
    parent.report_progress(stage, before + step.processed, before + step.total, last=True)
    return step


def _serve(
    parent: Parent,
    stage: Stage,
    work: "DividedStage[StepT, FoundT]",
    show: Callable[[StepT | FoundT], None] | None,
) -> FoundT:
    """Obey orders about parts until all of them are merged; raises StopRequested."""
    merged: FoundT | None = None
    while True:
        match parent.order():
            case Compute(part):
                step = run(parent, stage, work.run(part))
                parent.send(ShardFinished(work.found(step).to_bytes()))
            case Merge(result):
                found = work.read(result)
                if merged is None:
                    merged = found
                else:
                    merged.merge(found)
                parent.send(Merged())
            case SnapshotWanted() if show is not None and merged is not None:
                show(merged)
            case SnapshotWanted():  # asked for before the parent knew that the stage is shared
                parent.send(Snapshot(None))
            case MergeEnd() if merged is not None:
                return merged
            case order:
                raise AssertionError(f"there is nothing to be done about {order!r} now")
