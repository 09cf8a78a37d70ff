"""One job: looked at, renamed, cancelled; ids and their beginnings."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from storage import leases
from storage.records import Failure, FailureCode, Lease, Stage, State
from tests.api.running import Caller
from tests.making_jobs import REQUEST, finish
from tests.storage.making import claim

JOBS = "/backtests/jobs"


def submit(user: Caller, **label: Any) -> str:
    answer = user.post(JOBS, json=REQUEST | label)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def status(user: Caller, job_id: str) -> dict[str, Any]:
    answer = user.get(f"{JOBS}/{job_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def running(stored: psycopg.Connection[Any], job_id: str) -> Lease:
    taken: Any = claim(stored, UUID(job_id))
    return Lease(UUID(job_id), taken.lease.locked_by, taken.lease.attempt, taken.lease.seconds)


def test_a_status_shows_the_job_and_nothing_of_its_lease(user: Caller) -> None:
    found = status(user, submit(user, name="sweep", note="first\ntry"))
    assert (found["name"], found["note"], found["state"]) == ("sweep", "first\ntry", "queued")
    assert found["request"]["template"]["instrument_id"] == {"market_id": 1, "symbol": "TESTUSDT"}
    assert found["coverage"]["bars_present"] == found["coverage"]["bars_expected"] == 192
    assert found["progress"] is None
    hidden = {"user_id", "locked_by", "lease_expires_at", "heartbeat_at", "next_dispatch_at"}
    assert not hidden & set(found)
    assert "last_error" not in found


def test_a_running_job_says_how_far_it_is(user: Caller, stored: psycopg.Connection[Any]) -> None:
    job_id = submit(user)
    lease = running(stored, job_id)
    leases.start_stage(stored, lease, Stage.STAGE_A, 1000)
    stored.execute(
        "UPDATE backtest_jobs SET processed_units = 250, progress_updated_at ="
        " (SELECT max(at) + interval '10 seconds' FROM backtest_job_events"
        "  WHERE job_id = %(id)s AND event = 'stage_started') WHERE job_id = %(id)s",
        {"id": job_id},
    )
    expected = {"stage": "stage_a", "done": 250, "total": 1000, "rate": 25.0, "eta": 30.0}
    assert status(user, job_id)["progress"] == expected
    (item,) = user.get(JOBS).json()["items"]
    assert item["progress"] == expected


def test_a_failed_job_says_why(user: Caller, stored: psycopg.Connection[Any]) -> None:
    job_id = submit(user)
    failure = Failure(FailureCode.STALLED, "no progress for 10 minutes", {"seconds": 600})
    leases.end(stored, running(stored, job_id), State.FAILED, failure)
    found = status(user, job_id)
    assert found["last_error"] == "no progress for 10 minutes"
    assert found["last_error_json"]["code"] == "stalled"
    assert found["verdict"]


def test_a_finished_job_comes_with_a_verdict(user: Caller, stored: psycopg.Connection[Any]) -> None:
    job_id = submit(user)
    finish(stored, job_id)
    assert any("12" in sentence for sentence in status(user, job_id)["verdict"])


# ------------------------------------------------------------------------------------------- ids


@pytest.mark.parametrize("spell", [str, str.upper, lambda job_id: job_id.replace("-", "")])
def test_an_id_may_be_spelled_in_several_ways(user: Caller, spell: Any) -> None:
    job_id = submit(user)
    assert status(user, spell(job_id))["job_id"] == job_id


@pytest.mark.parametrize("length", [4, 9, 20, 35])
def test_an_id_may_be_shortened(user: Caller, length: int) -> None:
    job_id = submit(user)
    assert status(user, job_id[:length])["job_id"] == job_id


def test_a_beginning_of_several_ids_is_ambiguous_and_names_them(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user)
    twin = job_id[:12] + ("e" if job_id[12] == "f" else "f") + job_id[13:]
    stored.execute(
        "INSERT INTO backtest_jobs (job_id, user_id, mode, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash) SELECT %s, user_id, mode,"
        " request_json, request_hash, engine_params_hash, backtest_runtime_config_hash"
        " FROM backtest_jobs WHERE job_id = %s",
        [twin, job_id],
    )
    answer = user.get(f"{JOBS}/{job_id[:8]}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "ambiguous_id")
    named = " ".join(detail["message"] for detail in error["details"])
    assert job_id in named
    assert twin in named


def test_a_beginning_is_looked_up_among_ones_own_jobs_only(user: Caller, api: Any) -> None:
    job_id = submit(user)
    stranger = api.new_user()
    assert stranger.get(f"{JOBS}/{job_id[:8]}").status_code == 404
    answer = stranger.get(f"{JOBS}/{job_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


# ---------------------------------------------------------------------------------- name and note


def test_name_and_note_change_in_any_state_and_null_clears(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user, name="before", note="kept")
    finish(stored, job_id)
    answer = user.patch(f"{JOBS}/{job_id}", json={"name": "after"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["note"]) == ("after", "kept")
    user.patch(f"{JOBS}/{job_id}", json={"note": None})
    assert (status(user, job_id)["name"], status(user, job_id)["note"]) == ("after", None)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"name": "x" * 121}, "name"),
        ({"name": " "}, "name"),
        ({"name": 7}, "name"),
        ({"name": "a\u0000b"}, None),
        ({"note": "x" * 4001}, "note"),
        ({"state": "cancelled"}, "state"),
        ([], "request"),
    ],
)
def test_what_is_no_name_is_refused(user: Caller, document: Any, path: str | None) -> None:
    job_id = submit(user, name="before")
    answer = user.patch(f"{JOBS}/{job_id}", json=document)
    assert answer.status_code == (400 if path is None else 422), answer.text
    if path is not None:
        assert answer.json()["error"]["details"][0]["path"] == path
    assert status(user, job_id)["name"] == "before"


# ---------------------------------------------------------------------------------------- cancel


def test_a_queued_job_is_cancelled_at_once_and_once(user: Caller) -> None:
    job_id = submit(user)
    answers = [user.post(f"{JOBS}/{job_id}/cancel") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["state"] == "cancelled"
    assert answers[0].content == answers[1].content
    events = user.get(f"{JOBS}/{job_id}/events").json()["items"]
    assert [event["event"] for event in events] == ["queued", "cancelled"]


def test_a_running_job_is_asked_to_stop(user: Caller, stored: psycopg.Connection[Any]) -> None:
    job_id = submit(user)
    running(stored, job_id)
    found = user.post(f"{JOBS}/{job_id}/cancel").json()
    assert found["state"] == "running"
    assert found["cancel_requested_at"] is not None


def test_a_finished_job_stays_as_it_is(user: Caller, stored: psycopg.Connection[Any]) -> None:
    job_id = submit(user)
    finish(stored, job_id)
    before = status(user, job_id)
    assert user.post(f"{JOBS}/{job_id}/cancel").json() == before


def test_several_jobs_are_cancelled_together(user: Caller) -> None:
    first, second = submit(user), submit(user)
    answer = user.post(f"{JOBS}/cancel", json={"ids": [second, first[:8], second]})
    assert answer.status_code == 200, answer.text
    assert [(item["job_id"], item["state"]) for item in answer.json()["items"]] == [
        (second, "cancelled"),
        (first, "cancelled"),
    ]


def test_none_is_cancelled_where_one_is_somebody_elses(user: Caller, api: Any) -> None:
    mine, theirs = submit(user), submit(api.new_user())
    answer = user.post(f"{JOBS}/cancel", json={"ids": [mine, theirs]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert status(user, mine)["state"] == "queued"


@pytest.mark.parametrize("given", [{}, {"ids": []}, {"ids": "x"}, {"ids": [7]}, {"ids": ["x"]}])
def test_ids_to_cancel_are_checked(user: Caller, given: Any) -> None:
    assert user.post(f"{JOBS}/cancel", json=given).status_code == 422
