"""What a submitter is told before a sweep runs: how much there is, and what to know about it."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.render import amount
from tests.cli.conftest import Backtest, changed, finish, submitted, written

SYMBOL = "template__instrument_id__symbol"
YEAR = {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}
PARTLY = "candles cover 2 of 366 days: 2024-01-01 to 2024-01-02"


def test_warnings_are_printed_for_people(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)))
    assert f"warning: {PARTLY}\n" in ended.out


def test_a_submission_says_how_much_there_is_to_compute(service: Backtest, tmp_path: Path) -> None:
    assert "8 x 2 variants" in service("submit", written(tmp_path, changed())).out


def test_a_dry_run_tells_everything_and_stores_nothing(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)), "--dry-run", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = ended.json
    assert found["accepted"]
    assert found["request"]["template"]["execution"]["fee_pct"] == 0.075
    sizes = ("stage_a_variants", "stage_b_variants", "risk_combinations")
    assert [found[size] for size in sizes] == [8, 16, 2]
    assert found["bytes"] > 0
    assert found["coverage"]["bars_present"] == 192
    codes = [one["code"] for one in found["warnings"]]
    assert codes == ["coverage_partial", "stops_at_closes"]
    assert service("jobs", "--json").json == []


def test_a_dry_run_is_printed_for_people(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, changed(time_range=YEAR)), "--dry-run")
    assert ended.code == 0, ended.err
    assert "8 x 2 variants" in ended.out
    assert f"warning: {PARTLY}\n" in ended.out
    assert "MiB; nothing was stored" in ended.out


def test_a_dry_run_names_fills_that_are_not_at_closes(service: Backtest, tmp_path: Path) -> None:
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    asked = written(tmp_path, changed(template__execution=fills))
    assert (
        "\nentries at the next open, stops inside bars\n"
        in service("submit", asked, "--dry-run").out
    )
    usual = service("submit", written(tmp_path, changed()), "--dry-run").out
    assert "\nup to" in usual
    assert "entries at" not in usual
    assert "looks at highs and lows\n" in usual


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({SYMBOL: "WHAT"}, "template.instrument_id: WHAT: market 1 has TESTUSDT"),
        ({"template__timeframe": "7m"}, "template.timeframe: "),
    ],
)
def test_a_dry_run_of_what_would_be_refused_is_code_2_and_says_why(
    service: Backtest, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    ended = service("submit", written(tmp_path, changed(**changes)), "--dry-run")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("backtest: the request is refused: 1 problem\n")
    assert said in ended.err


def test_a_dry_run_for_machines_says_what_would_be_refused(
    service: Backtest, tmp_path: Path
) -> None:
    file = written(tmp_path, changed(**{SYMBOL: "WHAT"}))
    ended = service("submit", file, "--dry-run", "--json")
    assert (ended.code, ended.json["accepted"]) == (2, False)
    assert [one["path"] for one in ended.json["errors"]] == ["template.instrument_id"]


def test_a_dry_run_names_the_job_that_has_answered_the_same(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    shown = service("submit", tmp_path / "request.json", "--dry-run").out
    assert f"job {job_id} has answered the same request: backtest top {job_id[:8]}\n" in shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "601 328 x 30 variants"),
        (0.4, "601 328 x 30 variants, less than a second of one worker"),
        (4.2, "601 328 x 30 variants, about 4s of one worker"),
        (75.0, "601 328 x 30 variants, about 1m 15s of one worker"),
    ],
)
def test_the_time_is_told_where_the_rate_of_the_machine_is_known(
    seconds: float | None, said: str
) -> None:
    size = {"stage_a_variants": 601_328, "risk_combinations": 30, "seconds": seconds}
    assert amount(size) == said
