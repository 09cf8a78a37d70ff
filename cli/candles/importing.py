"""`backtest candles import`: files of candles into the store."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import render
from cli.options import AsJson, Files, IntoMarket
from cli.running_stack import environment

if TYPE_CHECKING:
    from storage.candles.importing import ImportReport


def import_(
    files: Files,
    market_id: IntoMarket,
    symbol: Annotated[str, typer.Option(help="The instrument, e.g. BTCUSDT.")],
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME",
            help="How long the bars are: 1m, 5m, 1h, 1d, ... (found where there is no doubt).",
        ),
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Zone of times that name none, e.g. Europe/Berlin or Etc/GMT+5 (UTC if not said).",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Names of all columns from left to right, with commas; - is one not needed.",
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="MARK", help="What parts the columns: one character, tab or space."),
    ] = None,
    date_order: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER", help="dmy or mdy, where dates such as 01/02/2024 do not tell."
        ),
    ] = None,
    price_scale: Annotated[
        float,
        typer.Option(metavar="NUMBER", help="Divide prices by this, e.g. 10000 for Lean's stocks."),
    ] = 1.0,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE", help="Only rows with this value; may be given several times."
        ),
    ] = None,
    no_volume: Annotated[
        bool, typer.Option("--no-volume", help="There is no volume; a column of it is ignored.")
    ] = False,
    sessions: Annotated[
        bool,
        typer.Option(
            "--sessions",
            help="The market closes daily or weekly: no bars are made up for closed hours.",
        ),
    ] = False,
    align_opens: Annotated[
        bool,
        typer.Option(
            "--align-opens",
            help="Bars longer than an hour open at 21:00 in summer and at 22:00 in winter, say: "
            "store all of them as opening at the later time.",
        ),
    ] = False,
    max_bad_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many rows of a file may be dropped, also such that cannot be read "
            "(if not said: 10 or 1 %, and none that cannot be read).",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Change stored bars to the values in the files; skip no file.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and judge everything, and store nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import files of candles.

    Known are CSV in all usual dialects (exchanges' dumps with and without header, MetaTrader 4 and
    5, HistData, Dukascopy, Kraken, TradingView, yfinance, pandas), JSON of CCXT, Parquet and
    Feather, packed as .gz, .zst, .bz2, .xz or .zip. All files of one import are one instrument's:
    they may overlap and come in any order. BTC/USDT and btcusdt are the same as BTCUSDT.

    What is wrong with a file is judged by all of its rows, before any of them is stored. Dropped,
    doubtful and missing rows are reported. A file that was imported before is skipped, so repeat
    the command if it was interrupted. Bars that are stored already are changed only if you say so.

    For example:

      backtest candles import btc.csv.gz --market-id 1 --symbol BTCUSDT
      backtest candles import dumps/ --market-id 1 --symbol BTC/USDT --dry-run
      backtest candles import aapl-hours.csv --market-id 2 --symbol AAPL --timeframe 1h --sessions
      backtest candles import fx.csv --market-id 3 --symbol EURUSD --tz Etc/GMT+5 --no-volume
      cat x.csv | backtest candles import - --market-id 1 --symbol BTCUSDT
    """
    from configs.environment import candle_source
    from storage.candles import open_store
    from storage.candles.importing import Choices
    from storage.candles.ingest import import_files

    choices = Choices.typed(
        columns=columns,
        delimiter=delimiter,
        where=where or (),
        zone=tz,
        timeframe=timeframe,
        no_volume=no_volume,
        max_bad_rows=max_bad_rows,
        price_scale=price_scale,
        date_order=date_order,
        sessions=sessions,
        align_opens=align_opens,
    )

    def run(advance: render.Advance) -> "ImportReport":
        with open_store(candle_source(environment())) as store:
            return import_files(
                *(store, files, market_id, symbol, choices),
                replace=replace,
                dry_run=dry_run,
                progress=advance,
            )

    console = render.terminal()
    if as_json or not console.is_terminal:
        found = run(lambda _done, _total: None)
    else:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        bars = (TextColumn("importing"), BarColumn(), TaskProgressColumn())
        with Progress(*bars, TimeRemainingColumn(), console=console, transient=True) as progress:
            bar = progress.add_task("", total=None)
            found = run(lambda done, total: progress.update(bar, completed=done, total=total))
    if as_json:
        render.as_json(_document(found))
        return
    console.print(_summary(found), markup=False)
    for remark in found.remarks():
        console.print(f"  {remark}", style="yellow", markup=False)


def _summary(found: "ImportReport") -> str:
    """Say in one line what was imported."""
    about = f"{found.symbol} (market {found.market_id})"
    if found.first is None or found.last is None:
        return f"{about}: nothing to import (--replace reads files again)"
    many = f" from {_counted(len(found.files), 'file')}" if len(found.files) > 1 else ""
    word, of_what = ("minute", "") if found.timeframe == "1m" else ("bar", f" of {found.timeframe}")
    changed = f", {found.changed:,} changed" if found.changed else ""
    return (
        f"{about}: {_counted(found.bars, word)}{of_what}{many}, "
        f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
        f"{found.new:,} of them new{changed}"
        + (". Nothing was stored (--dry-run)" if found.dry_run else "")
    )


def _document(found: "ImportReport") -> dict[str, Any]:
    return {
        "market_id": found.market_id,
        "symbol": found.symbol,
        "timeframe": found.timeframe,
        "sessions": found.known.sessions,
        "has_volume": found.known.has_volume,
        "files": [{"name": file.name, "sha256": file.sha256} for file in found.files],
        "skipped": [{"name": name, "sha256": file.sha256} for name, file in found.skipped],
        "rows": found.rows,
        "bars": found.bars,
        "new": found.new,
        "changed": found.changed,
        "first": found.first and found.first.isoformat(),
        "last": found.last and found.last.isoformat(),
        "original_symbols": list(found.original_symbols()),
        "remarks": list(found.remarks()),
        "dry_run": found.dry_run,
    }


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
