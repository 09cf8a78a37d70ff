"""Help texts: written as docstrings, shown as paragraphs with examples."""

import inspect
from collections.abc import Callable

import typer
from typer.core import TyperCommand

INDENT = "  "


def add(
    app: typer.Typer,
    command: Callable[..., None],
    *,
    panel: str | None = None,
    cls: type[TyperCommand] = TyperCommand,
) -> None:
    """Add a command under its function's name, with its docstring as help."""
    name = command.__name__.strip("_")
    app.command(name, cls=cls, help=help_text(command), rich_help_panel=panel)(command)


def help_text(command: Callable[..., None]) -> str:
    """Return the docstring with paragraphs as single lines; indented lines stay as they are."""
    shown: list[str] = []
    for line in inspect.cleandoc(command.__doc__ or "").splitlines():
        continues = shown and shown[-1] and line and not line.startswith(INDENT)
        if continues:
            shown[-1] += f" {line}"
        else:
            shown.append(line)
    return "\n".join(shown)
