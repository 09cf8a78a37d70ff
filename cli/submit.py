"""Commands of traders: submit a sweep, and follow one to its end."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import help_text, job_ids, job_view, lean, printing, render, strategies, watching
from cli.client import Client, Json
from cli.errors import (
    INTERRUPTED,
    JOB_NOT_SUCCEEDED,
    SUCCEEDED,
    USAGE,
    CommandError,
    refused_request,
)
from cli.options import JOBS_PANEL, AsJson, JobId, Name, Note, connected, read_json_file
from cli.output import OutputLost
from cli.request_text import WithFields

WATCHED_TOP = 10
STILL_RUNNING = """
stopped watching, job {job_id} goes on
  backtest watch {short}   comes back to it
  backtest cancel {short}  ends it
"""


def submit(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="The request as JSON; - reads standard input.", show_default=False
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow it to the end.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check and estimate only: nothing is stored; 2 if it were refused."
        ),
    ] = False,
    name: Name = None,
    note: Note = None,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Instead of FILE: a saved strategy, by name or id."),
    ] = None,
    overrides: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --strategy: what to add or change, as JSON."),
    ] = None,
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

    --overrides has at least the `time_range`, and changes of the strategy's `template` where
    wanted: an object is merged, null takes a key away, everything else replaces what is there.

    For example:

      backtest request > request.json
      backtest submit request.json --watch --name "cross, first try"
      backtest submit request.json --dry-run
      backtest submit --strategy "slow cross" --overrides last-year.json
      jq '.template.timeframe = "1h"' request.json | backtest submit - --json
    """
    with connected() as client:
        document = _document(client, file, strategy, overrides)
        document = _described(document, name=name, note=note)
        if dry_run:
            _estimate(client.estimate(document), as_json=as_json)
            return
        status = client.submit(document, idempotency_key=idempotency_key)
        if not as_json:
            printing.size(status["estimate"], status["warnings"])
        if watch:
            if not as_json:
                render.terminal().print(f"job {status['job_id']}")
            to_the_end(client, status["job_id"], as_json=as_json)
        if as_json:
            render.as_json(lean.job(status))
            return
    console = render.terminal()
    console.print(f"job {status['job_id']} is {status['state']}")
    console.print(f"backtest watch {status['job_id']}", style="dim")


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
        to_the_end(client, job_id, as_json=as_json)


def to_the_end(client: Client, job_id: str, *, as_json: bool) -> None:
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
    succeeded = status["state"] == "succeeded"
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


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, submit, panel=JOBS_PANEL, cls=WithFields)
    help_text.add(app, watch, panel=JOBS_PANEL)


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


def _document(
    client: Client, file: Path | None, strategy: str | None, overrides: Path | None
) -> Any:
    """Return the request: of a file, or of a saved strategy with what is changed about it."""
    if strategy is None:
        if overrides is not None:
            raise CommandError("--overrides is for --strategy: change the request itself")
        if file is None:
            raise CommandError("give the FILE of a request, or --strategy NAME")
        return read_json_file(file)
    if file is not None:
        raise CommandError(
            "give FILE or --strategy: what a strategy leaves open is for --overrides"
        )
    changes = {} if overrides is None else read_json_file(overrides)
    return {"strategy_id": strategies.find(client, strategy), "overrides": changes}
