"""What user commands and the demo print to the terminal about a request, a job, its variants."""

from collections.abc import Sequence

from cli import job_view, render, top_table
from cli.lean import Json


def size(estimate: Json, warnings: Sequence[Json]) -> None:
    """Print how much there is to compute, and what a submitter should know."""
    console = render.terminal()
    console.print(render.amount(estimate))
    for warning in warnings:
        message = f"warning: {warning['message']}"
        in_a_pipe = not console.is_terminal  # there a warning is one line
        console.print(message, style="yellow", markup=False, soft_wrap=in_a_pipe)


def estimate(found: Json) -> None:
    """Print what a request would take that was not submitted."""
    from engine.request.words import modes_text  # commands start without the engine

    size(found, found["warnings"])
    console = render.terminal()
    if found["request"] and (modes := modes_text(found["request"]["template"])):
        console.print(modes)
    if funding := (found["coverage"] or {}).get("funding"):
        console.print(f"{funding['rates']:,} funding rates are stored for the traded range")
    if found["same_as"]:
        again = f"job {found['same_as']} has answered the same request: backtest top "
        console.print(again + job_view.short(found["same_as"]), soft_wrap=True)
    console.print(f"up to {found['bytes'] / 2**20:.0f} MiB; nothing was stored", style="dim")


def job(status: Json, events: Sequence[Json]) -> None:
    """Print a job with its history."""
    console = render.terminal()
    for part in job_view.job_page(status, events, console.width):
        console.print(part, crop=False)


def top(status: Json, rows: Sequence[Json]) -> None:
    """Print the verdict about a job and its variants, or why there are none."""
    console = render.terminal()
    for part in top_table.top_page(status, rows, console.width):
        console.print(part, crop=False)


def report(row: Json, title: str, request: Json) -> None:
    """Print the report of one variant of a request: how it trades where that is not the usual."""
    from engine.request.words import modes_text, sizing_text  # commands start without the engine

    template = request["template"]
    sizing = "" if template["sizing_mode"] == "all_in" else sizing_text(template)
    console = render.terminal()
    for part in render.report(row, ", ".join(filter(None, (title, sizing, modes_text(template))))):
        console.print(part)


def verdict(status: Json) -> None:
    """Print what to make of a job."""
    for sentence_about in render.verdict(status):
        render.terminal().print(sentence_about)
