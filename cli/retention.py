"""`backtest retention`: what the scheduler deletes of the jobs that have ended, and when."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import help_text, render
from cli.errors import CommandError
from cli.options import AsJson
from cli.queue import connected
from cli.running_stack import environment

if TYPE_CHECKING:
    from storage.jobs import Ended
    from storage.records import State

OPTION = "--days"


def retention(
    days: Annotated[
        int | None,
        typer.Option(
            OPTION, min=1, max=36_500, help="Ended longer ago than this.", show_default="configured"
        ),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them now, for good.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which jobs retention deletes: those that ended more than retention_days ago.

    Nothing is deleted without --delete; then it is what the scheduler does every hour, now, with
    their results and events. Jobs that are queued or running stay. It goes to the database that
    STRATEGY_PG_DSN names. --days shows, or deletes, what another number of days would.

    --json prints days, deleted (null without --delete), and items: state, number, first, last. They
    are what would be deleted, or after --delete what is left.

    For example:

      backtest retention
      backtest retention --days 90
      backtest retention --days 90 --delete
    """
    from scheduler import upkeep
    from storage import jobs

    configured, lease_seconds = _configured()
    wanted = configured if days is None else days
    if wanted is None:
        _nothing(as_json, delete=delete)
        return
    question = jobs.finished_before(older_than_days=wanted)
    deleted = 0
    with connected(lease_seconds) as session:
        if delete:
            deleted = upkeep.delete_finished(session.run, older_than_days=wanted)
        found = session.run(question.of)
    if as_json:
        items = [_plain(state, ended) for state, ended in found.items()]
        render.as_json({"days": wanted, "deleted": deleted if delete else None, "items": items})
    else:
        _print(wanted, found, deleted if delete else None)


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this module."""
    help_text.add(app, retention, panel=panel)


def _configured() -> tuple[int | None, float]:
    from configs import settings

    found = settings.load(environ={"ROEHUB_ENV": "dev"} | environment()).backtest.jobs
    return found.retention_days, found.lease_seconds


def _nothing(as_json: bool, *, delete: bool) -> None:
    """Say that all jobs are kept; raises where some were to be deleted."""
    if delete:
        raise CommandError(
            f"retention_days is null, which keeps all jobs: say by {OPTION} which to delete"
        )
    if as_json:
        render.as_json({"days": None, "deleted": None, "items": []})
    else:
        typer.echo("retention_days is null: all jobs are kept")


def _print(days: int, found: "Mapping[State, Ended]", deleted: int | None) -> None:
    if deleted is not None:
        typer.echo(f"deleted {deleted} jobs that ended more than {days} days ago")
        if found:
            left = sum(ended.number for ended in found.values())
            typer.echo(f"{left} are left: another program is deleting; type it again in a moment")
        return
    if not found:
        typer.echo(f"no job ended more than {days} days ago")
        return
    typer.echo(f"these jobs ended more than {days} days ago, and retention would delete them:")
    for state, ended in found.items():
        first, last = (render.moment(at.isoformat()) for at in (ended.first, ended.last))
        typer.echo(f"  {state:<9}  {ended.number:>8}  from {first} to {last}")


def _plain(state: "State", ended: "Ended") -> dict[str, Any]:
    return {
        "state": str(state),
        "number": ended.number,
        "first": ended.first.isoformat(),
        "last": ended.last.isoformat(),
    }
