"""`backtest candles show`: what is known of one instrument."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import render
from cli.candles import bars, pictures, words
from cli.candles.bars import Some
from cli.candles.finding import MarketId, Symbol, find, opened, time_ms
from cli.candles.prices import Prices
from cli.candles.summary import Summary
from cli.errors import CommandError, printable
from cli.options import AsJson

if TYPE_CHECKING:
    from storage.candles import ImportedFile, Known
    from storage.candles.records import Int64

ENDS, AROUND = 3, 5
"""How many bars of each end are shown, and before and after a time."""
FILES = 10
WIDEST = 60
HASH = 8
NAMED = 34


def show(
    symbol: Symbol,
    market_id: MarketId = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="Show the bars around this time: 2024-01-31T14:30 (UTC)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of an instrument: range, prices, opening hours, files, some of its bars.

    Opening hours are told from the bars, to a quarter of an hour, for markets that were imported
    with --sessions. Files are those that were imported whole. Times are UTC.

    --json prints what `backtest candles list --json` prints of it, and original (its symbol in the
    first file), hours, low, high, close, files, and candles: the first and the last, or those --at.

    For example:

      backtest candles show BTCUSDT
      backtest candles show BTCUSDT --at 2024-03-05T19:00
    """
    from engine.opening_hours import opening_hours

    console = render.terminal()
    around = None if at is None else time_ms(at, "--at")
    with opened() as store:
        name = find(store, symbol, market_id)
        opens = store.opens(*name)
        if not len(opens):
            raise CommandError(f"{printable(name[1])} has no bars")
        known = store.known(*name)
        summary = Summary.of_opens(*name, known, opens)
        prices = Prices.of(store, summary)
        files = sorted(store.files(*name).values(), key=lambda file: str(file.imported_at))
        shown = [Some.read(store, name, known, some) for some in _places(opens, around)]
    hours = words.hours(opening_hours(opens, known.timeframe_ms))
    if as_json:
        render.as_json(
            summary.document()
            | {"original": known.original or name[1], "hours": hours}
            | prices.document()
            | {"files": [_plain(file) for file in files]}
            | {"candles": [bar for some in shown for bar in some.document()]}
        )
        return
    if around is None:
        closes = known.sessions or summary.recurring(opens) > 0
        told = hours if closes else []
        console.print(_page(console, summary, prices, told, files), crop=False)
        console.print()
    else:
        console.print(_heading(summary), markup=False)
        console.print(_where(opens, known, around), style="bold", soft_wrap=True)
    console.print(render.unbroken(bars.table(shown, around), console.width), crop=False)


def _places(opens: "Int64", around: int | None) -> "list[Int64]":
    """Choose the bars to show: those at both ends, or those around a time."""
    if around is None:
        if len(opens) <= 2 * ENDS:
            return [opens]
        return [opens[:ENDS], opens[-ENDS:]]
    place = int(opens.searchsorted(around, side="right"))
    first = max(0, min(place - 1 - AROUND, len(opens) - 1 - 2 * AROUND))
    return [opens[first : first + 2 * AROUND + 1]]


def _where(opens: "Int64", known: "Known", around: int) -> str:
    """Say what there is at a time."""
    from engine.sessions import missing

    step = known.timeframe_ms
    place = int(opens.searchsorted(around, side="right")) - 1
    asked = f"{words.at(around)} UTC"
    if place < 0:
        return f"{asked} is before the first bar"
    if around < opens[place] + step:
        return f"the bar of {asked}"
    if place == len(opens) - 1:
        return f"{asked} is after the last bar"
    begin, end = int(opens[0]), int(opens[-1]) + step
    slot = around - (around - begin) % step
    if known.sessions and slot not in missing(opens, step, begin, end):
        return f"no bar at {asked}: the market is closed at that time of the week"
    return f"no bar at {asked}: it is missing"


def _plain(file: "ImportedFile") -> dict[str, Any]:
    at = None if file.imported_at is None else file.imported_at.isoformat()
    return {"name": file.name, "imported_at": at, "rows": file.rows, "sha256": file.sha256}


def _page(
    console: Console,
    summary: Summary,
    prices: Prices,
    told: list[str],
    files: "list[ImportedFile]",
) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    label_room = 12
    width = max(8, min(console.width - label_room - 2, WIDEST))
    drawn = pictures.coverage(summary.present, summary.expected, width, console)
    lines: list[tuple[str, str | Text]] = [
        *_about(summary, told),
        ("coverage", drawn),
        *prices.lines(console, width),
        *(("" if number else "files", text) for number, text in enumerate(_files(files))),
    ]
    for label, text in lines:
        table.add_row(label, Text(text) if isinstance(text, str) else text)
    return table


def _heading(summary: Summary) -> str:
    from storage.candles import length

    bars = length(summary.known.timeframe_ms)
    return f"{printable(summary.symbol)} (market {summary.market_id}), {bars} bars"


def _about(summary: Summary, told: list[str]) -> Iterator[tuple[str, str]]:
    known, symbol = summary.known, printable(summary.symbol)
    yield "instrument", _heading(summary)
    if known.original and known.original != summary.symbol:
        yield "in its files", printable(known.original)
    yield from _market(summary, told)
    yield "volume", "yes" if known.has_volume else "no: rules that need volume refuse it"
    lasts = summary.last_ms + known.timeframe_ms - summary.first_ms
    first, last = words.at(summary.first_ms), words.at(summary.last_ms)
    yield "range", f"{first} to {last} UTC ({words.length(lasts)})"
    missing = "none missing"
    if summary.missing:
        share = words.share(summary.missing, summary.missing + summary.bars)
        missing = f"{summary.missing:,} missing ({share}): backtest candles gaps {symbol}"
    yield "bars", f"{summary.bars:,}; {missing}"


def _market(summary: Summary, told: list[str]) -> Iterator[tuple[str, str]]:
    if summary.known.sessions:
        for number, text in enumerate(told):
            yield "" if number else "open", text
        return
    yield "open", "always (imported without --sessions)"
    if told:
        yield (
            "",
            f"its bars are of {told[0]}: if the market closes, import it again with --sessions",
        )


def _files(files: "list[ImportedFile]") -> Iterator[str]:
    if not files:
        yield "none is known to have been imported whole"
    names = max((len(_short(file.name)) for file in files[-FILES:]), default=0)
    if len(files) > FILES:
        yield f"{len(files):,} files; the last {FILES} (all: --json)"
    rows = max((len(words.counted(file.rows, "row")) for file in files[-FILES:]), default=0)
    for file in files[-FILES:]:
        at = "" if file.imported_at is None else f"{file.imported_at:%Y-%m-%d %H:%M}"
        held = words.counted(file.rows, "row")
        yield f"{_short(file.name):<{names}}  {at}  {held:>{rows}}  {file.sha256[:HASH]}"


def _short(name: str) -> str:
    """Return the end of a name, which tells more than the folders before it."""
    shown = printable(name)
    return shown if len(shown) <= NAMED else "…" + shown[1 - NAMED :]
