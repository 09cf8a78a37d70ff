"""What several user commands share: their options, their files, and the way to the API."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import Client
from cli.errors import CommandError
from cli.running_stack import environment

JOBS_PANEL = "Jobs"

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILES", help="Files, folders, patterns in quotes, or - for standard input."
    ),
]
IntoMarket = Annotated[int, typer.Option(min=0, max=65_535, help="The market, e.g. 1.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
JobId = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="The job's id, or its first digits: 4 or more, as many as name one job."
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="TEXT", help="What to call it: 1 to 120 characters.")
]
Note = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Up to 4,000 characters about it.")
]


def read_json_file(file: Path) -> Any:
    """Return the document in a JSON file, `-` is standard input; raises CommandError."""
    from engine.request import read_json

    if str(file) == "-":
        return read_json(sys.stdin.buffer.read())
    try:
        return read_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def connected() -> Client:
    """Return the API of the environment, or of the stack that runs here; raises CommandError."""
    return Client(environment())
