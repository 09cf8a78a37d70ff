"""`backtest funding`: what longs paid shorts, for requests that want it as it was."""

from typing import Annotated

import typer
from rich.table import Table

from cli import help_text, render
from cli.candles.finding import opened
from cli.options import AsJson, Files, IntoMarket

HOW_TO_IMPORT = "backtest funding import FILE --market-id 1 --symbol BTCUSDT"

app = typer.Typer(
    help="Import rates of funding, and list what there is.",
    no_args_is_help=True,
)


def import_(
    files: Files,
    market_id: IntoMarket,
    symbol: Annotated[str, typer.Option(help="The instrument, as its candles are called.")],
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT",
            help="fraction (0.0001 is 0.01 %) or percent, where the column does not tell.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change stored rates to those in the files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import files of funding rates.

    Known are Binance's dumps (calc_time, last_funding_rate), JSON of exchanges (fundingTime,
    fundingRate), and CSV with a column of times and one of rates, packed as candles may be. The
    name of the column tells the unit: exchanges write fractions, rate_pct is percent. Times are UTC
    unless they name a zone, and rounded to the minute.

    A request uses the rates where its "funding_pct_per_8h" is "stored".

    For example:

      backtest funding import BTCUSDT-fundingRate-2024-*.zip --market-id 1 --symbol BTCUSDT
      backtest funding import rates.csv --market-id 1 --symbol BTCUSDT --unit percent
    """
    from storage.candles.funding_ingest import import_funding

    with opened() as store:
        found = import_funding(store, files, market_id, symbol, unit, replace=replace)
    if as_json:
        render.as_json(
            {
                **{name: getattr(found, name) for name in ("market_id", "symbol", "rates")},
                **{name: getattr(found, name) for name in ("new", "changed")},
                "first": found.first.isoformat(),
                "last": found.last.isoformat(),
                "least_pct": found.least_pct,
                "most_pct": found.most_pct,
            }
        )
        return
    changed = f", {found.changed:,} changed" if found.changed else ""
    render.terminal().print(
        f"{found.symbol} (market {found.market_id}): {found.rates:,} funding rates, "
        f"{found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC, "
        f"{found.least_pct:g} to {found.most_pct:g} %, {found.new:,} of them new{changed}",
        markup=False,
        soft_wrap=True,
    )


def list_(as_json: AsJson = False) -> None:
    """List the instruments that have rates of funding.

    --json prints an array: market_id, symbol, rates, first, last.

    For example:

      backtest funding list
    """
    with opened() as store:
        found = store.funding_series()
    if as_json:
        render.as_json(
            [
                {
                    **{name: getattr(one, name) for name in ("market_id", "symbol", "rates")},
                    "first": one.first.isoformat(),
                    "last": one.last.isoformat(),
                }
                for one in found
            ]
        )
        return
    console = render.terminal()
    if not found:
        console.print(f"no funding rates yet; type: {HOW_TO_IMPORT}", soft_wrap=True)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in ("market", "symbol", "from (UTC)", "to (UTC)", "rates"):
        table.add_column(header, no_wrap=True)
    for one in found:
        times = (f"{at:%Y-%m-%d %H:%M}" for at in (one.first, one.last))
        table.add_row(str(one.market_id), one.symbol, *times, f"{one.rates:,}")
    console.print(table, crop=False)


for command in (import_, list_):
    help_text.add(app, command)
