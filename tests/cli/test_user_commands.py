import io
import json
import re
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs, leases
from storage.records import Client, Failure, Stage, State
from tests.api.running import Api
from tests.cli.conftest import REQUEST, Backtest, become, finish, submitted, taken, written
from tests.making_jobs import BESIDE
from tests.storage.making import OUTCOMES, answered, without_bins
from tests.storage.sharing import helped, planned

JOB_KEYS = {
    *("job_id", "name", "mode", "state", "stage", "progress", "attempt", "created_at"),
    *("started_at", "finished_at", "cancel_requested_at", "last_error", "best", "best_infinite"),
    *("market_id", "symbol", "timeframe", "start", "end", "primary_metric"),
}
VARIANT_KEYS = {
    *("rank", "variant_key", "indicator_variant_key", "variant_index", "total_return_pct"),
    *("metrics_json", "payload_json", "trades_omitted"),
}


def test_a_submitted_job_is_queued_and_listed(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    listed = service("jobs", "--json").json
    assert [(item["job_id"], item["state"]) for item in listed] == [(job_id, "queued")]
    assert job_id in service("jobs").out


def test_a_request_can_come_from_standard_input(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SimpleNamespace(buffer=io.BytesIO(json.dumps(REQUEST).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    assert service("submit", "-", "--json").json["state"] == "queued"


def test_the_stored_request_is_the_effective_one(service: Backtest, tmp_path: Path) -> None:
    request = service("show", submitted(service, tmp_path), "--json").json["request"]
    assert request["warmup_bars"] >= 39  # what the slow average needs at least
    assert (request["version"], request["ranking"]["min_trades"]) == (4, 30)
    assert request["template"]["execution"]["fee_pct"] == 0.075


def test_submitting_under_the_same_key_returns_the_same_job(
    service: Backtest, tmp_path: Path
) -> None:
    file = written(tmp_path, REQUEST)
    both = [service("submit", file, "--idempotency-key", "k", "--json").json for _ in range(2)]
    assert both[0]["job_id"] == both[1]["job_id"]


def test_jobs_belong_to_the_user_of_the_token(
    service: Backtest, served: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(service, tmp_path)
    become(monkeypatch, served)
    assert service("jobs", "--json").json == []
    assert service("jobs").out == "no jobs; `backtest submit request.json` makes one\n"


def test_jobs_are_filtered_by_state(service: Backtest, tmp_path: Path) -> None:
    submitted(service, tmp_path)
    assert service("jobs", "--state", "running", "--json").json == []
    assert len(service("jobs", "--state", "queued", "--json").json) == 1


def test_a_list_for_machines_is_lean_and_its_keys_are_stable(
    service: Backtest, tmp_path: Path
) -> None:
    submitted(service, tmp_path)
    (item,) = service("jobs", "--json").json
    about = {name: item[name] for name in ("market_id", "symbol", "timeframe", "primary_metric")}
    assert about == {
        "market_id": 1,
        "symbol": "TESTUSDT",
        "timeframe": "15m",
        "primary_metric": "total_return_pct",
    }
    assert (item["start"], item["end"]) == ("2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z")
    assert set(item) == JOB_KEYS
    assert len(json.dumps(item)) < 1000


def test_show_for_machines_is_complete(service: Backtest, tmp_path: Path) -> None:
    shown = service("show", submitted(service, tmp_path), "--json").json
    assert {"request", "request_hash", "coverage", "outcomes", "events"} <= set(shown)
    assert [event["event"] for event in shown["events"]] == ["queued"]
    assert shown["events"][0]["details"] == {"client": "cli"}


def test_a_job_says_what_it_covers_what_it_found_and_what_to_make_of_it(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    shown = service("show", job_id, "--json").json
    assert shown["coverage"]["asked"]["end"] == "2024-01-03T00:00:00Z"
    assert shown["outcomes"] == without_bins(OUTCOMES)
    assert (shown["verdict"][0], shown["verdict"][-1]) == (
        "The best variant made 2 trades, fewer than the 30 trades that ranking asks for.",
        "Not validated out of sample.",
    )
    assert [row["twins"] for row in service("top", job_id, "--json").json] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("include", "keys"),
    [
        (None, set()),
        ("report", {"report_table_md"}),
        ("trades, equity", {"trades", "equity"}),
    ],
)
def test_top_for_machines_is_lean_unless_more_is_asked_for(
    service: Backtest,
    tmp_path: Path,
    connection: psycopg.Connection[Any],
    include: str | None,
    keys: set[str],
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    asked = () if include is None else ("--include", include)
    row = service("top", job_id, "--json", *asked).json[0]
    assert set(row) & {"report_table_md", "trades", "equity"} == keys
    assert set(row) >= VARIANT_KEYS


def test_what_top_can_include_is_named(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    ended = service("top", job_id, "--json", "--include", "trade")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "'trade' is none of report, trades, equity" in ended.err
    assert service("top", job_id, "--include", "trades").code == 2


@pytest.mark.parametrize("command", ["jobs", "top"])
def test_keys_for_machines_are_in_the_help(backtest: Backtest, command: str) -> None:
    shown = set(re.findall(r"\w+", backtest(command, "--help").out))
    assert (JOB_KEYS if command == "jobs" else VARIANT_KEYS) <= shown


def test_a_request_can_be_taken_from_a_job_and_submitted_again(
    service: Backtest, tmp_path: Path
) -> None:
    first = service("show", submitted(service, tmp_path), "--json").json
    again = service("submit", written(tmp_path, first["request"]), "--json").json
    assert service("show", again["job_id"], "--json").json["request_hash"] == first["request_hash"]


def test_show_tells_the_history(service: Backtest, tmp_path: Path) -> None:
    shown = service("show", submitted(service, tmp_path))
    assert shown.code == 0
    assert "TESTUSDT" in shown.out
    assert "queued" in shown.out


def test_show_passes_on_how_a_stage_is_shared(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    lease = taken(connection, job_id)
    leases.start_stage(connection, lease, Stage.STAGE_A, 10)
    helped(connection, planned(connection, lease))
    said = "stage A: 0 of 3 shards done, 1 running on 1 worker, 2 open"
    assert said in service("show", job_id).out
    sharing = service("show", job_id, "--json").json["sharing"]
    assert (sharing["said"], sharing["strip"]) == (
        said,
        [["running", "host-7", 1], ["open", None, 2]],
    )


def test_cancel_ends_a_queued_job_and_may_be_repeated(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    states = [service("cancel", job_id, "--json").json["state"] for _ in range(2)]
    assert states == ["cancelled", "cancelled"]


def test_cancelling_a_job_that_has_succeeded_says_so(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    assert service("cancel", job_id).out == f"job {job_id} has already succeeded\n"


def test_top_shows_parameters_as_columns(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    shown = service("top", job_id, "--limit", 2)
    assert "12.50" in shown.out
    assert "ranked by total return ▼" in shown.out
    assert "all: cross ma sma" in shown.out
    assert "slow" in shown.out
    assert [row["rank"] for row in service("top", job_id, "--json").json] == [1, 2, 3, 4]


def test_top_of_a_queued_job_says_there_is_nothing_yet(service: Backtest, tmp_path: Path) -> None:
    assert "no variants yet" in service("top", submitted(service, tmp_path)).out


def test_watching_a_succeeded_job_prints_the_top_and_exits_0(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    watched = service("watch", job_id)
    assert watched.code == 0
    assert "12.50" in watched.out


def test_watching_as_json_prints_the_last_status(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    assert service("watch", job_id, "--json").json["state"] == "succeeded"


def test_watching_a_cancelled_job_exits_1(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    service("cancel", job_id)
    assert service("watch", job_id).code == 1


def test_watching_a_failed_job_exits_1_and_says_why(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    failure = Failure("no_market_data", "No bar there.", {})
    leases.end(connection, taken(connection, job_id), State.FAILED, failure)
    watched = service("watch", job_id)
    assert watched.code == 1
    assert "failed" in watched.out.splitlines()[0]
    assert "No bar there." in watched.out
    assert "no_market_data" in watched.out


def test_submit_watch_follows_the_job_to_its_end(
    service: Backtest, served: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = uuid4()
    become(monkeypatch, served, user)
    query = "SELECT job_id FROM backtest_jobs WHERE user_id = %s"

    def cancel_when_it_appears() -> None:
        deadline = time.monotonic() + 20
        with psycopg.connect(served.dsn, autocommit=True) as conn:
            while (row := conn.execute(query, (user,)).fetchone()) is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            jobs.cancel(conn, UUID(str(row[0])), client=Client.CLI)

    other = threading.Thread(target=cancel_when_it_appears)
    other.start()
    ended = service("submit", written(tmp_path, REQUEST), "--watch")
    other.join()
    assert ended.code == 1
    assert "cancelled" in ended.out


def test_report_prints_the_table(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    assert "Num. Trades" in service("report", job_id).out


def test_a_report_says_how_the_neighbours_did_where_that_was_asked(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    for answers, said in ((None, False), (answered(), True)):
        job_id = submitted(service, tmp_path)
        finish(connection, job_id, answers=answers)
        out = " ".join(service("report", job_id, "--rank", "4").out.split())
        line = "4 neighbours: median -0.90 %, worst -67.25 %; 2 with exactly its trades"
        assert (line in out) is said
    row = service("top", job_id, "--limit", "1", "--json").json[0]
    assert row["beside_json"] == {name: BESIDE[name] for name in BESIDE if name != "variants"}


def test_a_report_names_fills_that_are_not_at_closes(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    fills = {"entry_fill": "next_open", "stop_fill": "intrabar"}
    for execution, said in (({}, ""), (fills, ", entries at the next open, stops inside bars")):
        job_id = submitted(service, tmp_path, template__execution=execution)
        finish(connection, job_id)
        title = service("report", job_id).out.partition(f"Variant 1 of job {job_id}")[2]
        assert title.splitlines()[0] == said


def test_report_writes_a_page_with_prices(
    service: Backtest, served: Api, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id, served.candles)
    file = tmp_path / "pages" / "best.html"
    ended = service("report", job_id, "--html", file)
    assert ended.code == 0, ended.err
    assert "TESTUSDT" in file.read_text()


def test_a_page_is_not_made_of_other_candles_than_the_job_was(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = service("report", job_id, "--html", tmp_path / "best.html")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "candles of this job's range are no longer those" in ended.err
    assert not (tmp_path / "best.html").exists()


def test_a_page_for_a_variant_without_trades_is_refused(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = service("report", job_id, "--rank", 2, "--html", tmp_path / "second.html")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "top_trades_n" in ended.err
    assert not (tmp_path / "second.html").exists()


def test_a_page_for_trades_that_had_no_room_says_what_to_do(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    connection.execute(
        "UPDATE backtest_job_top_variants"
        " SET trades_json = NULL, equity_json = NULL, trades_omitted = true"
        " WHERE rank = 1 AND job_id = %s",
        (job_id,),
    )
    ended = service("report", job_id, "--rank", 1, "--html", tmp_path / "first.html")
    assert ended.code == 2
    assert "32 MiB (result_bytes_max)" in ended.err


def test_a_rank_that_does_not_exist_is_refused(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]
) -> None:
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = service("report", job_id, "--rank", 9)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
