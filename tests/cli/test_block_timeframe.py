"""Blocks on a larger timeframe: what request, show, top, export and strategies say of them."""

import csv
from pathlib import Path
from typing import Any

import psycopg

from tests.cli.conftest import Backtest, finish, submitted
from tests.cli.test_job_view import ASKED, GRID, facts, job, page

RSI = {
    "indicator_id": "momentum.rsi",
    "params": {"window": [14, 21]},
    "signals": {"long_threshold": [20, 25], "short_threshold": [70, 75]},
    "timeframe": "12h",
}
"""On a multiple of every timeframe of the requests of these tests."""


def test_a_job_names_the_timeframe_of_a_block() -> None:
    grids = [GRID | {"timeframe": "12h"}]
    shown = facts(
        page(job(request=ASKED | {"template": ASKED["template"] | {"indicator_grids": grids}}))
    )
    assert shown["blocks"].startswith(f"{GRID['name']} 12h: ")


def test_lists_exports_and_strategies_call_a_block_by_its_timeframe(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    asked = {"template__indicator_grids": [RSI]}
    job_id = submitted(service, tmp_path, **asked)
    finish(connection, job_id)
    assert "momentum.rsi 12h: window 14, 21 (2)" in " ".join(service("show", job_id).out.split())
    file = tmp_path / "variants.csv"
    assert service("export", job_id, "--csv", file).code == 0
    rows = list(csv.DictReader(file.open(newline="")))
    assert {row["momentum.rsi 12h.short_threshold"] for row in rows} == {"70.0", "75.0"}
    assert service("strategies", "save", "slow", "--job", job_id[:8]).code == 0
    assert "momentum.rsi 12h" in " ".join(service("strategies", "list").out.split())


def test_the_reference_of_requests_has_the_timeframe_of_a_block(service: Backtest) -> None:
    fields = {item["path"]: item for item in service("request", "--reference", "--json").json}
    found = fields["template.indicator_grids[].timeframe"]
    assert (found["null"], found["required"], found["default"]) == (True, False, None)
    assert "multiple of the template's" in found["sentence"]
