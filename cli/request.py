"""`backtest request`: an example of a request, and what each of its fields means."""

import sys
from typing import Annotated

import typer

from cli import help_text, render, request_text
from cli.catalogue import configured_defaults
from cli.options import JOBS_PANEL


def request(
    reference: Annotated[
        bool, typer.Option("--reference", help="Explain every field, also into a pipe.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the example alone; the fields with --reference.")
    ] = False,
) -> None:
    """Print an example of a request, and explain every field.

    In a terminal the example has comments, and the reference of every field follows: path, type,
    bounds, choices, default and an example. Defaults are those of ROEHUB_ENV, of dev where that is
    not set. Into a file or a pipe goes the example alone, as JSON that `submit` takes as it is.

    For example:

      backtest request
      backtest request > request.json
      backtest request --reference | less
      backtest request --reference --json | jq '.[] | select(.required) | .path'
    """
    from engine.request import example, holding_example
    from engine.request import reference as fields

    explained = reference or (sys.stdout.isatty() and not as_json)
    if not explained:
        render.as_json(example())
    elif as_json:
        render.as_json(fields(configured_defaults()))
    else:
        console = render.terminal()
        items = fields(configured_defaults())
        examples = example(), holding_example()
        for part in request_text.explained(*examples, items, console.width):
            console.print(part)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, request, panel=JOBS_PANEL)
