"""Jobs that hold positions: what show, top, report, export and strategies say of them."""

import csv
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli import axes, html_report, page_parts
from tests.cli.conftest import START_MS, Backtest, changed, finish, submitted, written
from tests.cli.test_job_view import ASKED, GRID, axis, facts, job, page
from tests.cli.test_rendering import variant
from tests.cli.test_top_table import CROSS, RSI, headings, printed, request, variants

HELD = "positions held until a signal against them"
EXIT_RSI = {
    "indicator_id": "momentum.rsi",
    "params": {"window": [14]},
    "signals": {"long_threshold": [20], "short_threshold": [70, 75]},
}
HOLDING: dict[str, Any] = {
    "template__position": "hold",
    "template__exit_grids": [EXIT_RSI],
    "template__execution": {"reentry_after_bars": 1},
}
SAID = f"{HELD}, no entry for 1 bar after a stop or target"


@pytest.fixture
def finished(service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]) -> str:
    job_id = submitted(service, tmp_path, **HOLDING)
    finish(connection, job_id)
    return job_id


def test_a_job_names_its_position_and_its_exit_blocks() -> None:
    execution = ASKED["template"]["execution"] | {"reentry_after_bars": 12}
    closing = GRID | {"params": {"window": axis(7, 14)}, "signals": {}}
    held = {"position": "hold", "exit_grids": [closing], "execution": execution}
    shown = facts(page(job(request=ASKED | {"template": ASKED["template"] | held})))
    assert shown["position"] == f"{HELD}, no entry for 12 bars after a stop or target"
    assert shown["blocks"].endswith("| exit momentum.rsi: window 7, 14 (2)")
    assert "position" not in facts(page(job()))


def test_a_block_that_opens_and_one_that_closes_may_have_one_name_in_the_top_list() -> None:
    asked = request(blocks=[RSI])
    closing = RSI | {"params": {"window": {"mode": "explicit", "values": [7, 21]}}}
    asked["template"]["exit_grids"] = [closing]
    rows = variants(asked)
    for window, row in zip((7, 21), rows, strict=True):
        (block,) = row["payload_json"]["blocks"]
        signals = {"long_threshold": 90.5}
        row["payload_json"]["exit_blocks"] = [
            block | {"params": {"window": window}, "signals": signals}
        ]
    lines = printed(rows, asked, 160)
    first, second = headings(lines)
    assert first.split()[-5:] == ["rsi", "exit", "rsi", "exit", "rsi"]
    assert second.split()[-3:] == ["long", "window", "long"]
    best = lines.split("\n1 ", 1)[1].splitlines()[0].split()
    assert best[-3:] == ["48", "7", "90.5"]


def test_an_exit_block_is_called_by_the_last_part_of_its_name_too() -> None:
    asked = request(blocks=[CROSS])
    asked["template"]["exit_grids"] = [CROSS, RSI]
    assert axes.short_names(list(axes.of_blocks(asked))) == {
        "ma.cross": "cross",
        "exit ma.cross": "exit cross",
        "exit momentum.rsi": "exit rsi",
    }


def test_an_export_has_columns_for_exit_blocks(
    service: Backtest, tmp_path: Path, finished: str
) -> None:
    file = tmp_path / "variants.csv"
    assert service("export", finished, "--csv", file).code == 0
    rows = list(csv.DictReader(file.open(newline="")))
    for row, stored in zip(rows, service("top", finished, "--json").json, strict=True):
        (block,) = stored["payload_json"]["exit_blocks"]
        assert (
            float(row["exit momentum.rsi.short_threshold"]) == block["signals"]["short_threshold"]
        )
        assert row["exit momentum.rsi.window"] == "14"
        assert row["exit momentum.rsi.source"] == "close"
    assert {row["exit momentum.rsi.short_threshold"] for row in rows} == {"70.0", "75.0"}


def test_a_report_says_what_was_held(service: Backtest, finished: str) -> None:
    title = service("report", finished).out.partition(f"Variant 1 of job {finished}")[2]
    assert " ".join(title.split()).startswith(f", {SAID}")


def test_the_page_of_a_report_says_what_was_held_and_by_what_it_was_closed() -> None:
    status, row = variant()
    assert HELD not in html_report.page(status, row, [START_MS], [100.0])
    status["request"]["template"] |= {"position": "hold"}
    (block,) = row["payload_json"]["blocks"]
    row["payload_json"]["exit_blocks"] = [block | {"params": {"ma": "ema", "fast": 77}}]
    shown = html_report.page(status, row, [START_MS], [100.0])
    assert f"long-short, all in, {HELD}, ranked by" in shown
    assert list(page_parts.parameters(row["payload_json"]))[1] in shown
    assert "exit ma.cross" in shown
    assert "77" in list(page_parts.parameters(row["payload_json"]))[1]


def test_a_dry_run_says_what_is_held_and_counts_combinations_of_entries_and_exits(
    service: Backtest, tmp_path: Path
) -> None:
    asked = written(tmp_path, changed(**HOLDING))
    text = service("submit", asked, "--dry-run").out
    assert f"\n{SAID}\n" in text
    assert "16 x 2 variants" in text  # eight that open, two that close
    found = service("submit", asked, "--dry-run", "--json").json
    assert found["stage_a_variants"] == 16


def test_a_strategy_that_holds_is_kept_listed_and_run_again(
    service: Backtest, tmp_path: Path, finished: str
) -> None:
    assert service("strategies", "save", "held", "--job", finished[:8]).code == 0
    assert "exit momentum.rsi" in " ".join(service("strategies", "list").out.split())
    overrides = tmp_path / "overrides.json"
    overrides.write_text(
        '{"time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z"}}'
    )
    ended = service("submit", "--strategy", "held", "--overrides", overrides, "--json")
    assert ended.code == 0, ended.err
    template = service("show", ended.json["job_id"], "--json").json["request"]["template"]
    assert template["position"] == "hold"
    assert template["execution"]["reentry_after_bars"] == 1
    assert template["exit_grids"][0]["params"]["window"]["values"] == [14]
