"""The computing child of one job: candles, sweep, reports – and messages about them to its parent.

It never touches Postgres. Whatever it may do to itself – run out of memory, crash in native code,
hang – it does to one job only.
"""

from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from engine.candles import Candles
from engine.coverage import Coverage
from engine.grid import Variants
from engine.loading import load
from engine.request import Request, parse
from engine.validation.split import Split
from storage import result_texts
from storage.records import Stage, TopVariant
from tasks import failures, isolation
from tasks.messages import (
    Assignment,
    CandlesLoaded,
    Finished,
    FromChild,
    Indexes,
    Retrying,
    Snapshot,
    StageAFinished,
    StageBFinished,
    Stopped,
    ToChild,
    Validated,
)
from tasks.parent import Parent, StopRequested

if TYPE_CHECKING:
    from engine.ranking import TopList
    from engine.report import VariantReport
    from engine.sweep import Batch, Sweep
    from engine.validation.search import Answers


def main(pipe: "Connection[FromChild, ToChild]", assignment: Assignment) -> None:
    """Compute one job; after the last message comes nothing but the end of the pipe."""
    parent = Parent(pipe)
    try:
        preloaded = isolation.become_computing_child()
        _compute(parent, assignment, preloaded=preloaded)
    except StopRequested:
        parent.send_last(Stopped())
    except BaseException as error:
        isolation.lift_memory_limit()
        parent.send_last(failures.of_exception(error, assignment.memory_bytes))


def _compute(parent: Parent, assignment: Assignment, *, preloaded: bool) -> None:
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

    split = Split.of(request, candles)
    seen = candles if split is None else split.train
    sweep = Sweep(request, seen, threads=assignment.threads)
    shortlist, twins = begin.shortlist, begin.twins
    if shortlist is None:
        best = _run_stage(parent, Stage.STAGE_A, sweep.stage_a())
        shortlist, twins = best.top.indexes(), best.top.twins()
        assert sweep.outcomes is not None
        outcomes = sweep.outcomes.document()
        if split is not None:
            outcomes |= split.document()
        parent.send(StageAFinished(shortlist, twins, outcomes, best.total, request.risk.total))
    best = _run_stage(parent, Stage.STAGE_B, sweep.stage_b(shortlist, twins=twins), sweep)
    parent.send(StageBFinished(reports=len(best.top), validated=split is not None))
    answers = test = None
    if split is not None:
        answers, test = _ask(parent, sweep, best.top), Sweep(request, split.test)
        parent.send(Validated())
    rows = _final_rows(parent, sweep, best.top, test, answers)
    parent.send(Finished(rows, None if answers is None else _text(answers)))


def _load_candles(parent: Parent, request: Request, assignment: Assignment) -> Candles:
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
    parent: Parent, stage: Stage, batches: Iterator["Batch"], sweep: "Sweep | None" = None
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

    return result_texts.rows(map(_row, summaries(sweep, indexes, twins=twins)), reports=False)


def _ask(parent: Parent, sweep: "Sweep", top: "TopList") -> "Answers":
    """Ask how far the winners of the search can be believed."""
    from engine.validation.search import ask

    def report(done: int, total: int) -> None:
        parent.report_progress(Stage.VALIDATION, done, total, last=done == total)
        parent.listen()

    return ask(sweep, top, report, threads=sweep.threads)


def _text(answers: "Answers") -> str:
    return result_texts.answers(
        figures=answers.figures, pictures=answers.pictures, surfaces=answers.surfaces
    )


def _final_rows(
    parent: Parent,
    sweep: "Sweep",
    top: "TopList",
    test: "Sweep | None",
    answers: "Answers | None",
) -> str:
    from engine.report import reports

    request, rows = sweep.request, []
    made = reports(
        sweep,
        top.indexes(),
        top_trades_n=request.top_trades_n,
        result_bytes=request.result_bytes_max,
        twins=top.twins(),
        test=test,
    )
    beside = [None] * len(top) if answers is None else answers.beside
    for report, neighbours in zip(made, beside, strict=True):
        rows.append(replace(_row(report), beside_json=neighbours))
        parent.report_progress(Stage.FINALIZING, len(rows), len(top))
        parent.listen()
    return result_texts.rows(rows, reports=True)


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
        test_metrics_json=report.test_metrics,
        test_trades_json=report.test_trades,
        test_equity_json=report.test_equity,
    )
