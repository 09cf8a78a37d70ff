"""What users are told while an operator has paused the queue."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from storage import switches
from tests.api.running import Api, Caller
from tests.making_jobs import changed

REQUEST = changed(template__execution={"stop_fill": "intrabar"})
"""A request that nothing else is warned of."""

JOBS = "/backtests/jobs"
REASON = "new disks, until 18:00 UTC"


@pytest.fixture
def paused(stored: psycopg.Connection[Any]) -> Iterator[None]:
    switches.pause(stored, by="root@host", reason=REASON)
    yield
    switches.resume(stored, by="root@host")


def codes(answer: Any) -> list[str]:
    return [warning["code"] for warning in answer.json()["warnings"]]


def test_a_submission_is_accepted_and_told_that_it_waits(user: Caller, paused: None) -> None:
    answer = user.post(JOBS, json=REQUEST)
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    (warning,) = answer.json()["warnings"]
    assert (warning["code"], warning["path"]) == ("paused", None)
    assert REASON in warning["message"]
    assert "root@host" not in answer.text


def test_a_retry_is_told_so_as_well_until_its_job_has_ended(user: Caller, paused: None) -> None:
    key = {"Idempotency-Key": "once"}
    job_id = user.post(JOBS, json=REQUEST, headers=key).json()["job_id"]
    again = user.post(JOBS, json=REQUEST, headers=key)
    assert (again.status_code, codes(again)) == (200, ["paused"])
    user.post(f"{JOBS}/{job_id}/cancel")
    assert codes(user.post(JOBS, json=REQUEST, headers=key)) == []


def test_an_estimate_warns_before_anything_is_submitted(user: Caller, paused: None) -> None:
    assert codes(user.post("/backtests/estimate", json=REQUEST)) == ["paused"]


@pytest.mark.parametrize("query", ["", "?q=nothing"])
def test_a_list_says_since_when_and_why(user: Caller, paused: None, query: str) -> None:
    found = user.get(f"{JOBS}{query}").json()["paused"]
    assert set(found) == {"since", "reason"}
    assert found["reason"] == REASON


@pytest.mark.parametrize("query", ["", "?q=nothing"])
def test_nobody_is_told_anything_while_jobs_start(user: Caller, query: str) -> None:
    assert user.get(f"{JOBS}{query}").json()["paused"] is None
    assert codes(user.post(JOBS, json=REQUEST)) == []
    assert codes(user.post("/backtests/estimate", json=REQUEST)) == []


def test_a_pause_outlives_a_restart_of_the_api(api: Api, user: Caller, paused: None) -> None:
    api.restart()
    assert user.get(JOBS).json()["paused"]["reason"] == REASON
