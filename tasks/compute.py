"""The computing child of one job: candles, sweep, reports – and messages about them to its parent.

It never touches Postgres. Whatever it may do to itself – run out of memory, crash in native code,
hang – it does to one job only.
"""

from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from engine.candles import Candles
from engine.coverage import Coverage
from engine.grid import Variants
from engine.loading import load
from engine.request import Request, parse
from engine.validation.split import Split
from storage import result_texts
from storage.records import Stage, TopVariant
from tasks import failures, isolation, serving
from tasks.messages import (
    Assignment,
    Begin,
    CandlesLoaded,
    Finished,
    FromChild,
    Indexes,
    Retrying,
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
    from engine.sweep import Sweep
    from engine.validation.drawn import Drawn
    from engine.validation.draws import Draws
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
    if begin.draws:
        _draw(parent, sweep, assignment)
        return
    top = _search(parent, sweep, split, begin, assignment)
    answers = test = None
    if split is not None:
        answers = _ask(parent, sweep, top, begin, assignment)
        test = Sweep(request, split.test)
        parent.send(Validated())
    rows = _final_rows(parent, sweep, top, test, answers)
    parent.send(Finished(rows, None if answers is None else _text(answers)))


def _search(
    parent: Parent, sweep: "Sweep", split: Split | None, begin: Begin, assignment: Assignment
) -> "TopList":
    """Return the final list of both stages, of which an earlier attempt may have done the first."""
    from engine.divided import StageA, StageB

    shortlist, twins = begin.shortlist, begin.twins
    if shortlist is None or twins is None:
        found = serving.run_stage(
            parent,
            Stage.STAGE_A,
            StageA(sweep),
            assignment,
            planned=Stage.STAGE_A in begin.planned,
        )
        shortlist, twins = found.top.indexes(), found.top.twins()
        assert found.outcomes is not None
        outcomes = found.outcomes.document()
        if split is not None:
            outcomes |= split.document()
        total, risks = sweep.grid.base_total, sweep.grid.risk_total
        parent.send(StageAFinished(shortlist, twins, outcomes, total, risks))
    top = serving.run_stage(
        parent,
        Stage.STAGE_B,
        StageB(sweep, shortlist, twins),
        assignment,
        planned=Stage.STAGE_B in begin.planned,
        show=serving.Snapshots(parent, partial(_summary_rows, sweep)).send,
    ).top
    parent.send(StageBFinished(reports=len(top), validated=split is not None))
    return top


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


def _summary_rows(sweep: "Sweep", indexes: Indexes, twins: Indexes) -> str:
    from engine.report import summaries

    return result_texts.rows(map(_row, summaries(sweep, indexes, twins=twins)), reports=False)


def _ask(
    parent: Parent, sweep: "Sweep", top: "TopList", begin: Begin, assignment: Assignment
) -> "Answers":
    """Ask how far the winners of the search can be believed."""
    from engine.validation.search import ask

    def report(done: int, total: int) -> None:
        parent.report_progress(Stage.VALIDATION, done, total, last=done == total)
        parent.listen()

    def search_draws(draws: "Draws", before: int) -> "Drawn":
        planned = Stage.VALIDATION in begin.planned
        return serving.run_stage(
            parent, Stage.VALIDATION, draws, assignment, planned=planned, before=before
        )

    return ask(sweep, top, report, threads=sweep.threads, search_draws=search_draws)


def _draw(parent: Parent, sweep: "Sweep", assignment: Assignment) -> None:
    """Search draws of a search that somebody else asks."""
    from engine.validation.search import draws_of

    serving.run_stage(parent, Stage.VALIDATION, draws_of(sweep), assignment, planned=True)


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
