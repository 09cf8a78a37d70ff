"""The computing child of one job: candles, sweep, reports – and messages about them to its parent.

It never touches Postgres. Whatever it may do to itself – run out of memory, crash in native code,
hang – it does to one job only.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from engine.candles import Candles
from engine.coverage import Coverage
from engine.grid import Variants
from engine.loading import load
from engine.request import Request, parse
from storage import results
from storage.records import Stage, TopVariant
from tasks import failures, isolation
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Failed,
    Finished,
    FromChild,
    Indexes,
    Progress,
    Retrying,
    Snapshot,
    SnapshotWanted,
    StageAFinished,
    StageBFinished,
    Stop,
    Stopped,
    ToChild,
)

if TYPE_CHECKING:
    from engine.ranking import TopList
    from engine.report import VariantReport
    from engine.sweep import Batch, Sweep

PROGRESS_SECONDS = 0.2


class StopRequested(Exception):
    """The parent wants no more of this."""


def main(pipe: "Connection[FromChild, ToChild]", assignment: Assignment) -> None:
    """Compute one job; after the last message comes nothing but the end of the pipe."""
    parent = _Parent(pipe)
    try:
        preloaded = isolation.become_computing_child()
        _compute(parent, assignment, preloaded=preloaded)
    except StopRequested:
        parent.send_last(Stopped())
    except BaseException as error:
        isolation.lift_memory_limit()
        parent.send_last(failures.of_exception(error, assignment.memory_bytes))


def _compute(parent: "_Parent", assignment: Assignment, *, preloaded: bool) -> None:
    request = parse(assignment.request, assignment.limits)
    candles = _load_candles(parent, request, assignment)
    isolation.let_faults_end_the_process()
    parent.send(
        CandlesLoaded(
            candles_hash=candles.content_hash(),
            coverage=Coverage.of_candles(request, candles).document(),
            base_variants=Variants.of(request).base_total,
            preloaded=preloaded,
        )
    )
    begin = parent.wait_for_begin()

    from engine.sweep import Sweep  # numba: heavy, and for the child only

    sweep = Sweep(request, candles, threads=assignment.threads)
    shortlist, twins = begin.shortlist, begin.twins
    if shortlist is None:
        best = _run_stage(parent, Stage.STAGE_A, sweep.stage_a())
        shortlist, twins = best.top.indexes(), best.top.twins()
        assert sweep.outcomes is not None
        outcomes = sweep.outcomes.document()
        parent.send(StageAFinished(shortlist, twins, outcomes, best.total, request.risk.total))
    best = _run_stage(parent, Stage.STAGE_B, sweep.stage_b(shortlist, twins=twins), sweep)
    parent.send(StageBFinished(reports=len(best.top)))
    parent.send(Finished(_final_rows(parent, sweep, best.top)))


def _load_candles(parent: "_Parent", request: Request, assignment: Assignment) -> Candles:
    from storage.candles import CandleSourceUnavailable, open_store  # heavy, and for the child only

    def loaded() -> Candles:
        with open_store(assignment.candle_source) as store:
            store.start(request.market_id, request.symbol)
            isolation.limit_memory(assignment.memory_bytes)
            return load(request, store.bars, store.known, store.funding)

    for delay in assignment.candle_retry_seconds:
        try:
            return loaded()
        except CandleSourceUnavailable as error:
            if error.permanent:
                raise
            parent.send(Retrying(str(error)))
            parent.pause(delay)
    return loaded()


def _run_stage(
    parent: "_Parent", stage: Stage, batches: Iterator["Batch"], sweep: "Sweep | None" = None
) -> "Batch":
    """Run a stage to its end; with `sweep`, send the snapshots that the parent asks for."""
    shown: tuple[Indexes, Indexes] | None = None
    for batch in batches:
        parent.report_progress(stage, batch.processed, batch.total)
        if parent.listen() and sweep is not None:
            top = batch.top.indexes(), batch.top.twins()
            unchanged = shown is not None and all(map(np.array_equal, top, shown))
            parent.send(Snapshot(None if unchanged else _summary_rows(sweep, *top)))
            shown = top
    parent.report_progress(stage, batch.processed, batch.total, last=True)
    return batch


def _summary_rows(sweep: "Sweep", indexes: Indexes, twins: Indexes) -> str:
    from engine.report import summaries

    return results.document(map(_row, summaries(sweep, indexes, twins=twins)), reports=False)


def _final_rows(parent: "_Parent", sweep: "Sweep", top: "TopList") -> str:
    from engine.report import reports

    request, rows = sweep.request, []
    for report in reports(
        sweep,
        top.indexes(),
        top_trades_n=request.top_trades_n,
        result_bytes=request.result_bytes_max,
        twins=top.twins(),
    ):
        rows.append(_row(report))
        parent.report_progress(Stage.FINALIZING, len(rows), len(top))
        parent.listen()
    return results.document(rows, reports=True)


def _row(report: "VariantReport") -> TopVariant:
    return TopVariant(
        rank=report.rank,
        variant_key=report.variant_key,
        indicator_variant_key=report.indicator_variant_key,
        variant_index=report.variant_index,
        total_return_pct=report.total_return_pct,
        metrics_json=report.metrics,
        payload_json=report.payload,
        report_table_md=report.table_md,
        trades_json=report.trades,
        equity_json=report.equity,
        trades_omitted=report.trades_omitted,
        twins=report.twins,
    )


class _Parent:
    """The other end of the pipe."""

    def __init__(self, pipe: "Connection[FromChild, ToChild]") -> None:
        self._pipe = pipe
        self._next_progress = 0.0

    def send(self, message: FromChild) -> None:
        self._pipe.send(message)

    def send_last(self, message: Stopped | Failed) -> None:
        """Send it, unless the parent is gone: nobody else wants to know."""
        with suppress(OSError):
            self.send(message)

    def report_progress(
        self, stage: Stage, processed: int, total: int, *, last: bool = False
    ) -> None:
        """Report, unless that was done a moment ago; thousands of small batches are one message."""
        now = time.monotonic()
        if last or now >= self._next_progress:
            self.send(Progress(stage, processed, total))
            self._next_progress = now + PROGRESS_SECONDS

    def listen(self) -> bool:
        """Hear what the parent said: whether it wants a snapshot. Raises StopRequested."""
        snapshot_wanted = False
        while self._pipe.poll():
            snapshot_wanted |= isinstance(self._order(), SnapshotWanted)
        return snapshot_wanted

    def wait_for_begin(self) -> Begin:
        """Wait for the order to begin; raises StopRequested."""
        while True:
            order = self._order()
            if isinstance(order, Begin):
                return order

    def pause(self, seconds: float) -> None:
        """Wait; raises StopRequested."""
        if self._pipe.poll(seconds):
            self._order()

    def _order(self) -> ToChild:
        try:
            order: ToChild = self._pipe.recv()
        except EOFError:
            raise StopRequested from None
        if isinstance(order, Stop):
            raise StopRequested
        return order
