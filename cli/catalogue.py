"""`backtest indicators`: what a request can be made of."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cli import help_text, render
from cli.errors import CommandError
from cli.options import JOBS_PANEL, AsJson
from cli.running_stack import environment

if TYPE_CHECKING:
    from engine.request import Defaults


def indicators(
    indicator: Annotated[
        str | None, typer.Argument(metavar="ID", help="One indicator, with its parameters.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the indicators, or explain one: parameters, bounds, default axes, outputs and rules.

    A plugin that could not be loaded is named with the reason; its indicators are missing.

    The first output is the default one. A request may name another, and sweeps only the parameters
    which that output uses. Default axes are those of ROEHUB_ENV, of dev where that is not set.

    For example:

      backtest indicators
      backtest indicators volatility.bbands
      backtest indicators --json | jq -r '.[].indicator_id'
    """
    from engine.indicators.catalogue import described
    from engine.indicators.registry import UnknownIndicator, catalogue, get, left_out

    grids = configured_defaults().indicator_grids
    if indicator is None:
        items = [described(each, grids) for each in catalogue()]
        if as_json:
            render.as_json(items)
        else:
            console = render.terminal()
            console.print(_overview(items))
            for plugin in left_out():
                console.print(Text(f"{plugin} could not be loaded: {plugin.error}", style="red"))
        return
    try:
        item = described(get(indicator), grids)
    except UnknownIndicator as error:
        raise CommandError(str(error)) from None
    if as_json:
        render.as_json(item)
    else:
        render.terminal().print(_explained(item))


def configured_defaults() -> "Defaults":
    """Return what requests get that leave something out: of ROEHUB_ENV, of dev without one."""
    from configs import settings
    from engine.request import read_defaults

    loaded = settings.load(environ={"ROEHUB_ENV": "dev"} | dict(environment()))
    return read_defaults(*loaded.request_defaults())


def _overview(items: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("indicator", no_wrap=True)
    for header in ("parameters", "outputs", "what it is"):
        table.add_column(header)
    for item in items:
        table.add_row(
            item["indicator_id"],
            ", ".join(param["name"] for param in item["params"]),
            ", ".join(output["name"] for output in item["outputs"]),
            item["description"],
        )
    return table


def _explained(item: dict[str, Any]) -> Group:
    inputs = ", ".join(item["inputs"])
    if item["sources"]:
        inputs += f" (source: {', '.join(item['sources'])})"
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_row("reads", inputs)
    facts.add_row("formula", item["formula"])
    if item["conditions"]:
        facts.add_row("valid", ", ".join(item["conditions"]))
    params = _params_table("parameter")
    for param in item["params"]:
        params.add_row(*_param_cells(param))
    parts: list[Any] = [Text(item["description"], style="bold"), facts, ""]
    if item["params"]:
        parts += [params, ""]
    for output in item["outputs"]:
        uses = f" of {', '.join(output['params'])}" if output["params"] else ""
        parts.append(Text.assemble(("output ", "bold"), output["name"], (uses, "dim")))
        parts.append(Text(f"  {output['rule']}: {output['rule_description']}", style="dim"))
        if output["lookback"]:
            parts.append(Text(f"  {_lookback_text(output['lookback'])}", style="dim"))
        if output["signals"]:
            signals = _params_table("  signal parameter")
            for param in output["signals"]:
                name, *rest = _param_cells(param)
                signals.add_row(f"  {name}", *rest)
            parts.append(signals)
    return Group(*parts)


def _lookback_text(lookback: dict[str, int]) -> str:
    defined, settled = lookback["defined_after"], lookback["settled_after"]
    if settled == defined:
        return f"history at the default axes: {defined:,} bars"
    return f"history at the default axes: {defined:,} bars to a value, {settled:,} until it settles"


def _params_table(first: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in (first, "type", "from", "to", "default axis"):
        table.add_column(header)
    return table


def _param_cells(param: dict[str, Any]) -> tuple[str, ...]:
    bounds = tuple(
        "" if param[key] is None else f"{param[key]:,.10g}" for key in ("minimum", "maximum")
    )
    kind = ", ".join(param["choices"]) or param["type"]
    return param["name"], kind, *bounds, _axis_text(param["default"])


def _axis_text(axis: dict[str, Any] | None) -> str:
    if axis is None:
        return "none: the request must give it"
    if axis["mode"] == "explicit":
        return ", ".join("off" if value is None else str(value) for value in axis["values"])
    return f"{axis['start']}..{axis['stop_incl']} step {axis['step']}"


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    help_text.add(app, indicators, panel=JOBS_PANEL)
