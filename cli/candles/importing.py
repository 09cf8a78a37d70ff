"""`backtest candles import`: files of candles into the store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cli import render
from cli.options import AsJson
from cli.running_stack import environment
from configs.environment import candle_source


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES",
            help="Files, folders, patterns in quotes, or - for standard input.",
        ),
    ],
    market_id: Annotated[int, typer.Option(min=0, max=65_535, help="The market, e.g. 1.")],
    symbol: Annotated[str, typer.Option(help="The instrument, e.g. BTCUSDT.")],
    timeframe: Annotated[
        str | None,
        typer.Option(
            metavar="TIMEFRAME", help="How long the bars are: 1m, 5m, 1h, 1d, ... (1m if not said)."
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
    max_bad_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many rows of a file may be dropped, also such that cannot be read "
            "(if not said: 10 or 1 %, and none that cannot be read).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import files of 1-minute candles.

    Known are CSV in all usual dialects (exchanges' dumps with and without header, MetaTrader 4 and
    5, HistData, Dukascopy, Kraken, TradingView, yfinance, pandas), JSON of CCXT, Parquet and
    Feather, packed as .gz, .zst, .bz2, .xz or .zip. All files of one import are one instrument's:
    they may overlap and come in any order. What is wrong with a file is judged by all of its rows;
    nothing is stored before every file was found right. Dropped, doubtful and missing rows are
    reported. Importing the same file again changes nothing.

    For example:

      backtest candles import btc.csv.gz --market-id 1 --symbol BTCUSDT
      backtest candles import dumps/ --market-id 1 --symbol BTCUSDT
      backtest candles import fx.csv --market-id 2 --symbol EURUSD --tz UTC
      cat x.csv | backtest candles import - --market-id 1 --symbol BTCUSDT
    """
    from storage.candles import Choices, ImportReport, import_files, open_store

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
    )

    def run(advance: render.Advance) -> ImportReport:
        with open_store(candle_source(environment())) as store:
            return import_files(store, files, market_id, symbol, choices, progress=advance)

    console = render.terminal()
    if as_json or not console.is_terminal:
        found = run(lambda _done, _total: None)
    else:
        bars = (TextColumn("importing"), BarColumn(), TaskProgressColumn())
        with Progress(*bars, TimeRemainingColumn(), console=console, transient=True) as progress:
            bar = progress.add_task("", total=None)
            found = run(lambda done, total: progress.update(bar, completed=done, total=total))
    if as_json:
        render.as_json(
            {
                "market_id": found.market_id,
                "symbol": found.symbol,
                "files": [{"name": file.name, "sha256": file.sha256} for file in found.files],
                "rows": found.rows,
                "minutes": found.minutes,
                "published": found.published,
                "first": found.first.isoformat(),
                "last": found.last.isoformat(),
                "has_volume": found.has_volume,
                "original_symbols": list(found.original_symbols()),
                "remarks": list(found.remarks()),
            }
        )
        return
    many = f" from {len(found.files):,} files" if len(found.files) > 1 else ""
    console.print(
        f"{found.symbol} (market {found.market_id}): {found.minutes:,} minutes{many}, "
        f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
        f"{found.published:,} of them new or changed"
    )
    for remark in found.remarks():
        console.print(f"  {remark}", style="yellow", markup=False)
