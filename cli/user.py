"""Commands of traders: submit a sweep, follow it, read what it found."""

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cli import help_text, render, watching
from cli.errors import JOB_NOT_SUCCEEDED, CommandError
from cli.request_text import WithFields
from cli.running_stack import environment
from cli.service import Service
from storage.records import State

LOCAL_USER = UUID("00000000-0000-4000-8000-000000000001")
JOBS_PANEL = "Jobs"
STATES = tuple(map(str, State))

User = Annotated[
    UUID,
    typer.Option(
        "--user", envvar="ROEHUB_USER_ID", help="Whose jobs.", show_default="a local user"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
JobId = Annotated[UUID, typer.Argument(help="The job's id, as `backtest jobs` shows it.")]
RequestFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The request as JSON; - reads standard input.")
]


def submit(
    file: RequestFile,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to the end.")] = False,
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

    For example:

      backtest request > request.json
      backtest submit request.json --watch
      jq '.template.timeframe = "1h"' request.json | backtest submit - --json
    """
    document = _read(file)
    with _service(user) as service:
        status = service.submit(document, idempotency_key=idempotency_key)
        if watch:
            if not as_json:
                render.terminal().print(f"job {status['job_id']}")
            _watch(service, UUID(status["job_id"]), as_json=as_json)
        if as_json:
            render.as_json(status)
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

    For example:

      backtest jobs --state running
      backtest jobs --json | jq -r '.[].job_id'
    """
    if state is not None and state not in STATES:
        raise CommandError(f"--state: {state!r} is no state, expected one of {', '.join(STATES)}")
    with _service(user) as service:
        items = service.latest(state=state, limit=limit)
    if as_json:
        render.as_json(items)
    elif items:
        render.terminal().print(render.jobs_table(items))
    else:
        render.terminal().print("no jobs; `backtest submit request.json` makes one")


def show(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Show one job: state, progress, error, and what happened to it.

    For example:

      backtest show 3f0c0d0e-0000-4000-8000-000000000000
    """
    with _service(user) as service:
        status, events = service.status(job), service.events(job)
    if as_json:
        render.as_json(status | {"events": events})
    else:
        render.terminal().print(render.job_table(status, events))


def top(
    job: JobId,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 10,
    user: User = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Show the best variants so far, their parameters as columns.

    While the job runs these are intermediate results.

    For example:

      backtest top JOB --limit 5 --json | jq '.[0].payload_json'
    """
    with _service(user) as service:
        rows = service.top(job, limit=limit)
    if as_json:
        render.as_json(rows)
    else:
        _print_top(rows)


def watch(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Follow a job to its end: progress, rate and time left of each stage, then the top table.

    Ctrl-C stops watching, not the job. The exit code is 0 when the job succeeded and 1 when it
    failed or was cancelled.

    For example:

      backtest watch JOB && backtest report JOB --html best.html
    """
    with _service(user) as service:
        _watch(service, job, as_json=as_json)


def cancel(job: JobId, user: User = LOCAL_USER, as_json: AsJson = False) -> None:
    """Cancel a job: a queued one ends at once, a running one within two seconds.

    Cancelling again, or after the end, changes nothing.

    For example:

      backtest cancel JOB
    """
    with _service(user) as service:
        status = service.cancel(job)
    if as_json:
        render.as_json(status)
    elif status["state"] == "running":
        render.terminal().print(f"job {job} was asked to stop")
    else:
        render.terminal().print(f"job {job} is {status['state']}")


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
        status = service.status(job)
        rows = service.top(job, limit=rank)
        if len(rows) < rank:
            raise CommandError(f"job {job} has {len(rows)} variants, none of rank {rank}")
        row = rows[rank - 1]
        if html is not None:
            from cli import html_report

            html_report.write(html, service, status, row)
    console = render.terminal()
    if as_json:
        render.as_json(row)
    elif html is not None:
        console.print(f"wrote {html}")
    else:
        for part in render.report(row, f"Variant {rank} of job {job}"):
            console.print(part)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, submit, panel=JOBS_PANEL, cls=WithFields)
    for command in (jobs, show, top, watch, cancel, report):
        help_text.add(app, command, panel=JOBS_PANEL)


def _watch(service: Service, job: UUID, *, as_json: bool) -> None:
    """Follow the job, print how it ended, and leave with the exit code that says so."""
    service.status(job)  # a wrong id is refused before anything is drawn
    console = render.terminal()
    status = watching.attend(service.status, job, None if as_json else console)
    if as_json:
        render.as_json(status)
    elif status["state"] == "succeeded":
        console.print()
        _print_top(service.top(job, limit=10))
    else:
        console.print(render.job_table(status, service.events(job)))
    raise typer.Exit(0 if status["state"] == "succeeded" else JOB_NOT_SUCCEEDED)


def _print_top(rows: list[watching.Json]) -> None:
    console = render.terminal()
    if rows:
        console.print(render.top_table(rows, console.width))
    else:
        console.print("no variants yet")


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
