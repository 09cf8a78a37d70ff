"""The dashboards of the repository, read as Grafana does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"


def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard, by the name of its file."""
    return {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(FOLDER.glob("*.json"))
    }


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def every_query() -> Iterator[tuple[str, str]]:
    """Panel and expression, for all of them."""
    for board in boards().values():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{board['title']}: {panel['title']}", target["expr"]
