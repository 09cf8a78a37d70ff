"""`backtest candles gaps`: where bars are missing."""

import re
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli import render
from cli.candles import words
from cli.candles.finding import MarketId, Symbol, find, opened
from cli.candles.summary import Summary
from cli.errors import CommandError, printable
from cli.options import AsJson

if TYPE_CHECKING:
    from storage.candles.records import Int64

LENGTH = re.compile(r"(\d+)([mhd]?)")
UNITS = {"m": words.MINUTE_MS, "h": words.HOUR_MS, "d": words.DAY_MS}


class Order(StrEnum):
    """How gaps are sorted."""

    SIZE = "size"
    TIME = "time"


def gaps(
    symbol: Symbol,
    market_id: MarketId = None,
    sort: Annotated[
        Order, typer.Option("--sort", help="The largest first, or in the order of time.")
    ] = Order.SIZE,
    least: Annotated[
        str | None,
        typer.Option(
            "--min", metavar="LENGTH", help="Only gaps of at least so many bars, or 30m, 2h, 1d."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many are printed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the gaps of an instrument: where bars are missing, how many, for how long.

    Of a market that closes (imported with --sessions) the nights, weekends and other hours that
    recur daily or weekly are no gaps; how many there are is said. Holidays do not recur: they are
    gaps. Times are UTC; a gap begins where its first missing bar would open, and ends where its
    last would end.

    --json prints bars, missing, gaps (start, end, bars, seconds; all of them), and closed: kind,
    count, bars of the closed hours.

    For example:

      backtest candles gaps BTCUSDT
      backtest candles gaps AAPL --sort time --min 2h --limit 100
    """
    from engine import gaps as found_in

    console = render.terminal()
    with opened() as store:
        name = find(store, symbol, market_id)
        known, opens = store.known(*name), store.opens(*name)
    if not len(opens):
        raise CommandError(f"{printable(name[1])} has no bars")
    summary = Summary.of_opens(*name, known, opens)
    step = known.timeframe_ms
    every = found_in.gaps(opens, step, sessions=known.sessions)
    closed = _kinds(opens, step) if known.sessions else []
    listed = [
        (start, end, bars)
        for start, bars, end in zip(*(column.tolist() for column in every), strict=True)
        if bars * step >= _least(least, step)
    ]
    if sort is Order.SIZE:
        listed.sort(key=lambda gap: (-gap[2], gap[0]))
    if as_json:
        render.as_json(
            {
                "bars": summary.bars,
                "missing": summary.missing,
                "gaps": [_plain(*gap) for gap in listed],
                "closed": closed,
            }
        )
        return
    if listed:
        table = render.unbroken(_table(listed[:limit]), console.width)
        console.print(table, crop=False)
    if len(listed) > limit:
        console.print(f"and {len(listed) - limit:,} more: --limit {len(listed)}", style="dim")
    _print_total(console, summary, len(every.bars), least, len(listed))
    if closed:
        kinds = (
            f"{words.counted(kind['count'], kind['kind'])} "
            f"(mostly {words.length(kind['seconds'] * 1000)} each)"
            for kind in closed
        )
        text = f"not counted, for the market closes: {' and '.join(kinds)}"
        console.print(text, style="dim", soft_wrap=True)
    _hint(console, summary, opens)


def _least(text: str | None, step: int) -> int:
    """Read the option --min as ms."""
    if text is None:
        return 0
    read = LENGTH.fullmatch(text.strip().lower())
    if read is None:
        raise CommandError(
            f"--min: {printable(text)!r} is no length; write a number of bars, or 30m, 2h, 1d"
        )
    return int(read[1]) * UNITS.get(read[2], step)


def _kinds(opens: "Int64", step: int) -> list[dict[str, Any]]:
    """Say how many closed stretches there are that recur daily, and weekly."""
    from engine.gaps import closures

    found = closures(opens, step)
    long = found.end_ms - found.start_ms >= words.DAY_MS
    kinds = []
    for kind, which in (("night", ~long), ("weekend", long)):
        if which.any():
            lengths = Counter((found.end_ms - found.start_ms)[which].tolist())
            kinds.append(
                {
                    "kind": kind,
                    "count": int(which.sum()),
                    "bars": int(found.bars[which].sum()),
                    "seconds": lengths.most_common(1)[0][0] // 1000,
                }
            )
    return kinds


def _plain(start: int, end: int, bars: int) -> dict[str, Any]:
    return {
        "start": words.iso(start),
        "end": words.iso(end),
        "bars": bars,
        "seconds": (end - start) // 1000,
    }


def _table(listed: list[tuple[int, int, int]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("from (UTC)", "to (UTC)"):
        table.add_column(header, no_wrap=True)
    for header in ("bars missing", "how long"):
        table.add_column(header, no_wrap=True, justify="right")
    for start, end, bars in listed:
        table.add_row(words.at(start), words.at(end), f"{bars:,}", words.length(end - start))
    return table


def _print_total(
    console: Console, summary: Summary, count: int, least: str | None, shown: int
) -> None:
    symbol = f"{printable(summary.symbol)} (market {summary.market_id})"
    if not count:
        bars = words.counted(summary.bars, "bar")
        console.print(f"{symbol} has no gaps in {bars}", markup=False, soft_wrap=True)
        return
    share = words.share(summary.missing, summary.bars + summary.missing)
    longer = "" if least is None else f", {shown:,} of them at least {least}"
    console.print(
        f"{symbol}: {words.counted(count, 'gap')}{longer}; {summary.missing:,} of "
        f"{summary.bars + summary.missing:,} bars missing ({share})",
        markup=False,
        soft_wrap=True,
    )


def _hint(console: Console, summary: Summary, opens: "Int64") -> None:
    """Say so where most of what is missing recurs, as when a market closes."""
    recurring = summary.recurring(opens)
    if recurring:
        console.print(
            f"{recurring:,} of the missing bars recur daily or weekly: if this market closes, "
            "import its files again with --sessions, and they are not missing",
            style="yellow",
            soft_wrap=True,
        )
