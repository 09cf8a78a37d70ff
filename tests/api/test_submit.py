"""Submitting a request: what is stored, what is returned, keys, quota, the variants of a job."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.request import example
from tests.api.running import Api, Caller, running
from tests.making_jobs import REQUEST, changed, finish

JOBS = "/backtests/jobs"


def submit(user: Caller, document: Any = REQUEST, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return user.post(JOBS, json=document, headers=headers)


def count(user: Caller) -> int:
    return len(user.get(JOBS).json()["items"])


def test_a_request_becomes_a_queued_job(user: Caller) -> None:
    answer = submit(user, REQUEST | {"name": "mine", "note": "why"})
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"{JOBS}/{job['job_id']}"
    assert (job["state"], job["name"], job["note"]) == ("queued", "mine", "why")
    assert codes(job["warnings"]) == ["stops_at_closes"]
    assert job["estimate"]["stage_a_variants"] == 8
    stored = user.get(answer.headers["Location"]).json()
    assert {name: job[name] for name in stored} == stored


def test_name_and_note_are_outside_the_hashes(user: Caller) -> None:
    first = submit(user).json()
    second = submit(user, REQUEST | {"name": "mine"}).json()
    assert first["request_hash"] == second["request_hash"]
    assert "name" not in second["request"]


def test_a_retry_under_a_key_returns_the_same_job(user: Caller) -> None:
    first = submit(user, key="once")
    second = submit(user, REQUEST | {"name": "renamed"}, key="once")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["job_id"] == second.json()["job_id"]
    assert second.headers["Location"] == first.headers["Location"]
    assert count(user) == 1


def test_another_request_under_a_key_is_a_conflict(user: Caller) -> None:
    submit(user, key="once")
    answer = submit(user, changed(top_k=3), key="once")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_keys_of_parallel_submissions_give_one_job(user: Caller) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(submit(user, key="once"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["job_id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_bad_key_is_refused(user: Caller, key: str) -> None:
    answer = submit(user, key=key)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["path"] == "idempotency_key"


def test_a_full_quota_refuses_but_for_a_job_that_is_there(user: Caller) -> None:
    submit(user, key="first")
    submit(user)
    submit(user)
    answer = submit(user)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "quota_exceeded")
    assert submit(user, key="first").status_code == 200
    assert count(user) == 3


def test_an_unknown_instrument_is_refused_with_those_that_exist(user: Caller) -> None:
    answer = submit(user, changed(template__instrument_id__symbol="TESTUSD"))
    (detail,) = answer.json()["error"]["details"]
    assert (answer.status_code, detail["path"]) == (422, "template.instrument_id")
    assert "TESTUSDT" in detail["message"]


def test_nothing_is_stored_of_what_is_refused(user: Caller) -> None:
    assert submit(user, example() | {"top_k": 0}).status_code == 422
    assert count(user) == 0


# -------------------------------------------------------------------------------------- estimate


BEFORE_ALL = {"start": "2020-01-01", "end": "2020-02-01"}


def codes(warnings: list[dict[str, Any]]) -> list[str]:
    return [warning["code"] for warning in warnings]


def estimate(user: Caller, document: Any) -> dict[str, Any]:
    answer = user.post("/backtests/estimate", json=document)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_estimate_says_what_would_be_computed_and_stores_nothing(user: Caller) -> None:
    found = estimate(user, REQUEST)
    assert found["accepted"]
    assert (found["errors"], found["same_as"]) == ([], None)
    assert codes(found["warnings"]) == ["stops_at_closes"]
    sizes = ("stage_a_variants", "stage_b_variants", "risk_combinations")
    assert [found[name] for name in sizes] == [8, 16, 2]
    assert found["coverage"]["bars_present"] == 192
    assert found["request"] == submit(user).json()["request"]
    assert count(user) == 1


def test_an_estimate_warns_as_a_submission_does(user: Caller) -> None:
    document = changed(time_range__start="2023-11-01T00:00:00Z")
    warnings = estimate(user, document)["warnings"]
    assert "coverage_partial" in {warning["code"] for warning in warnings}
    assert submit(user, document).json()["warnings"] == warnings


def test_stops_inside_bars_are_warned_of_by_nobody(user: Caller) -> None:
    document = changed(template__execution={"stop_fill": "intrabar"})
    assert estimate(user, document)["warnings"] == []
    assert submit(user, document).json()["warnings"] == []


def test_a_refused_range_does_not_hide_where_stops_are_seen(user: Caller) -> None:
    found = estimate(user, changed(time_range=BEFORE_ALL))
    assert [error["path"] for error in found["errors"]] == ["time_range"]
    assert codes(found["warnings"]) == ["stops_at_closes"]


def test_an_estimate_names_a_finished_job_of_the_same_request(
    user: Caller, api: Api, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user).json()["job_id"]
    assert estimate(user, REQUEST)["same_as"] is None
    finish(stored, job_id)
    assert estimate(user, REQUEST)["same_as"] == job_id
    assert estimate(user, changed(top_k=3))["same_as"] is None
    assert estimate(api.new_user(), REQUEST)["same_as"] is None


def test_what_coverage_refuses_is_an_estimate_that_is_not_accepted(user: Caller) -> None:
    found = estimate(user, changed(template__instrument_id__symbol="NOUSDT"))
    assert not found["accepted"]
    assert found["errors"][0]["path"] == "template.instrument_id"
    assert (found["stage_a_variants"], found["coverage"]) == (8, None)


def test_what_a_guard_refuses_is_counted_and_not_accepted(user: Caller) -> None:
    huge = {"mode": "range", "start": 2, "stop_incl": 20_000, "step": 1}
    found = estimate(
        user,
        changed(
            template__indicator_grids__0__params__fast=huge,
            template__indicator_grids__0__params__slow=huge,
        ),
    )
    assert not found["accepted"]
    assert {error["code"] for error in found["errors"]} == {"guard_exceeded"}
    assert found["stage_a_variants"] > 100_000_000
    assert found["request"]["template"]["timeframe"] == "15m"


def test_what_cannot_be_read_is_no_estimate(user: Caller) -> None:
    assert user.post("/backtests/estimate", json={"top_k": "many"}).status_code == 422


# ------------------------------------------------------------------- when the candles are not there


@pytest.fixture
def lonely_api(own_database: str, tmp_path: Path) -> Iterator[Api]:
    """An API whose candle source does not answer."""
    changes = {"ROEHUB_CANDLES_DIR": "", "CH_HOST": "127.0.0.1", "CH_PORT": "1"}
    with running(own_database, tmp_path, tmp_path, changes=changes) as api:
        yield api


def test_without_a_candle_source_a_job_is_stored_with_a_warning(lonely_api: Api) -> None:
    answer = submit(lonely_api.a)
    assert answer.status_code == 201, answer.text
    assert codes(answer.json()["warnings"]) == ["coverage_unknown", "stops_at_closes"]
    assert answer.json()["coverage"] is None
    for method, path, values in (
        ("POST", "/backtests/estimate", {"json": REQUEST}),
        ("GET", "/backtests/instruments", {}),
        ("GET", f"{JOBS}/{answer.json()['job_id']}/bars", {}),
    ):
        refused = lonely_api.a.call(method, path, **values)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0


def test_a_retry_finds_its_job_though_the_candles_are_gone(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    with running(own_database, candles, tmp_path / "first") as api:
        first, user_id, secret = submit(api.a, key="once"), api.user_id, api.secret
    empty = tmp_path / "empty"
    empty.mkdir()
    with running(own_database, empty, tmp_path / "second", user_id=user_id, secret=secret) as api:
        assert submit(api.a, key="once").json()["job_id"] == first.json()["job_id"]
        assert submit(api.a).status_code == 422


# --------------------------------------------------------------------------- variants of a job


@pytest.fixture
def finished(user: Caller, stored: psycopg.Connection[Any]) -> str:
    job_id = str(submit(user).json()["job_id"])
    finish(stored, job_id)
    return job_id


def variant(user: Caller, job_id: str, space: str, index: int) -> dict[str, Any]:
    path = {"base": "base", "variant": "by-index"}[space]
    answer = user.get(f"{JOBS}/{job_id}/variants/{path}/{index}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_any_variant_opens_as_a_request_of_its_own(user: Caller, finished: str) -> None:
    found = variant(user, finished, "variant", 3)
    assert (found["space"], found["index"], found["base_index"]) == ("variant", 3, 1)
    assert found["payload_json"]["risk"]["sl"] == 2
    assert found["request"]["top_k"] == found["request"]["preselect"] == 1
    assert found["idempotency_key"] == f"variant:{finished}:variant:3"
    sized = estimate(user, found["request"])
    assert (sized["stage_a_variants"], sized["stage_b_variants"]) == (1, 1)


def test_a_base_variant_has_no_risk_levels(user: Caller, finished: str) -> None:
    found = variant(user, finished, "base", 7)
    assert found["payload_json"]["risk"] == {"sl": None, "tp": None, "tsl": None}
    assert found["idempotency_key"] == f"variant:{finished}:base:7"


def test_a_stored_variant_says_its_rank(user: Caller, finished: str) -> None:
    assert variant(user, finished, "variant", 2)["row"] == 1
    assert variant(user, finished, "variant", 3)["row"] is None


@pytest.mark.parametrize("path", ["base/8", "by-index/16", "by-index/9223372036854775807"])
def test_an_index_outside_the_grid_is_not_found(user: Caller, finished: str, path: str) -> None:
    answer = user.get(f"{JOBS}/{finished}/variants/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_variant_is_found_again_under_its_key(user: Caller, finished: str) -> None:
    found = variant(user, finished, "variant", 3)
    first = submit(user, found["request"], key=found["idempotency_key"])
    assert first.status_code == 201, first.text
    second = submit(user, found["request"] | {"name": "x"}, key=found["idempotency_key"])
    assert (second.status_code, second.json()["job_id"]) == (200, first.json()["job_id"])


def test_a_variant_is_found_again_by_whoever_writes_numbers_otherwise(
    user: Caller, finished: str
) -> None:
    found = variant(user, finished, "variant", 3)
    python = json.dumps(found["request"])
    javascript = re.sub(r"(\d)\.0(?=[,}\]])", r"\1", python)
    assert javascript != python
    key = {"Idempotency-Key": found["idempotency_key"], "Content-Type": "application/json"}
    first, second = (user.post(JOBS, content=text, headers=key) for text in (python, javascript))
    assert (first.status_code, second.status_code) == (201, 200), second.text
    assert second.json()["job_id"] == first.json()["job_id"]


def test_a_cancelled_variant_is_replaced(user: Caller, finished: str) -> None:
    found = variant(user, finished, "base", 1)
    first = submit(user, found["request"], key=found["idempotency_key"]).json()
    user.post(f"{JOBS}/{first['job_id']}/cancel")
    second = submit(user, found["request"], key=found["idempotency_key"])
    assert second.status_code == 201, second.text
    assert second.json()["job_id"] != first["job_id"]
    assert user.get(f"{JOBS}/{first['job_id']}").json()["state"] == "cancelled"


def test_a_cancelled_job_under_a_key_of_ones_own_is_kept(user: Caller) -> None:
    first = submit(user, key="mine").json()
    user.post(f"{JOBS}/{first['job_id']}/cancel")
    assert submit(user, key="mine").json()["job_id"] == first["job_id"]


def test_a_variant_counts_in_the_quota(user: Caller, finished: str) -> None:
    for _ in range(3):
        assert submit(user).status_code == 201
    found = variant(user, finished, "base", 1)
    answer = submit(user, found["request"], key=found["idempotency_key"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "quota_exceeded")


@pytest.mark.parametrize(
    "key",
    [
        "variant:mine",
        "variant:{job}:variant:99",
        "variant:{job}:variant:03",
        "variant:{job}:risk:3",
        "variant:{stranger}:variant:3",
        "variant:00000000-0000-4000-8000-00000000dead:variant:3",
        "variant:{job}:variant:4",
    ],
)
def test_a_reserved_key_is_good_for_its_own_variant_only(
    user: Caller, api: Api, finished: str, key: str
) -> None:
    found = variant(user, finished, "variant", 3)
    stranger = submit(api.new_user()).json()["job_id"]
    answer = submit(user, found["request"], key=key.format(job=finished, stranger=stranger))
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["path"] == "idempotency_key"
