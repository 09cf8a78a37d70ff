"""Commands of traders: submit a sweep, follow it, read what it found."""

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cli import help_text, job_ids, job_view, lean, printing, render, watching
from cli.errors import INTERRUPTED, JOB_NOT_SUCCEEDED, SUCCEEDED, CommandError
from cli.output import OutputLost
from cli.request_text import WithFields
from cli.running_stack import environment
from cli.service import Service
from storage.records import State

LOCAL_USER = UUID("00000000-0000-4000-8000-000000000001")
JOBS_PANEL = "Jobs"
STATES = tuple(map(str, State))
WATCHED_TOP = 10
FIRST_JOB = "`backtest submit request.json` makes one"
STILL_RUNNING = """
stopped watching, job {job_id} goes on
  backtest watch {short}   comes back to it
  backtest cancel {short}  ends it
"""

User = Annotated[
    UUID,
    typer.Option(
        "--user", envvar="ROEHUB_USER_ID", help="Whose jobs.", show_default="a local user"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
JobId = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="The job's id, or its first digits: 4 or more, as many as name one job."
    ),
]
RequestFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The request as JSON; - reads standard input.")
]


def submit(
    file: RequestFile,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to the end.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check and estimate only: nothing is stored; 2 if it were refused."
        ),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Submitting again under this key (1 to 255 characters) returns the same job.",
        ),
    ] = None,
    user: User = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Submit a sweep.

    The request is checked first, in full: what is wrong is listed with the path of each field, and
    nothing is stored. What it leaves out is filled in from the configuration, `result_bytes_max` as
    well: what the trades and equity curves of all its variants may take. In the order of ranks,
    the first variant that does not fit and all after it are stored without them.

    Ctrl-C stops watching, not the job. --json prints the job as `backtest jobs --json` does, with
    `warnings` and `estimate`; with --watch as it has ended, with its `verdict`.

    For example:

      backtest request > request.json
      backtest submit request.json --watch
      backtest submit request.json --dry-run
      jq '.template.timeframe = "1h"' request.json | backtest submit - --json
    """
    document = _read(file)
    if dry_run:
        found = Service(environment(), user).estimate(document)
        render.as_json(found) if as_json else printing.estimate(found)
        return
    with _service(user) as service:
        status = service.submit(document, idempotency_key=idempotency_key)
        if not as_json:
            printing.size(status)
        if watch:
            if not as_json:
                render.terminal().print(f"job {status['job_id']}")
            _watch(service, UUID(status["job_id"]), as_json=as_json)
        if as_json:
            render.as_json(lean.job(status))
            return
    console = render.terminal()
    console.print(f"job {status['job_id']} is {status['state']}")
    console.print(f"backtest watch {status['job_id']}", style="dim")


def jobs(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"Only these: {', '.join(STATES)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=250, help="How many.")] = 20,
    user: User = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """List your jobs, the newest first.

    --json prints an array. Each job has job_id, state, stage, processed_units, total_units,
    attempt, created_at, started_at, finished_at, cancel_requested_at, engine_version; market_id,
    symbol, timeframe, start, end, primary_metric of its request. A failed one has last_error and
    last_error_json as well.

    For example:

      backtest jobs --state running
      backtest jobs --json | jq -r '.[].job_id'
    """
    if state is not None and state not in STATES:
        raise CommandError(f"--state: {state!r} is no state, expected one of {', '.join(STATES)}")
    with _service(user) as service:
        items = service.latest(state=state, limit=limit)
    console = render.terminal()
    if as_json:
        render.as_json([lean.listed(item) for item in items])
    elif items:
        console.print(job_view.jobs_table(items, console.width), crop=False)
    else:
        console.print("no jobs" + (f" are {state}" if state else "; " + FIRST_JOB))


def show(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Show one job: what was asked, the sizes of its axes, and what became of it.

    --json prints everything that is known: the request with all its values, hashes, events.

    For example:

      backtest show 3f0c0d0e
      backtest show 3f0c0d0e --json | jq .request
    """
    with _service(user) as service:
        job_id = job_ids.resolve(service, job)
        status, events = service.status(job_id), service.events(job_id)
    if as_json:
        render.as_json(status | {"events": events})
    else:
        printing.job(status, events)


def top(
    job: JobId,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 10,
    include: Annotated[
        str | None,
        typer.Option(metavar="PARTS", help="With --json: add some of report,trades,equity."),
    ] = None,
    user: User = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Show the best variants, so far while the job runs.

    ▼ marks the metric they are ranked by (▲ where the smallest is best), ▽ the one after it. The
    wider the terminal, the more metrics. Parameters that all variants share stand above the table.
    `twins` counts the variants of the search that share a row's outcome, ∞ is a ratio without a
    denominator, - an undefined figure.

    --json prints an array. Each variant has rank, variant_key, indicator_variant_key,
    variant_index, total_return_pct, metrics_json, payload_json (all its parameters),
    trades_omitted and twins; --include adds report_table_md, trades_json, equity_json.

    For example:

      backtest top JOB --limit 5 --json | jq '.[0].payload_json'
      backtest top JOB --limit 1 --json --include trades,equity
    """
    parts = _parts(include)
    if parts and not as_json:
        raise CommandError("--include is for --json: `backtest report JOB` shows one variant")
    with _service(user) as service:
        job_id = job_ids.resolve(service, job)
        status, rows = service.status(job_id), service.top(job_id, limit=limit)
    if as_json:
        render.as_json([lean.variant(row, parts) for row in rows])
    else:
        printing.top(status, rows)


def watch(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Follow a job to its end: progress, rate and time left of each stage, then the top table.

    Ctrl-C stops watching, not the job. The exit code is 0 when the job succeeded, 1 when it
    failed or was cancelled, 130 when it was not watched to its end. --json prints the job as
    `backtest jobs --json` does, when it has ended, with its `verdict`.

    For example:

      backtest watch JOB && backtest report JOB --html best.html
    """
    with _service(user) as service:
        _watch(service, job_ids.resolve(service, job), as_json=as_json)


def cancel(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Cancel a job: a queued one ends at once, a running one within two seconds.

    Cancelling again, or after the end, changes nothing.

    For example:

      backtest cancel JOB
    """
    with _service(user) as service:
        status = service.cancel(job_ids.resolve(service, job))
    if as_json:
        render.as_json(lean.job(status))
    else:
        said = {"running": "was asked to stop", "cancelled": "is cancelled"}
        already = f"has already {status['state']}"
        console = render.terminal()
        console.print(f"job {status['job_id']} {said.get(status['state'], already)}")


def report(
    job: JobId,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with plots that opens offline."),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Which variant, 1 is the best.")] = 1,
    user: User = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Report one variant of a finished job.

    The page needs the variant's trades and equity curve, which the job keeps for its best
    `top_trades_n` variants, and the candle store for prices.

    For example:

      backtest report JOB
      backtest report JOB --rank 2 --html second.html
    """
    with _service(user) as service:
        job_id = job_ids.resolve(service, job)
        status, rows = service.status(job_id), service.top(job_id, limit=rank)
        if not rows:
            raise CommandError(f"job {job_id}: {job_view.no_variants(status)}")
        if len(rows) < rank:
            raise CommandError(f"job {job_id} has {len(rows)} variants, none of rank {rank}")
        row = rows[rank - 1]
        if html is not None:
            from cli import html_report

            html_report.write(html, service, status, row)
    if as_json:
        render.as_json(row)
        return
    printing.verdict(status)
    if html is not None:
        render.terminal().print(f"wrote {html}", soft_wrap=True, markup=False)
    else:
        printing.report(row, f"Variant {rank} of job {job_id}")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, submit, panel=JOBS_PANEL, cls=WithFields)
    for command in (jobs, show, top, watch, cancel, report):
        help_text.add(app, command, panel=JOBS_PANEL)


def _watch(service: Service, job_id: UUID, *, as_json: bool) -> None:
    """Follow the job, print how it ended, and leave with the exit code that says so."""
    service.status(job_id)  # a wrong id is refused before anything is drawn
    console = render.terminal()
    try:
        status = watching.attend(service.status, job_id, None if as_json else console)
    except KeyboardInterrupt:
        sys.stderr.write(STILL_RUNNING.format(job_id=job_id, short=job_view.short(job_id)))
        raise typer.Exit(INTERRUPTED) from None
    except OutputLost as lost:
        if not lost.reader_gone:
            raise
        raise typer.Exit(INTERRUPTED) from None
    succeeded = status["state"] == State.SUCCEEDED
    try:
        if as_json:
            render.as_json(lean.job(status))
        elif succeeded:
            console.print()
            printing.top(status, service.top(job_id, limit=WATCHED_TOP))
        else:
            printing.job(status, service.events(job_id))
    except OutputLost as lost:
        if not lost.reader_gone:  # how the job ended matters more
            raise
    raise typer.Exit(SUCCEEDED if succeeded else JOB_NOT_SUCCEEDED)


def _parts(include: str | None) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in include.split(",")) if include is not None else ()
    for part in parts:
        if part not in lean.INCLUDED:
            known = ", ".join(lean.INCLUDED)
            raise CommandError(f"--include: {part!r} is none of {known}")
    return parts


def _read(file: Path) -> Any:
    from engine.request import read_json

    if str(file) == "-":
        return read_json(sys.stdin.buffer.read())
    try:
        return read_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def _service(user: UUID) -> Service:
    variables = environment()
    if not variables.get("STRATEGY_PG_DSN"):
        raise CommandError(
            "no stack is running here and STRATEGY_PG_DSN is not set: "
            "run `backtest up` in another terminal, or set it to the product's Postgres"
        )
    return Service(variables, user)
