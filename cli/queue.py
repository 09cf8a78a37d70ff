"""Commands of operators for the queue, straight to Postgres: they work while the API does not."""

import getpass
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli import help_text, render
from cli.errors import CommandError
from cli.options import AsJson
from cli.running_stack import environment

if TYPE_CHECKING:
    from storage.connection import Connection
    from storage.switches import Pause

Result = TypeVar("Result")

ANSWER_SECONDS = 10.0


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


def in_postgres(work: "Callable[[Connection], Result]") -> Result:
    """Run `work` as one transaction on the database of STRATEGY_PG_DSN.

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
        statement_seconds=ANSWER_SECONDS,
        on_connect=schema.check,
    )
    try:
        return session.run(work)
    except Unreachable:
        readiness.raise_refusal(dsn)
        raise
    finally:
        session.close()


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands of this module."""
    for command in (pause, resume):
        help_text.add(app, command, panel=panel)


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
