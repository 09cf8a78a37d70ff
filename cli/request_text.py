"""How a request is explained in a terminal: an example with comments, and every field."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from cli import render

if TYPE_CHECKING:
    from engine.request.table import Table as Fields

Json = Mapping[str, Any]

WIDE = 100
"""From this width on, comments stand beside the example; otherwise above its lines."""

_BOUNDS = (
    ("minimum", "at least"),
    ("above", "more than"),
    ("maximum", "at most"),
    ("below", "less than"),
)


def explained(
    example: Json, holding: Json, fields: Sequence[Json], width: int
) -> Iterator[RenderableType]:
    """Yield the example with comments, what is different in one that holds, and every field."""
    yield Text("A request", style="bold")
    yield Text(
        "backtest request > request.json writes it without the comments, and backtest submit "
        "request.json takes it as it is. What is left out has its default.\n",
        style="dim",
    )
    sentences = {field["path"]: field["sentence"] for field in fields}
    yield _annotated(_said_once(_lines(example, "", sentences)), width)
    yield Text("\nA position that is held", style="bold")
    yield Text(
        "Buy when RSI leaves oversold, sell when it is overbought: these members take the place of "
        "those above.\n",
        style="dim",
    )
    yield _annotated(_said_once(_lines(holding, "", sentences)), width)
    yield Text("\nEvery field", style="bold")
    yield Text(
        "[] is an item of an array, * the name of a parameter. An axis is an explicit axis or a "
        "range axis; short for one: an array of values, or a single value.\n",
        style="dim",
    )
    for field in fields:
        yield _field(field)


def in_short(fields: "Fields") -> RenderableType:
    """Return the keys of every object of a request; a star marks what must be given."""
    from engine.request.table import ANY, REQUIRED

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    by_parent: dict[str, list[str]] = {}
    for entry in fields.entries:
        if entry.name != ANY:
            star = "*" if entry.default is REQUIRED else ""
            by_parent.setdefault(entry.parent, []).append(f"{entry.name}{star}")
    for parent, names in by_parent.items():
        table.add_row(Text(parent or "request"), Text(", ".join(names)))
    return Group(
        Text(" Fields of a request; * must be given", style="bold"),
        Padding(table, (0, 1)),
        Text("\n backtest request prints an example and explains every field\n"),
    )


class WithFields(TyperCommand):
    """A command that takes a request: its help ends with the fields in short.

    The table of fields is loaded only when help is asked for.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then the fields."""
        from engine.request import TABLE

        super().format_help(ctx, formatter)
        render.terminal().print(in_short(TABLE))


def _lines(
    value: Any, path: str, sentences: Mapping[str, str], *, key: str = "", depth: int = 0
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a JSON document, each with the sentence about its field."""
    indent, comment = "  " * depth, sentences.get(path, "")
    start = f"{json.dumps(key)}: " if key else ""
    inner: list[list[tuple[str, str]]] = []
    if isinstance(value, Mapping):
        open_, close = "{}"
        place = f"{value['mode']} axis" if "mode" in value else path
        for name, item in value.items():
            below = f"{place}.{name}".lstrip(".")
            below = below if below in sentences else f"{place}.*"
            inner.append(list(_lines(item, below, sentences, key=name, depth=depth + 1)))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        open_, close = "[]"
        for item in value:
            inner.append(list(_lines(item, f"{path}[]", sentences, depth=depth + 1)))
    if not inner:
        yield f"{indent}{start}{json.dumps(value)}", comment
        return
    yield f"{indent}{start}{open_}", comment
    for number, lines in enumerate(inner, start=1):
        *before, (text, said) = lines
        yield from before
        yield text + ("," if number < len(inner) else ""), said
    yield f"{indent}{close}", ""


def _annotated(lines: Iterable[tuple[str, str]], width: int) -> RenderableType:
    if width < WIDE:
        return Group(*_with_comments_above(lines, width))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for text, comment in lines:
        table.add_row(Text(text), Text(comment))
    return table


def _with_comments_above(lines: Iterable[tuple[str, str]], width: int) -> Iterator[RenderableType]:
    for text, comment in lines:
        margin = " " * (len(text) - len(text.lstrip())) + "// "
        for line in wrap(comment, width, initial_indent=margin, subsequent_indent=margin):
            yield Text(line, style="dim")
        yield Text(text)


def _said_once(lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Leave out the comments that stood before."""
    said: set[str] = set()
    for text, comment in lines:
        yield text, "" if comment in said else comment
        said.add(comment)


def _field(field: Json) -> RenderableType:
    kind = ", ".join((_type(field), *_bounds(field)))
    facts = [kind, _default(field)]
    if field["in_example"]:
        facts.append(f"example {json.dumps(field['example'])}")
    return Group(
        Text(field["path"], style="bold"),
        Padding(Text(field["sentence"]), (0, 0, 0, 4)),
        Padding(Text("; ".join(facts), style="dim"), (0, 0, 0, 4)),
    )


def _type(field: Json) -> str:
    names = [field["type"]]
    if field["choices"]:
        of = "axis of " if field["type"] == "axis" else "one of "
        names = [f"{of}{', '.join(field['choices'])}"]
    if field["pattern"]:
        names = [f"{field['type']} of {field['pattern']}"]
    names += [f"or {json.dumps(text)}" for text in field["texts"]]
    if field["null"] and field["type"] != "null":
        names.append("or null")
    return " ".join(names)


def _bounds(field: Json) -> list[str]:
    return [f"{words} {_number(field[name])}" for name, words in _BOUNDS if field[name] is not None]


def _number(number: float) -> str:
    return f"{number:,.15g}" if abs(number) < 1e15 else "10^15"


def _default(field: Json) -> str:
    if field["required"]:
        return "must be given"
    value, note = field["default"], field["default_note"]
    if value is None and note:
        return f"default: {note}"
    if value == {}:
        return "default: all its defaults"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {item}" for key, item in value.items())
        return f"default {note} {value}"
    if isinstance(value, float):
        value = f"{value:.15g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"default {text}" + (f", {note}" if note else "")
