"""Commands around the candle store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cli import help_text, render
from cli.errors import CommandError
from cli.options import AsJson
from cli.running_stack import environment
from configs.environment import candle_source

if TYPE_CHECKING:
    from storage.candles import Instrument

app = typer.Typer(help="Import and list 1-minute candles.", no_args_is_help=True)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv, .csv.gz or .parquet")],
    market_id: Annotated[int, typer.Option(min=0, max=65_535, help="The market, e.g. 1.")],
    symbol: Annotated[str, typer.Option(help="The instrument, e.g. BTCUSDT.")],
    as_json: AsJson = False,
) -> None:
    """Import a file of 1-minute candles.

    Columns are found by their names; an exchange's kline dump (12 columns, no header) is known too.
    Times are milliseconds, microseconds or text; without a zone they are UTC. Gaps, duplicates,
    unsorted and impossible rows are reported. Importing the same file again changes nothing.

    For example:

      backtest candles import btc.csv.gz --market-id 1 --symbol BTCUSDT
    """
    from storage.candles import ImportReport, import_file, open_store

    def run(advance: render.Advance) -> ImportReport:
        with open_store(candle_source(environment())) as store:
            return import_file(store, file, market_id, symbol, progress=advance)

    if not file.is_file():
        raise CommandError(f"{file} is not a file")
    console = render.terminal()
    if as_json or not console.is_terminal:
        found = run(lambda _done, _total: None)
    else:
        columns = (TextColumn("importing"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
            bar = progress.add_task("", total=None)
            found = run(lambda done, total: progress.update(bar, completed=done, total=total))
    if as_json:
        render.as_json(
            {
                "market_id": found.market_id,
                "symbol": found.symbol,
                "rows": found.rows,
                "minutes": found.minutes,
                "published": found.published,
                "first": found.first.isoformat(),
                "last": found.last.isoformat(),
                "remarks": list(found.remarks()),
            }
        )
        return
    console.print(
        f"{found.symbol} (market {found.market_id}): {found.minutes:,} minutes, "
        f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
        f"{found.published:,} of them new or changed"
    )
    for remark in found.remarks():
        console.print(f"  {remark}", style="yellow", markup=False)


def list_(as_json: AsJson = False) -> None:
    """List the instruments of the candle store.

    For example:

      backtest candles list
    """
    from storage.candles import open_store

    with open_store(candle_source(environment())) as store:
        instruments = store.instruments()
    if as_json:
        render.as_json(
            [
                {
                    "market_id": instrument.market_id,
                    "symbol": instrument.symbol,
                    "first": instrument.first.isoformat(),
                    "last": instrument.last.isoformat(),
                    "minutes": instrument.minutes,
                }
                for instrument in instruments
            ]
        )
        return
    if not instruments:
        render.terminal().print("no candles; `backtest candles import FILE` brings some")
        return
    console = render.terminal()
    table = _table(instruments, "%Y-%m-%d %H:%M")
    if render.room(table) > console.width:
        table = _table(instruments, "%Y-%m-%d")
    console.print(render.unbroken(table, console.width), crop=False)


def _table(instruments: Sequence["Instrument"], times: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("market", "symbol", "first (UTC)", "last (UTC)"):
        table.add_column(header, no_wrap=True)
    for header in ("minutes", "missing"):
        table.add_column(header, no_wrap=True, justify="right")
    for instrument in instruments:
        span = int((instrument.last - instrument.first).total_seconds()) // 60
        span += instrument.timeframe_ms // 60_000
        table.add_row(
            str(instrument.market_id),
            Text(instrument.symbol),
            f"{instrument.first:{times}}",
            f"{instrument.last:{times}}",
            f"{instrument.minutes:,}",
            f"{100 * (1 - instrument.minutes / span):.2f} %",
        )
    return table


for command in (import_, list_):
    help_text.add(app, command)
