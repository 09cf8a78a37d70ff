"""Commands of traders about what a job has found: the top list, one report, an export."""

from pathlib import Path
from typing import Annotated

import typer

from cli import help_text, job_ids, job_view, lean, printing, render
from cli.errors import CommandError
from cli.options import JOBS_PANEL, AsJson, JobId, connected

MOST_ROWS = 300


def top(
    job: JobId,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="How many.")] = 10,
    include: Annotated[
        str | None,
        typer.Option(
            metavar="PARTS", help=f"What else --json has, of: {', '.join(lean.INCLUDED)}."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the best variants of a job, also while it is still running.

    The metrics that variants are ranked by are always shown, the others as far as the terminal is
    wide; parameters that all variants share stand above the table once the job has succeeded.

    --json prints an array of variants: rank, variant_key, indicator_variant_key, variant_index,
    total_return_pct, metrics_json, payload_json (all its parameters), trades_omitted, twins,
    test_metrics_json and beside_json, how its neighbours did (null unless the request keeps bars
    aside); --include adds report_table_md, trades and test_trades, equity and test_equity.

    For example:

      backtest top JOB --limit 5 --json | jq '.[0].payload_json'
      backtest top JOB --limit 1 --json --include trades,equity
    """
    parts = _parts(include)
    if parts and not as_json:
        raise CommandError("--include is for --json: `backtest report JOB` shows one variant")
    with connected() as client:
        status = client.status(job_ids.read(job))
        rows = client.top(status["job_id"], limit=limit, include=parts)
    if as_json:
        render.as_json(rows)
    else:
        printing.top(status, rows)


def report(
    job: JobId,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with plots that opens offline."),
    ] = None,
    rank: Annotated[
        int, typer.Option(min=1, max=MOST_ROWS, help="Which variant, 1 is the best.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Report one variant of a finished job.

    The page needs the variant's trades and equity curve, which the job keeps for its best
    `top_trades_n` variants, and the candle store for prices. --json prints the variant as
    `backtest top --json` does, with report_table_md, trades and equity.

    For example:

      backtest report JOB
      backtest report JOB --rank 2 --html second.html
    """
    with connected() as client:
        status = client.status(job_ids.read(job))
        job_id, rows = status["job_id"], client.top(job_ids.read(job), limit=rank)
        if not rows:
            raise CommandError(f"job {job_id}: {job_view.no_variants(status)}")
        if len(rows) < rank:
            raise CommandError(f"job {job_id} has {len(rows)} variants, none of rank {rank}")
        row = client.variant(job_id, rows[rank - 1]["variant_key"])
        if html is not None:
            from cli import html_report

            html_report.write(html, client, status, row)
    if as_json:
        render.as_json(row)
        return
    printing.verdict(status)
    if html is not None:
        render.terminal().print(f"wrote {html}", soft_wrap=True, markup=False)
    else:
        printing.report(row, f"Variant {rank} of job {job_id}", status["request"])


def export(
    job: JobId,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write CSV; - writes to standard output.")
    ] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write Parquet.")] = None,
) -> None:
    """Write all variants that a job keeps as one table, the best first.

    A row has rank, variant_key, indicator_variant_key, variant_index, twins, a column for every
    parameter (`momentum.rsi.window`, `momentum.rsi.long_threshold`, `risk.sl`, `percent` where
    sizing is by percent) and one for every metric, `test.` before those of the bars that a request
    keeps aside. A level that is off and a metric that is
    undefined are empty; `inf` is infinity.

    For example:

      backtest export JOB --csv variants.csv
      backtest export JOB --parquet variants.parquet
    """
    if (csv is None) == (parquet is None):
        raise CommandError("give either --csv FILE or --parquet FILE")
    from cli import export as exporting

    with connected() as client:
        status = client.status(job_ids.read(job))
        rows = client.top(status["job_id"], limit=MOST_ROWS)
    if not rows:
        raise CommandError(f"job {status['job_id']}: {job_view.no_variants(status)}")
    if csv is not None:
        exporting.write_csv(csv, rows)
    elif parquet is not None:
        exporting.write_parquet(parquet, rows)
    file = csv or parquet
    if str(file) != "-":
        text = f"wrote {len(rows)} variants to {file}"
        render.terminal().print(text, soft_wrap=True, markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (top, report, export):
        help_text.add(app, command, panel=JOBS_PANEL)


def _parts(include: str | None) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in include.split(",")) if include is not None else ()
    for part in parts:
        if part not in lean.INCLUDED:
            known = ", ".join(lean.INCLUDED)
            raise CommandError(f"--include: {part!r} is none of {known}")
    return parts
