"""Commands of traders about their jobs: list, show, cancel, name."""

from typing import Annotated

import typer

from cli import help_text, job_ids, job_list, lean, printing, render
from cli.errors import CommandError
from cli.options import JOBS_PANEL, AsJson, JobId, Note, connected
from storage.records import State

STATES = tuple(map(str, State))
FIRST_JOB = "`backtest submit request.json` makes one"


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
        paused = None if as_json else client.paused()
    console = render.terminal()
    if paused is not None:
        console.print(job_list.pause_line(paused))
    if as_json:
        render.as_json(items)
    elif items:
        console.print(job_list.jobs_table(items, console.width), crop=False)
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


def cancel(
    jobs: Annotated[
        list[str],
        typer.Argument(metavar="JOB...", help="Ids of jobs, or their first digits: 4 or more."),
    ],
    as_json: AsJson = False,
) -> None:
    """Cancel jobs: a queued one ends at once, a running one within two seconds.

    Cancelling again, or after the end, changes nothing. Where one of several is not known, none is
    cancelled. --json prints the job as `backtest submit --json` does, several as an array like
    `backtest jobs --json`.

    For example:

      backtest cancel JOB
      backtest cancel $(backtest jobs --state queued --json | jq -r '.[].job_id')
    """
    with connected() as client:
        wanted = [job_ids.read(job) for job in jobs]
        one = len(wanted) == 1
        items = [client.cancel(wanted[0])] if one else client.cancel_all(wanted)
    if as_json:
        render.as_json(lean.job(items[0]) if one else items)
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
    for command in (jobs, show, cancel, name):
        help_text.add(app, command, panel=JOBS_PANEL)
