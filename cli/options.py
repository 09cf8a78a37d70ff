"""What several user commands share: their options, and the way to the API."""

from pathlib import Path
from typing import Annotated

import typer

from cli.client import Client
from cli.running_stack import environment

JOBS_PANEL = "Jobs"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
JobId = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="The job's id, or its first digits: 4 or more, as many as name one job."
    ),
]
RequestFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The request as JSON; - reads standard input.")
]


def connected() -> Client:
    """Return the API of the environment, or of the stack that runs here; raises CommandError."""
    return Client(environment())
