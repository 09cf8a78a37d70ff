"""`backtest candles list`: what the store holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cli import render
from cli.options import AsJson
from cli.running_stack import environment
from configs.environment import candle_source

if TYPE_CHECKING:
    from storage.candles import Instrument


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
