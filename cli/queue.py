"""Commands of operators for the queue, straight to Postgres: they work while the API does not."""

import getpass
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli import help_text, render
from cli.errors import CommandError, printable
from cli.options import AsJson
from cli.running_stack import environment

if TYPE_CHECKING:
    from storage.connection import Connection
    from storage.session import Session
    from storage.switches import Pause

Result = TypeVar("Result")

ANSWER_SECONDS = 10.0
SOMETHING_STUCK = 1


def pause(
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="Why: users see it with their jobs."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start no more jobs until `backtest resume`; those that run go on to their end.

    Jobs are submitted, cancelled and swept as always, and those that lose their owner wait, too.
    Lists and metrics say that the queue is paused. Restarts of programs change nothing about it. It
    goes to the database that STRATEGY_PG_DSN names. Pausing again changes nothing.

    For example:

      backtest pause --reason "new disks for ClickHouse, until 18:00 UTC"
    """
    from storage import switches

    if reason is not None:
        reason = reason.strip()
        if not 1 <= len(reason) <= switches.LONGEST_REASON or not reason.isprintable():
            raise CommandError(
                f"--reason: must be one line of 1 to {switches.LONGEST_REASON} printable characters"
            )

    def change(conn: "Connection") -> "tuple[bool, Pause | None]":
        return switches.pause(conn, by=_me(), reason=reason), switches.paused().of(conn)

    changed, found = in_postgres(change)
    if as_json:
        render.as_json({"changed": changed, "paused": _plain(found)})
    elif changed:
        typer.echo("paused: no job starts until `backtest resume`; those that run go on")
    elif found is not None:
        why = f": {found.reason}" if found.reason else ""
        since = render.moment(found.since.isoformat())
        typer.echo(f"paused already, since {since} UTC by {found.by}{why}")


def resume(as_json: AsJson = False) -> None:
    """End the pause of `backtest pause`: jobs that wait start at once.

    Resuming what is not paused changes nothing.

    For example:

      backtest resume
    """
    from storage import switches

    changed = in_postgres(lambda conn: switches.resume(conn, by=_me()))
    if as_json:
        render.as_json({"changed": changed, "paused": None})
    else:
        typer.echo("resumed" if changed else "nothing was paused")


def stuck(as_json: AsJson = False) -> None:
    """List jobs that do not move, why, and what to do about each.

    Those are running jobs without an owner, or whose owner is silent, makes no progress, does not
    hear a cancel or cannot end; and jobs that have been queued for more than ten minutes: because
    of a pause, without a scheduler or a worker, behind busy workers, or of a newer release. The
    exit code is 0 when there are none, 1 when there are some, 2 and 3 as for all commands.

    --json prints found, how many there are, and items: job_id, user_id, state, problem, since,
    seconds, owner, stage, attempt, said, advice, runbook.

    For example:

      backtest stuck
      backtest stuck --json | jq -r '.items[] | .problem' | sort | uniq -c
    """
    from api.answers import encoded
    from api.operating import stuck as shown
    from engine.request import VERSION
    from storage import operating

    found = in_postgres(
        lambda conn: shown(
            operating.stuck_running().of(conn),
            operating.stuck_queued(request_version=VERSION).of(conn),
        )
    )
    if as_json:
        render.as_json(json.loads(encoded(found)))
    else:
        _print_stuck(found)
    raise typer.Exit(SOMETHING_STUCK if found["found"] else 0)


def in_postgres(work: "Callable[[Connection], Result]") -> "Result":
    """Run `work` as one transaction on the database of STRATEGY_PG_DSN; raises as `connected`."""
    with connected() as session:
        return session.run(work)


@contextmanager
def connected(statement_seconds: float = ANSWER_SECONDS) -> "Iterator[Session]":
    """Yield a session on the database of STRATEGY_PG_DSN.

    Raises what says that there is none, that it refuses, or that its schema is of another release.
    """
    from configs.environment import postgres_dsn
    from storage import readiness, schema
    from storage.connection import Unreachable
    from storage.session import Session

    dsn = postgres_dsn(environment())
    session = Session(
        dsn,
        application_name="backtest-operator",
        lock_seconds=ANSWER_SECONDS,
        statement_seconds=statement_seconds,
        on_connect=schema.check,
    )
    try:
        yield session
    except Unreachable:
        readiness.raise_refusal(dsn)
        raise
    finally:
        session.close()


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module."""
    for command in (stuck, pause, resume):
        help_text.add(app, command, panel=panel)


def _print_stuck(found: render.Json) -> None:
    """Print jobs under what is wrong with them, which many of them share."""
    console = render.terminal()
    if not found["found"]:
        console.print("nothing is stuck")
        return
    groups: dict[str, list[render.Json]] = {}
    for item in found["items"]:
        groups.setdefault(item["problem"], []).append(item)
    for items in groups.values():
        first = items[0]
        console.print(f"{first['said']}:", style="bold", markup=False)
        for item in items:
            owner = "" if item["owner"] is None else f", owner {printable(item['owner'])}"
            since = render.duration(item["seconds"])
            line = f"  {item['job_id']}  {item['state']}, for {since}{owner}"
            console.print(line, markup=False, soft_wrap=True)
        console.print(f"  -> {first['advice']}", markup=False)
        console.print(f"     {first['runbook']}", style="dim", markup=False)
    more = found["found"] - len(found["items"])
    if more:
        console.print(f"and {more} more")


def _me() -> str:
    """Who types: an account of this machine, which need not have a name in a container."""
    from storage.switches import LONGEST_NAME

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"[:LONGEST_NAME]


def _plain(pause: "Pause | None") -> dict[str, Any] | None:
    if pause is None:
        return None
    return {"since": pause.since.isoformat(), "by": pause.by, "reason": pause.reason}
