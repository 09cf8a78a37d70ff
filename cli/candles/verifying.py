"""`backtest candles verify`: every stored bar, read and judged."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cli import render
from cli.candles import words
from cli.candles.finding import HOW_TO_IMPORT, MarketId, find, opened, progress
from cli.errors import printable
from cli.options import AsJson

if TYPE_CHECKING:
    from storage.candles import CandleStore, Flaw, Verified

SOMETHING_WRONG = 1
HASH = 16


def verify(
    symbol: Annotated[
        str | None,
        typer.Argument(metavar="SYMBOL", help="The instrument; all of them if not said."),
    ] = None,
    market_id: MarketId = None,
    as_json: AsJson = False,
) -> None:
    """Read every stored bar and check it: file, order, prices, volume.

    Candle files are compared with their checksums. Prices have to be positive and finite, the high
    no less and the low no more than the other prices, volumes not negative; bars stand in order
    and open at whole multiples of their length. Bars that a later import has replaced do not
    count. What is wrong is printed with file, row and value, and what to do about it. The exit code
    is 0 when all is right, 1 when something is wrong, 2 and 3 as for all commands.

    The sum printed is a sha256 of the bars as a backtest reads them: stores with the same bars, in
    a folder or on a server, print the same.

    --json prints an array: market_id, symbol, bars, sha256 (null where they cannot be read), wrong
    (how many), and found (the first 20: place, row, time, what).

    For example:

      backtest candles verify
      backtest candles verify BTCUSDT
    """
    console = render.terminal()
    judged: list[tuple[int, str, Verified]] = []
    with opened() as store, progress(console, "reading", shown=not as_json) as tell:
        names = [find(store, symbol, market_id)] if symbol else _names(store, market_id)
        for number, name in enumerate(names):
            found = _judged(
                store, *name, lambda share, before=number: tell((before + share) / len(names))
            )
            judged.append((*name, found))
    if as_json:
        render.as_json([_plain(*one) for one in judged])
    elif not judged:
        console.print(f"no candles; type: {HOW_TO_IMPORT}", soft_wrap=True)
    for one in () if as_json else judged:
        _print(console, *one)
    if any(found.flawed for _, _, found in judged):
        raise typer.Exit(SOMETHING_WRONG)


def _names(store: "CandleStore", market_id: int | None) -> list[tuple[int, str]]:
    return [name for name in store.names() if market_id in (None, name[0])]


def _judged(store: "CandleStore", market_id: int, symbol: str, tell: Any) -> "Verified":
    """Judge an instrument; a damaged file with what is known of it is a flaw as well."""
    from storage.candles import CandleSourceUnavailable, Flaw, Verified

    try:
        return store.verify(market_id, symbol, tell)
    except CandleSourceUnavailable as error:
        if not error.permanent:
            raise
        return Verified(0, None, 1, (Flaw(store.place, None, None, str(error)),))


def _plain(market_id: int, symbol: str, found: "Verified") -> dict[str, Any]:
    return {
        "market_id": market_id,
        "symbol": symbol,
        "bars": found.bars,
        "sha256": found.sha256,
        "wrong": found.flawed,
        "found": [
            {
                "place": flaw.place,
                "row": flaw.row,
                "time": None if flaw.ts_ms is None else words.iso(flaw.ts_ms),
                "what": flaw.what,
            }
            for flaw in found.flaws
        ],
    }


def _print(console: Console, market_id: int, symbol: str, found: "Verified") -> None:
    name = f"{printable(symbol)} (market {market_id})"
    if not found.flawed:
        sha256 = (found.sha256 or "")[:HASH]
        line = f"{name}: {words.counted(found.bars, 'bar')}, nothing wrong, sum {sha256}"
        console.print(line, markup=False, soft_wrap=True)
        return
    console.print(
        f"{name}: {words.counted(found.flawed, 'thing')} wrong", style="bold red", markup=False
    )
    for flaw in found.flaws:
        console.print(f"  {_where(flaw)}: {flaw.what}", markup=False, soft_wrap=True)
    if found.flawed > len(found.flaws):
        console.print(f"  and {found.flawed - len(found.flaws):,} more", style="dim")
    for line in _advice(symbol, market_id, found):
        console.print(f"  -> {line}", markup=False, soft_wrap=True)


def _where(flaw: "Flaw") -> str:
    row = "" if flaw.row is None else f" row {flaw.row:,}"
    time = "" if flaw.ts_ms is None else f", {words.at(flaw.ts_ms)} UTC"
    return f"{flaw.place}{row}{time}"


def _advice(symbol: str, market_id: int, found: "Verified") -> list[str]:
    """Say what to do: bars of a damaged file are lost, single bars can be replaced."""
    named = f"{printable(symbol)} --market-id {market_id}"
    if found.sha256 is None:
        return [
            f"bars are lost: backtest candles delete {named}, and import the instrument's files "
            "again; check the disk"
        ]
    return [
        "import a file with the right bars over them (--replace), or take them away: "
        f"backtest candles delete {named} --from TIME --to TIME"
    ]
