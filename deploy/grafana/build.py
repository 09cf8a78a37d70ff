"""Write the dashboards as JSON: `python deploy/grafana/build.py [FOLDER]`, by itself `dashboards/`.

The files are in the repository, so that Grafana needs nothing but them; change these modules and
build anew. Needs the development tools (`make .venv/.dev`).
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from jobs import jobs
from scheduler_and_stores import scheduler_and_stores
from workers import workers

BOARDS = {
    "jobs.json": jobs,
    "workers.json": workers,
    "scheduler-and-stores.json": scheduler_and_stores,
}


def build(folder: Path) -> None:
    """Write all dashboards into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, board in BOARDS.items():
        document = json.loads(json.dumps(board().build(), cls=JSONEncoder))
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number  # Grafana gives none to provisioned panels, and links need it
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards")
