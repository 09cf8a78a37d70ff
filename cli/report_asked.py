"""What was asked of a search, in the report of a variant: the pictures of the page of its job.

They are drawn by the modules of that page, which the report brings along: an import map names each
of them, and holds its text.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from cli.client import Client

FRAGMENT = Path(__file__).with_name("report_asked.html")
STYLE = Path(__file__).with_name("report_asked.css")
MODULES = ("axes.js", "dom.js", "replays.js", "surfaces.js", "trust.js")
"""What the fragment imports."""

ROWS = 300
CELLS = 60_000
"""Of all surfaces together, or of the first one: about 40 bytes each."""
DIGITS = 6
"""Of a figure of a cell: more cannot be seen."""
COLUMNS = ("variants", "eligible", "profitable_pct", "best", "median")

Json = Mapping[str, Any]

_IMPORT = re.compile(r'(?<=from ")\./(?=(\w+\.js)";)')


def read(client: Client, status: Json) -> dict[str, Any] | None:
    """Return what was asked of the search of a job; None where nothing was."""
    if not status.get("validation"):
        return None
    job_id = status["job_id"]
    found = client.validation(job_id)
    return {
        "figures": found["figures"],
        "pictures": found["pictures"],
        "rows": client.top(job_id, limit=ROWS),
        "surfaces": list(_surfaces(client, job_id, found["surfaces"])),
        "surfaces_in_all": len(found["surfaces"]),
    }


def _surfaces(client: Client, job_id: str, listed: list[Json]) -> Iterator[dict[str, Any]]:
    """Yield the first surfaces, as many as there is room for, at least one."""
    cells = 0
    for each in listed:
        surface = client.surface(job_id, each["number"])
        cells += len(surface["variants"])
        if cells > CELLS and each is not listed[0]:
            return
        yield {**each, "surface": surface}


def style() -> str:
    """Return the rules of the pictures."""
    from api.pages.files import files

    return files().contents["pictures.css"].decode() + STYLE.read_text(encoding="utf-8")


def section(status: Json, row: Json, found: Json) -> str:
    """Return the part of the page of a variant that shows what `read` found, with its scripts."""
    primary = status["request"]["ranking"]["primary_metric"]
    rows, surfaces = found["rows"], found["surfaces"]
    asked = {
        "figures": found["figures"],
        "pictures": found["pictures"],
        "rows": [_drawn(each, primary) for each in rows],
        "request": status["request"],
        "winner": rows[0]["payload_json"] if rows else None,
        "beside": {"replays": (row.get("beside_json") or {}).get("replays")},
        "surfaces": [{**each, "surface": _rounded(each["surface"])} for each in surfaces],
    }
    return Template(FRAGMENT.read_text(encoding="utf-8")).substitute(
        surfaces_note=_note(len(surfaces), found["surfaces_in_all"]),
        modules=script_json({"imports": modules()}),
        asked=script_json(asked),
    )


def modules() -> dict[str, str]:
    """Return the modules that the fragment needs, each as an address that holds all of it."""
    from api.pages.files import files

    contents, wanted, found = files().contents, list(MODULES), {}
    while wanted:
        name = wanted.pop()
        text = contents[name].decode()
        wanted += [other[1] for other in _IMPORT.finditer(text) if other[1] not in found]
        encoded = base64.b64encode(_IMPORT.sub("", text).encode()).decode()
        found[name] = f"data:text/javascript;base64,{encoded}"
    return found


def script_json(value: Any) -> str:
    """Write JSON that may stand in a script element."""
    # "</script>" inside a string would end the element, and "<!--" hide its end.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _drawn(row: Json, primary: str) -> dict[str, Any]:
    """Return what is drawn of a row."""
    names = (primary, "total_return_pct", "infinite")
    parts = {
        part: {name: row[part][name] for name in names if name in row[part]}
        for part in ("metrics_json", "test_metrics_json")
        if row.get(part)
    }
    return {"rank": row["rank"], "total_return_pct": row["total_return_pct"], **parts}


def _rounded(surface: Json) -> dict[str, Any]:
    """Return a surface without what opens a variant, its figures as fine as they can be seen."""
    columns = {name: [_short(value) for value in surface[name]] for name in COLUMNS}
    return {**{name: part for name, part in surface.items() if name != "best_index"}, **columns}


def _short(value: float | None) -> float | None:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _note(shown: int, in_all: int) -> str:
    if shown == in_all:
        return ""
    return (
        f" Here are {shown} of {in_all} pairs of parameters; the page of the job has all of them."
    )
