"""Entry point of `backtest`."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from cli import (
    candles,
    catalogue,
    funding,
    jobs,
    kernels,
    operator,
    output,
    queue,
    request,
    results,
    retention,
    strategies,
    submit,
)
from cli.errors import INTERRUPTED, SUCCEEDED, UNEXPECTED, CommandError, understood
from cli.options import JOBS_PANEL

DEBUG = "BACKTEST_DEBUG"

app = typer.Typer(
    name="backtest",
    help="Parameter sweeps of trading strategies as crash-safe jobs.\n\n"
    "First steps:  [bold]backtest demo[/]  shows everything once;  [bold]backtest up[/]  runs the "
    "stack, and  [bold]backtest submit request.json --watch[/]  in another terminal uses it.\n\n"
    "Exit codes: 0 succeeded, 1 the job failed or was cancelled, 2 wrong usage, request or "
    "configuration, 3 a service cannot be reached, 130 Ctrl-C.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from cli import version

        typer.echo(version.text())
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show what is installed here."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


submit.add_to(app)
jobs.add_to(app)
results.add_to(app)
catalogue.add_to(app)
request.add_to(app)
operator.add_to(app)
queue.add_to(app, operator.OPERATOR_PANEL)
retention.add_to(app, operator.OPERATOR_PANEL)
kernels.add_to(app, operator.OPERATOR_PANEL)
app.add_typer(strategies.app, name="strategies", rich_help_panel=JOBS_PANEL)
app.add_typer(candles.app, name="candles", rich_help_panel=operator.OPERATOR_PANEL)
app.add_typer(funding.app, name="funding", rich_help_panel=operator.OPERATOR_PANEL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors are one message without a traceback."""
    try:
        with output.guarded():
            app(list(sys.argv[1:] if arguments is None else arguments), prog_name="backtest")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, output.OutputLost) and error.reader_gone:
            return SUCCEEDED
        if os.environ.get(DEBUG):
            raise
        said = error if isinstance(error, CommandError) else understood(error)
        if said is None:
            said = CommandError(
                f"unexpected {type(error).__name__}: {' '.join(str(error).split())} "
                f"({DEBUG}=1 shows where)",
                code=UNEXPECTED,
            )
        with suppress(OSError):
            sys.stderr.write(f"backtest: {said}\n")
        return said.code
    return SUCCEEDED


if __name__ == "__main__":
    sys.exit(main())
