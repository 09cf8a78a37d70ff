"""`backtest candles delete`: an instrument, or a range of its bars, goes away for good."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cli import render
from cli.candles import words
from cli.candles.finding import MarketId, Symbol, find, opened, time_ms
from cli.candles.users import Users, users_of
from cli.errors import CommandError, printable
from cli.options import AsJson

if TYPE_CHECKING:
    from storage.candles import CandleStore

NOT_DELETED = 1
LATEST_MS = 10_413_791_999_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be deleted: so many bars from the first to the last, and how many would stay.

    `unreadable` says why nobody can tell, for a whole instrument with damaged files.
    """

    market_id: int
    symbol: str
    bars: int
    stay: int
    users: Users
    form: str = ""
    first_ms: int = 0
    last_ms: int = 0
    files: int = 0
    unreadable: str = ""


def delete(
    symbol: Symbol,
    market_id: MarketId = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only bars that open at this time or later."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Only bars that open before it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an instrument, or its bars from a time on, until a time, or between two times.

    What will go is shown first, and which jobs used it; then it asks. Without a terminal nothing is
    deleted unless you say --yes. Jobs that have ended keep their results. After a range was deleted
    none of the instrument's files counts as imported any more: importing one again brings its bars
    back. Times are UTC unless they name another zone.

    --json prints market_id, symbol, deleted, stay, first, last (of the deleted), and jobs: waiting,
    ended, others (null where no database could be asked).

    For example:

      backtest candles delete BTCUSDT
      backtest candles delete BTCUSDT --from 2024-03-01 --to 2024-04-01
    """
    begin = 0 if since is None else time_ms(since, "--from")
    end = LATEST_MS if until is None else time_ms(until, "--to")
    if begin >= end:
        raise CommandError(f"--to has to be later than --from, got {since} and {until}")
    console = render.terminal()
    with opened() as store:
        name = find(store, symbol, market_id)
        plan = _plan(store, name, begin, end)
        if not as_json:
            _print(console, plan)
        needed = plan.bars or not plan.stay
        if needed and not yes:
            _ask(console, plan)
        if needed and plan.stay:
            store.delete_between(*name, begin, end)
        elif needed:
            store.delete(*name)
    if as_json:
        render.as_json(_plain(plan))
    elif needed:
        console.print("deleted")


def _plan(store: "CandleStore", name: tuple[int, str], begin: int, end: int) -> Plan:
    from storage.candles import CandleSourceUnavailable

    try:
        return _plan_of(store, name, begin, end)
    except CandleSourceUnavailable as error:
        if not error.permanent:
            raise
        if (begin, end) != (0, LATEST_MS):
            raise CommandError(
                f"{error}; no range can be taken out of damaged files: delete the instrument "
                "without --from and --to, and import its files again"
            ) from None
        return Plan(*name, 0, 0, users_of(*name, 0, LATEST_MS), unreadable=str(error))


def _plan_of(store: "CandleStore", name: tuple[int, str], begin: int, end: int) -> Plan:
    from storage.candles import length

    opens = store.opens(*name)
    gone = opens[(opens >= begin) & (opens < end)]
    stay = len(opens) - len(gone)
    first, last = (int(gone[0]), int(gone[-1])) if len(gone) else (0, 0)
    known = store.known(*name)
    # All of its bars are all that is asked for, whatever range was typed.
    lost = (first, last + known.timeframe_ms) if stay else (0, LATEST_MS)
    return Plan(
        *name,
        bars=len(gone),
        stay=stay,
        users=Users(0, 0, 0, ()) if stay and not len(gone) else users_of(*name, *lost),
        form=length(known.timeframe_ms),
        first_ms=first,
        last_ms=last,
        files=len(store.files(*name)),
    )


def _print(console: Console, plan: Plan) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    name = f"{printable(plan.symbol)} (market {plan.market_id})"
    if not plan.bars and plan.stay:
        say(f"{name} has no bars there; nothing to delete of {words.counted(plan.stay, 'bar')}")
        return
    what = f"{plan.bars:,} {plan.form} bars"
    if plan.bars:
        what += f" from {words.at(plan.first_ms)} to {words.at(plan.last_ms)} UTC"
    if plan.unreadable:
        what = "everything"
        say(plan.unreadable)
    say(f"{name}: {what} will be deleted")
    say(f"  {words.counted(plan.stay, 'bar')} stay" if plan.stay else "  nothing of it stays")
    if plan.stay and plan.files:
        say(
            f"  its {words.counted(plan.files, 'file')} will not count as imported any more: "
            "importing one again brings its bars back"
        )
    for line in plan.users.lines(whole=not plan.stay):
        say(f"  {line}")


def _ask(console: Console, plan: Plan) -> None:
    """Go on if somebody says so; raises CommandError where nobody can be asked."""
    if not (sys.stdin.isatty() and console.is_terminal):
        raise CommandError("nothing was deleted: nobody can be asked here; --yes deletes it")
    what = words.counted(plan.bars, "bar") if plan.stay else printable(plan.symbol)
    if not typer.confirm(f"Delete {what} for good?"):
        console.print("nothing was deleted")
        raise typer.Exit(NOT_DELETED)


def _plain(plan: Plan) -> dict[str, Any]:
    return {
        "market_id": plan.market_id,
        "symbol": plan.symbol,
        "deleted": plan.bars,
        "stay": plan.stay,
        "first": words.iso(plan.first_ms) if plan.bars else None,
        "last": words.iso(plan.last_ms) if plan.bars else None,
        "jobs": plan.users.document(),
    }
