"""Names, notes, filters, strategies: what makes many jobs bearable."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import REQUEST, Backtest, changed, finish, submitted, written


def submit(service: Backtest, folder: Path, *options: str, **changes: Any) -> str:
    ended = service("submit", written(folder, changed(**changes)), "--json", *options)
    assert ended.code == 0, ended.err
    return str(ended.json["job_id"])


def ids(service: Backtest, *options: object) -> list[str]:
    ended = service("jobs", "--json", *options)
    assert ended.code == 0, ended.err
    return [job["job_id"] for job in ended.json]


def test_a_job_is_submitted_with_a_name_and_a_note(service: Backtest, tmp_path: Path) -> None:
    job_id = submit(service, tmp_path, "--name", "cross [15m]", "--note", "first try")
    assert "cross [15m]" in service("jobs").out
    shown = service("show", job_id)
    assert "cross [15m]" in shown.out
    assert "first try" in shown.out
    request = service("show", job_id, "--json").json["request"]
    assert not {"name", "note"} & set(request)


def test_a_job_is_named_later_and_loses_its_name_again(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    assert service("name", job_id[:8], "better").out == f"job {job_id} is called better\n"
    noted = service("name", job_id, "--note", "why", "--json").json
    assert (noted["name"], noted["note"]) == ("better", "why")
    assert service("name", job_id, "").out == f"job {job_id} has no name\n"
    assert service("show", job_id, "--json").json["note"] == "why"


def test_a_name_that_is_too_long_is_refused(service: Backtest, tmp_path: Path) -> None:
    ended = service("submit", written(tmp_path, REQUEST), "--name", "n" * 121)
    assert (ended.code, ended.out) == (2, "")
    assert "  name: " in ended.err
    assert ids(service) == []
    assert service("name", "abcd").code == 2


def test_jobs_are_found_by_name_id_and_symbol(service: Backtest, tmp_path: Path) -> None:
    first = submit(service, tmp_path, "--name", "Alpha")
    second = submit(service, tmp_path, "--name", "beta")
    assert ids(service, "--search", "alp") == [first]
    assert ids(service, "--search", second[:13]) == [second]
    assert ids(service, "--symbol", "TESTUSDT") == [second, first]
    assert ids(service, "--symbol", "OTHER") == []
    assert service("jobs", "--symbol", "OTHER").out == "no such jobs\n"


def test_a_list_goes_over_as_many_pages_as_it_takes(
    service: Backtest,
    tmp_path: Path,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.client.PAGE", 2)
    job_id = submitted(service, tmp_path)
    connection.execute(
        "INSERT INTO backtest_jobs (user_id, mode, state, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash)"
        " SELECT user_id, mode, state, request_json, request_hash, engine_params_hash,"
        " backtest_runtime_config_hash FROM backtest_jobs, generate_series(1, 6)"
        " WHERE job_id = %s",
        (job_id,),
    )
    everything = ids(service, "--limit", 100)
    assert (len(everything), len(set(everything)), everything[-1]) == (7, 7, job_id)
    assert ids(service, "--limit", 5) == everything[:5]


def test_several_jobs_are_cancelled_at_once_or_none(service: Backtest, tmp_path: Path) -> None:
    first, second = submitted(service, tmp_path), submitted(service, tmp_path)
    unknown = "0" * 32
    refused = service("cancel", first, unknown)
    assert (refused.code, refused.out) == (2, "")
    assert service("show", first, "--json").json["state"] == "queued"
    ended = service("cancel", first[:8], second)
    assert ended.out == f"job {first} is cancelled\njob {second} is cancelled\n"
    again = service("cancel", first, second, "--json").json
    assert [job["state"] for job in again] == ["cancelled"] * 2


@pytest.fixture
def kept(service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any]) -> str:
    """A strategy made of the second variant of a finished job; returns the job's id."""
    job_id = submitted(service, tmp_path)
    finish(connection, job_id)
    ended = service("strategies", "save", "slow cross", "--job", job_id[:8], "--rank", 2)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("kept slow cross (")
    return job_id


def test_a_variant_is_kept_as_a_strategy_and_listed(service: Backtest, kept: str) -> None:
    (item,) = service("strategies", "list", "--json").json
    row = service("top", kept, "--json").json[1]
    assert (item["name"], item["source_job_id"]) == ("slow cross", kept)
    assert item["source_variant_key"] == row["variant_key"]
    shown = service("strategies", "list").out
    assert "slow cross" in shown
    assert "ma.cross" in shown


def test_a_strategy_runs_again_on_another_range(
    service: Backtest, tmp_path: Path, kept: str
) -> None:
    overrides = tmp_path / "overrides.json"
    overrides.write_text(
        '{"time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z"}}'
    )
    ended = service("submit", "--strategy", "slow cross", "--overrides", overrides, "--json")
    assert ended.code == 0, ended.err
    shown = service("show", ended.json["job_id"], "--json").json
    assert (shown["mode"], shown["spec_payload"]["timeframe"]) == ("saved", "15m")
    assert shown["request"]["time_range"]["end"] == "2024-01-02T00:00:00Z"


def test_a_template_is_kept_from_the_file_of_a_request(service: Backtest, tmp_path: Path) -> None:
    file = written(tmp_path, REQUEST)
    saved = service("strategies", "save", "all", "--file", file, "--note", "n", "--json").json
    assert (saved["name"], saved["note"], saved["source_job_id"]) == ("all", "n", None)
    taken = service("strategies", "save", "all", "--file", file)
    assert (taken.code, taken.err.count("\n")) == (2, 1)


def test_a_strategy_is_deleted_and_its_name_unknown_then(service: Backtest, kept: str) -> None:
    assert service("strategies", "delete", "slow cross").out == "deleted slow cross\n"
    ended = service("strategies", "delete", "slow cross")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "'slow cross'" in ended.err
    assert "no strategies" in service("strategies", "list").out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "give the FILE of a request"),
        (("request.json", "--strategy", "x"), "FILE or --strategy"),
        (("request.json", "--overrides", "x"), "--overrides is for --strategy"),
    ],
)
def test_a_submission_is_of_a_file_or_of_a_strategy(
    service: Backtest, options: tuple[str], said: str
) -> None:
    ended = service("submit", *options)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert said in ended.err
