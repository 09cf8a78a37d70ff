"""Commands around the candle store, each in a module of its own."""

import typer

from cli import help_text
from cli.candles.deleting import delete
from cli.candles.gaps import gaps
from cli.candles.importing import import_
from cli.candles.listing import list_
from cli.candles.showing import show
from cli.candles.verifying import verify

app = typer.Typer(help="Import candles, look at them, and take them away.", no_args_is_help=True)

for command in (import_, list_, show, gaps, verify, delete):
    help_text.add(app, command)
