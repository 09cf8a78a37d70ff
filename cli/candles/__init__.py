"""Commands around the candle store, each in a module of its own."""

import typer

from cli import help_text
from cli.candles.importing import import_
from cli.candles.listing import list_

app = typer.Typer(help="Import and list candles.", no_args_is_help=True)

for command in (import_, list_):
    help_text.add(app, command)
