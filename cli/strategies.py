"""`backtest strategies`: templates that are kept under a name, to be run again on other ranges."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from cli import help_text, job_ids, render
from cli.client import Client, Json
from cli.errors import CommandError
from cli.options import AsJson, Note, connected, read_json_file

app = typer.Typer(no_args_is_help=True, help="Keep strategies under a name, to run them again.")

Strategy = Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its id.")]


def list_(as_json: AsJson = False) -> None:
    """List your strategies, the newest first.

    --json prints an array. Each has strategy_id, name, note, template, source_job_id,
    source_variant_key, created_at, updated_at.

    For example:

      backtest strategies list
      backtest strategies list --json | jq '.[0].template'
    """
    with connected() as client:
        items = client.strategies()
    if as_json:
        render.as_json(items)
    elif items:
        render.terminal().print(_table(items))
    else:
        render.terminal().print(
            "no strategies; `backtest strategies save NAME --job JOB` keeps one"
        )


def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 120 characters.")],
    job: Annotated[
        str | None, typer.Option(metavar="JOB", help="Take it from a variant of this job.")
    ] = None,
    rank: Annotated[int, typer.Option(min=1, max=300, help="Which variant of the job.")] = 1,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the `template` of this request; - reads it."),
    ] = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Keep a strategy: the parameters of one variant of a job, or the template of a request.

    --json prints it as `backtest strategies list --json` does.

    For example:

      backtest strategies save "slow cross" --job 3f0c0d0e --rank 2
      backtest strategies save "all crosses" --file request.json
    """
    if (job is None) == (file is None):
        raise CommandError("give either --job JOB or --file FILE")
    described = {"name": name} | ({} if note is None else {"note": note})
    with connected() as client:
        source = _template(file) if file is not None else _variant(client, str(job), rank)
        saved = client.save_strategy(described | source)
    if as_json:
        render.as_json(saved)
    else:
        text = f"kept {saved['name']} ({saved['strategy_id']})"
        render.terminal().print(text, markup=False, soft_wrap=True)


def delete(strategy: Strategy, as_json: AsJson = False) -> None:
    """Delete a strategy. Jobs that were made of it stay as they are.

    For example:

      backtest strategies delete "slow cross"
    """
    with connected() as client:
        strategy_id = find(client, strategy)
        client.delete_strategy(strategy_id)
    if as_json:
        render.as_json({"strategy_id": strategy_id})
    else:
        render.terminal().print(f"deleted {strategy}", markup=False, soft_wrap=True)


def find(client: Client, text: str) -> str:
    """Return the id of a strategy that is named or given by its id; raises CommandError."""
    try:
        return str(UUID(text))
    except ValueError:
        pass
    items = client.strategies()
    for item in items:
        if item["name"] == text:
            return str(item["strategy_id"])
    names = ", ".join(item["name"] for item in items[:5]) or "none"
    raise CommandError(f"no strategy of yours is called {text!r}; there is {names}")


def _variant(client: Client, job: str, rank: int) -> Json:
    rows = client.top(job_ids.read(job), limit=rank)
    if len(rows) < rank:
        raise CommandError(f"job {job} has {len(rows)} variants, none of rank {rank}")
    return {"job_id": job_ids.read(job), "variant_key": rows[rank - 1]["variant_key"]}


def _template(file: Path) -> Json:
    document: Any = read_json_file(file)
    if not isinstance(document, dict) or "template" not in document:
        raise CommandError(f"{file} is no request: it has no `template`")
    return {"template": document["template"]}


def _table(items: list[Json]) -> Table:
    from engine.request.words import EXIT, block_title  # commands start without the engine

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("strategy", overflow="fold")
    table.add_column("blocks", overflow="fold")
    table.add_column("age", no_wrap=True)
    for item in items:
        template = item["template"]
        grids = (("", template["indicator_grids"]), (EXIT, template.get("exit_grids", ())))
        blocks = [
            prefix + block_title(block["indicator_id"], block.get("timeframe"))
            for prefix, part in grids
            for block in part
        ]
        name = Text(item["name"])
        if item["note"]:
            name.append(f"\n{item['note']}", style="dim")
        age = render.duration(render.since(item["created_at"]))
        table.add_row(name, ", ".join(blocks), age)
    return table


for command in (list_, save, delete):
    help_text.add(app, command)
