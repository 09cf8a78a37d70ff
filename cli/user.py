"""Commands of traders: submit a sweep, find it, follow it, cancel it."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import help_text, job_ids, job_view, lean, printing, render, watching
from cli.client import Client, Json
from cli.errors import (
    INTERRUPTED,
    JOB_NOT_SUCCEEDED,
    SUCCEEDED,
    USAGE,
    CommandError,
    refused_request,
)
from cli.options import JOBS_PANEL, AsJson, JobId, RequestFile, connected
from cli.output import OutputLost
from cli.request_text import WithFields
from storage.records import State

STATES = tuple(map(str, State))
WATCHED_TOP = 10
FIRST_JOB = "`backtest submit request.json` makes one"
STILL_RUNNING = """
stopped watching, job {job_id} goes on
  backtest watch {short}   comes back to it
  backtest cancel {short}  ends it
"""

Name = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="What to call it: 1 to 120 characters.")
]
Note = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Up to 4,000 characters about it.")
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
    name: Name = None,
    note: Note = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Submitting again under this key (1 to 255 characters) returns the same job.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Submit a sweep.

    The request is checked first, in full: what is wrong is listed with the path of each field, and
    nothing is stored. What it leaves out is filled in from the configuration, `result_bytes_max` as
    well: what the trades and equity curves of all its variants may take. In the order of ranks,
    the first variant that does not fit and all after it are stored without them.

    Ctrl-C stops watching, not the job. --json prints the job's status without its request and
    hashes (`backtest show JOB --json` has them), with `warnings` and `estimate`; with --watch as it
    has ended, with its `verdict`; with --dry-run the whole estimate.

    For example:

      backtest request > request.json
      backtest submit request.json --watch --name "cross, first try"
      backtest submit request.json --dry-run
      jq '.template.timeframe = "1h"' request.json | backtest submit - --json
    """
    document = _described(_read(file), name=name, note=note)
    with connected() as client:
        if dry_run:
            _estimate(client.estimate(document), as_json=as_json)
            return
        status = client.submit(document, idempotency_key=idempotency_key)
        if not as_json:
            printing.size(status["estimate"], status["warnings"])
        if watch:
            if not as_json:
                render.terminal().print(f"job {status['job_id']}")
            _watch(client, status["job_id"], as_json=as_json)
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
    symbol: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Only those of this instrument.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those whose name or id begins with this."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List your jobs, the newest first.

    --json prints an array. Each job has job_id, name, mode, state, stage, progress (stage, done,
    total, rate, eta; null unless it runs), attempt, created_at, started_at, finished_at,
    cancel_requested_at, last_error; market_id, symbol, timeframe, start, end, primary_metric of its
    request; best, the primary metric of its best variant so far, and best_infinite.

    For example:

      backtest jobs --state running
      backtest jobs --symbol BTCUSDT --search cross --limit 100
      backtest jobs --json | jq -r '.[].job_id'
    """
    if state is not None and state not in STATES:
        raise CommandError(f"--state: {state!r} is no state, expected one of {', '.join(STATES)}")
    with connected() as client:
        items = client.jobs(state=state, symbol=symbol, search=search, limit=limit)
    console = render.terminal()
    if as_json:
        render.as_json(items)
    elif items:
        console.print(job_view.jobs_table(items, console.width), crop=False)
    elif state or symbol or search:
        console.print("no such jobs")
    else:
        console.print(f"no jobs; {FIRST_JOB}")


def show(job: JobId, as_json: AsJson = False) -> None:
    """Show one job: what was asked, the sizes of its axes, and what became of it.

    --json prints everything that is known: the request with all its values, hashes, events.

    For example:

      backtest show 3f0c0d0e
      backtest show 3f0c0d0e --json | jq .request
    """
    with connected() as client:
        status = client.status(job_ids.read(job))
        events = client.events(status["job_id"])
    if as_json:
        render.as_json(status | {"events": events})
    else:
        printing.job(status, events)


def watch(job: JobId, as_json: AsJson = False) -> None:
    """Follow a job to its end: progress, rate and time left of each stage, then the top table.

    Ctrl-C stops watching, not the job. The exit code is 0 when the job succeeded, 1 when it
    failed or was cancelled, 130 when it was not watched to its end. --json prints the job as
    `backtest submit --json` does, when it has ended, with its `verdict`.

    For example:

      backtest watch JOB && backtest report JOB --html best.html
    """
    with connected() as client:
        job_id = client.status(job_ids.read(job))["job_id"]  # before anything is drawn
        _watch(client, job_id, as_json=as_json)


def cancel(
    jobs: Annotated[
        list[str],
        typer.Argument(metavar="JOB...", help="Ids of jobs, or their first digits: 4 or more."),
    ],
    as_json: AsJson = False,
) -> None:
    """Cancel jobs: a queued one ends at once, a running one within two seconds.

    Cancelling again, or after the end, changes nothing. Where one of several is not known, none is
    cancelled. --json prints the job as `backtest submit --json` does, several as an array.

    For example:

      backtest cancel JOB
      backtest cancel $(backtest jobs --state queued --json | jq -r '.[].job_id')
    """
    with connected() as client:
        known = [client.status(job_ids.read(job))["job_id"] for job in jobs]
        items = [client.cancel(job_id) for job_id in known]
    if as_json:
        plain = [lean.job(item) for item in items]
        render.as_json(plain if len(plain) > 1 else plain[0])
        return
    said = {"running": "was asked to stop", "cancelled": "is cancelled"}
    for item in items:
        already = f"has already {item['state']}"
        text = f"job {item['job_id']} {said.get(item['state'], already)}"
        render.terminal().print(text, soft_wrap=True)


def name(
    job: JobId,
    text: Annotated[
        str | None, typer.Argument(metavar="NAME", help="1 to 120 characters; empty for none.")
    ] = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Name a job, or note something about it, in any state.

    An empty text takes the name or the note away. --json prints the job as `backtest submit --json`
    does.

    For example:

      backtest name 3f0c0d0e "cross with RSI, 15m"
      backtest name 3f0c0d0e --note "stops are too tight"
    """
    changes = {"name": text, "note": note}
    given = {key: value or None for key, value in changes.items() if value is not None}
    if not given:
        raise CommandError("give a name, or --note TEXT")
    with connected() as client:
        status = client.describe(job_ids.read(job), given)
    if as_json:
        render.as_json(lean.job(status))
        return
    called = f"is called {status['name']}" if status["name"] else "has no name"
    console = render.terminal()
    console.print(f"job {status['job_id']} {called}", markup=False, soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, submit, panel=JOBS_PANEL, cls=WithFields)
    for command in (jobs, show, watch, cancel, name):
        help_text.add(app, command, panel=JOBS_PANEL)


def _watch(client: Client, job_id: str, *, as_json: bool) -> None:
    """Follow the job, print how it ended, and leave with the exit code that says so."""
    console = render.terminal()
    read = partial(client.status, job_id, wait_seconds=0.0)
    try:
        status = watching.attend(read, None if as_json else console)
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
            printing.top(status, client.top(job_id, limit=WATCHED_TOP))
        else:
            printing.job(status, client.events(job_id))
    except OutputLost as lost:
        if not lost.reader_gone:  # how the job ended matters more
            raise
    raise typer.Exit(SUCCEEDED if succeeded else JOB_NOT_SUCCEEDED)


def _estimate(found: Json, *, as_json: bool) -> None:
    """Print what would become of a request; leaves with code 2 when it would be refused."""
    if as_json:
        render.as_json(found)
        if not found["accepted"]:
            raise typer.Exit(USAGE)
        return
    if not found["accepted"]:
        raise refused_request(found["errors"])
    printing.estimate(found)


def _described(document: Any, **texts: str | None) -> Any:
    """Return the request with name and note, which stand beside its own keys."""
    given = {key: text for key, text in texts.items() if text is not None}
    return document | given if isinstance(document, dict) else document


def _read(file: Path) -> Any:
    from engine.request import read_json

    if str(file) == "-":
        return read_json(sys.stdin.buffer.read())
    try:
        return read_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
