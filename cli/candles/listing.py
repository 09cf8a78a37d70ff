"""`backtest candles list`: what the store holds."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import render
from cli.candles import pictures, words
from cli.candles.finding import HOW_TO_IMPORT, opened, progress
from cli.candles.summary import Summary
from cli.errors import UNREACHABLE, CommandError, printable
from cli.options import AsJson

ENOUGH, WIDEST = 20, 60
"""How wide a picture is, where there is room."""


def list_(
    market_id: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Only instruments of this market.")
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only symbols that have this in them, in any case."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the instruments of the candle store, by market and symbol.

    Times are opens of the first and the last bar, UTC. Missing are bars that are not there between
    them; of a market that closes (imported with --sessions) nights and weekends are not missing.
    The coverage draws the time from the first to the last bar: a full block where all bars are
    there, a lower one where some are missing, a dot where there is none.

    --json prints an array: market_id, symbol, timeframe, first, last, bars, minutes (that they
    last together), missing, has_volume, sessions.

    For example:

      backtest candles list
      backtest candles list --market-id 1 --symbol usdt
    """
    console = render.terminal()
    found, damaged = _found(console, market_id, symbol, shown=not as_json)
    if as_json:
        render.as_json([each.document() for each in found])
    elif found:
        _print(console, found)
    elif damaged:
        pass
    elif market_id is None and symbol is None:
        console.print(f"no candles yet; type: {HOW_TO_IMPORT}", soft_wrap=True)
    else:
        console.print("no such instruments; `backtest candles list` shows all", soft_wrap=True)
    if damaged:
        raise CommandError(
            f"{words.counted(len(damaged), 'instrument')} cannot be read; type: "
            "backtest candles verify",
            code=UNREACHABLE,
            details=damaged,
        )


def _found(
    console: Console, market_id: int | None, symbol: str | None, *, shown: bool
) -> tuple[list[Summary], list[str]]:
    """Read what there is; returns it, and what is to be said of damaged instruments."""
    from storage.candles import CandleSourceUnavailable

    found, damaged = [], []
    with opened() as store, progress(console, "reading", shown=shown) as tell:
        wanted = [
            name
            for name in store.names()
            if market_id in (None, name[0]) and (symbol or "").upper() in name[1].upper()
        ]
        for number, name in enumerate(wanted, 1):
            try:
                found.append(Summary.of(store, *name))
            except CandleSourceUnavailable as error:
                if not error.permanent:
                    raise
                damaged.append(f"{printable(name[1])} (market {name[0]}): {error}")
            tell(number / len(wanted))
    return [each for each in found if each is not None], damaged


def _print(console: Console, found: Sequence[Summary]) -> None:
    for times in (words.at, words.day):
        rows = [tuple(_cells(each, times)) for each in found]
        room = console.width - render.room(_table(rows, [Text()] * len(rows)))
        width = len("coverage") + room
        if width >= ENOUGH:
            break
    width = max(len("coverage"), min(width, WIDEST))
    drawn = [pictures.coverage(each.present, each.expected, width, console) for each in found]
    table = render.unbroken(_table(rows, drawn), console.width)
    console.print(table, crop=False)
    total = f"{words.counted(len(found), 'instrument')}, "
    total += words.counted(sum(each.bars for each in found), "bar")
    console.print(f"{total}; {pictures.legend(console)}", style="dim", soft_wrap=True)


def _cells(each: Summary, times: "words.Times") -> Iterator[str | Text]:
    from storage.candles import length

    yield str(each.market_id)
    yield Text(each.symbol)
    yield length(each.known.timeframe_ms)
    yield times(each.first_ms)
    yield times(each.last_ms)
    yield f"{each.bars:,}"
    yield f"{each.missing:,}"
    yield "yes" if each.known.has_volume else "no"


def _table(rows: Sequence[Sequence[str | Text]], drawn: Sequence[Text]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("market", "symbol", "bar", "from (UTC)", "to (UTC)"):
        table.add_column(header, no_wrap=True)
    for header in ("bars", "missing"):
        table.add_column(header, no_wrap=True, justify="right")
    for header in ("vol", "coverage"):
        table.add_column(header, no_wrap=True)
    for cells, picture in zip(rows, drawn, strict=True):
        table.add_row(*cells, picture)
    return table
