"""The top list in a terminal: which columns there are, and what is said above them.

The columns depend on the request and the width alone while a job runs, so that they stay where they
are from poll to poll. Once it has ended, parameters that all its rows share leave the table.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli import axes
from cli.axes import Axis
from cli.job_view import no_variants, unfinished
from cli.render import figure, metric, room, unbroken, verdict

Json = Mapping[str, Any]

GAP = 2
PHRASES = 26
TWINS = len("100,000")
UNBROKEN = "\N{NO-BREAK SPACE}"
TOLD_BY_THE_VERDICT = ("succeeded", "cancelled")  # of failed ones it does not say why
PRIMARY, SECONDARY = "▼▲", "▽△"


@dataclass(frozen=True)
class Metric:
    """A column of figures: heading, decimals, and the characters that usual figures take.

    `test`: of the bars that variants were not chosen on.
    """

    name: str
    heading: str
    digits: int
    figures: int
    mark: str = ""
    test: bool = False

    @property
    def shown_heading(self) -> str:
        """The heading with the mark of a ranking metric."""
        return f"{self.heading} {self.mark}".rstrip()

    @property
    def room(self) -> int:
        """How many characters the column takes."""
        return max(self.figures, *map(len, self.shown_heading.split("\n")))


# In the order in which they are shown as far as there is room.
METRICS = (
    Metric("total_return_pct", "return\n%", 2, 8),
    Metric("max_drawdown_pct", "max dd\n%", 2, 6),
    Metric("num_trades", "trades", 0, 6),
    Metric("win_rate_pct", "win\n%", 1, 5),
    Metric("profit_factor", "profit\nfactor", 2, 6),
    Metric("sharpe", "sharpe", 2, 6),
    Metric("return_over_max_drawdown", "return\n/ dd", 2, 6),
    Metric("sortino", "sortino", 2, 7),
    Metric("calmar", "calmar", 2, 7),
    Metric("expectancy_pct", "expect.\n%", 3, 7),
    Metric("sqn", "sqn", 2, 5),
)


@dataclass(frozen=True)
class Layout:
    """The columns of a table; `beside`: each parameter is one, else all of them stand in one."""

    metrics: tuple[Metric, ...]
    twins: bool
    parameters: tuple[Axis, ...]
    beside: bool
    phrases: int

    @classmethod
    def of(cls, request: Json, parameters: Sequence[Axis], width: int) -> "Layout":
        """Choose what fits: the ranking metrics always, the other ones as far as there is room."""
        ranking = request["ranking"]
        metrics = ranking_metrics(ranking)
        if request.get("validation"):
            metrics[1:1] = tests_of(metrics[0])
        twins = bool(ranking.get("distinct"))
        used = len(str(request["top_k"])) + (GAP + TWINS if twins else 0)
        used += sum(GAP + each.room for each in metrics)
        names = axes.short_names(parameters)
        columns = sum(GAP + _column_room(axis, names) for axis in parameters)
        beside = used + columns <= width
        phrases = max([PHRASES, *(_phrase_room(axis, names) for axis in parameters)])
        left = width - used - (columns if beside else GAP + phrases)
        for each in METRICS:
            if each.name in {shown.name for shown in metrics if not shown.test}:
                continue
            if each.room + GAP > left:
                break
            metrics.append(each)
            left -= each.room + GAP
        return cls(tuple(metrics), twins, tuple(parameters), beside, phrases + max(left, 0))

    def narrower(self) -> "Layout | None":
        """Return it without its last column of figures; None where that has to be shown."""
        if self.metrics[-1].mark or self.metrics[-1].test:
            return None
        return replace(self, metrics=self.metrics[:-1])


def tests_of(primary: Metric) -> list[Metric]:
    """Return the columns of the test: the metric that variants are ranked by, and their return."""
    wanted = dict.fromkeys((primary, METRICS[0]))
    return [
        replace(each, heading=f"test\n{each.heading.replace(chr(10), ' ')}", mark="", test=True)
        for each in {each.name: each for each in wanted}.values()
    ]


def ranking_metrics(ranking: Json) -> list[Metric]:
    """Return the columns of the primary metric, and of the secondary one when there is one."""
    from engine.metric_names import ASCENDING

    known = {each.name: each for each in METRICS}
    found: list[Metric] = []
    for name, marks in (
        (ranking["primary_metric"], PRIMARY),
        (ranking["secondary_metric"], SECONDARY),
    ):
        if name is not None and name not in {each.name for each in found}:
            each = known.get(name) or Metric(name, name.replace("_", "\n"), 2, 8)
            mark = marks[name in ASCENDING]
            found.append(Metric(each.name, each.heading, each.digits, each.figures, mark))
    return found


def top_page(status: Json, rows: Sequence[Json], width: int) -> Iterator[RenderableType]:
    """Yield verdict and variants of a job, or why there are none."""
    sentences = verdict(status)
    yield from sentences
    told = bool(sentences) and status["state"] in TOLD_BY_THE_VERDICT
    if not rows:
        yield from () if told else (Text(no_variants(status)),)
        return
    if not told and (text := unfinished(status)):
        yield Text(text)
    yield from top_table(rows, status["request"], width, ended=status["state"] == "succeeded")


def top_table(
    rows: Sequence[Json], request: Json, width: int, *, ended: bool
) -> Iterator[RenderableType]:
    """Yield what a terminal of `width` shows of the variants: their order, what all share, them."""
    shared, parameters = _parted(rows, request, collapsing=ended and len(rows) > 1)
    layout = Layout.of(request, parameters, width)
    yield Text(_order(request["ranking"]), style="dim")
    if shared and rows:
        text = f"all: {_phrases(shared, rows[0]['payload_json'])}"
        yield Text(_wrapped(text, width, "     "), style="cyan")
    yield ""
    table = _table(rows, layout)
    while room(table) > width and (narrower := layout.narrower()):  # figures of unusual size
        layout, table = narrower, _table(rows, narrower)
    yield unbroken(table, width)


def _parted(
    rows: Sequence[Json], request: Json, *, collapsing: bool
) -> tuple[list[Axis], list[Axis]]:
    """Part the axes into those that all variants share and those that tell them apart."""
    shared, apart = [], []
    for axis in (*axes.of_blocks(request), *axes.of_risk(request)):
        values = {axis.value(row["payload_json"]) for row in rows} if collapsing else set()
        if axis.size > 1 and len(values) != 1:
            apart.append(axis)
        elif axis.size > 1 or not _usual(axis):
            shared.append(axis)
    return shared, apart


def _usual(axis: Axis) -> bool:
    """Whether an axis of one value is not worth a word: the source, a risk level that is off."""
    return axis.group == "source" or axis.document == axes.OFF


def _order(ranking: Json) -> str:
    from engine.metric_words import words  # commands start without the engine

    first, *second = ranking_metrics(ranking)
    text = f"ranked by {words(first.name)} {first.mark}"
    if second:
        text += f", then {words(second[0].name)} {second[0].mark}"
    if ranking["min_trades"]:
        text += f"; at least {ranking['min_trades']} trades"
    return text + ("; equal outcomes stand as one row" if ranking.get("distinct") else "")


def _table(rows: Sequence[Json], layout: Layout) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    for each in layout.metrics:
        style = "bold green" if each.mark in PRIMARY and each.mark else None
        table.add_column(
            each.shown_heading, justify="right", no_wrap=True, style=style, min_width=each.room
        )
    if layout.twins:
        table.add_column("twins", justify="right", no_wrap=True, min_width=TWINS)
    names = axes.short_names(layout.parameters)
    if layout.beside:
        for axis in layout.parameters:
            heading = _heading(axis, names)
            room = _column_room(axis, names)
            table.add_column(heading, justify="right", no_wrap=True, style="cyan", min_width=room)
    elif layout.parameters:
        table.add_column("parameters", no_wrap=True, style="cyan")
    for row in rows:
        table.add_row(*_cells(row, layout))
    return table


def _cells(row: Json, layout: Layout) -> Iterator[str | Text]:
    yield str(row["rank"])
    for each in layout.metrics:
        yield figure(metric(row, each.name, test=each.test), each.digits)
    if layout.twins:
        yield f"{row.get('twins', 1):,}"
    payload = row["payload_json"]
    if layout.beside:
        yield from (Text(axis.value(payload)) for axis in layout.parameters)
    elif layout.parameters:
        yield Text(_wrapped(_phrases(layout.parameters, payload), layout.phrases, ""))


def _heading(axis: Axis, names: Mapping[str, str]) -> str:
    if axis.block == axes.RISK:
        return axis.label if axis.group == axes.SIZE else f"{axis.label} %"
    return f"{names[axis.block]}\n{axis.label}"


def _column_room(axis: Axis, names: Mapping[str, str]) -> int:
    return max(axis.room, *map(len, _heading(axis, names).split("\n")))


def _phrase_room(axis: Axis, names: Mapping[str, str]) -> int:
    name = "" if axis.block == axes.RISK else f"{names[axis.block]} "
    return len(f"{name}{axis.label} , ") + axis.room


def _phrases(parameters: Sequence[Axis], payload: Json) -> str:
    """Write the values of a variant as words that belong together: `rsi window 14, long 55`."""
    names = axes.short_names(parameters)
    blocks = []
    for block, members in groupby(parameters, key=lambda axis: axis.block):
        texts = [f"{axis.label} {axis.value(payload)}" for axis in members]
        if block != axes.RISK:
            texts[0] = f"{names[block]} {texts[0]}"
        blocks.append(", ".join(text.replace(" ", UNBROKEN) for text in texts))
    return f"{UNBROKEN}· ".join(blocks)


def _wrapped(text: str, width: int, indent: str) -> str:
    lines = textwrap.wrap(text, max(width, 1), subsequent_indent=indent, break_long_words=False)
    return "\n".join(lines).replace(UNBROKEN, " ")
