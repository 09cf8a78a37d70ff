"""The calls of operators: what they show, and to whom."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.operating import ADVICE
from engine.request import VERSION
from storage import leases, switches
from storage.operating import PATIENCE, Problem
from storage.records import Stage
from tests.api.running import ROOT, Api, Caller
from tests.storage.making import claimed, expire, submitted

READS = ("queue", "workers", "leases", "stuck", "events")
WRITES = ("pause", "resume")


@pytest.fixture
def operator(api: Api) -> Caller:
    token = api.token(uuid4(), role="operator")
    return api.caller({"Authorization": f"Bearer {token}"}, uuid4())


@pytest.fixture(autouse=True)
def empty(stored: psycopg.Connection[Any]) -> None:
    stored.execute("TRUNCATE backtest_jobs, backtest_switches CASCADE")


def age(stored: psycopg.Connection[Any], job_id: UUID, seconds: float, *columns: str) -> None:
    """Make these times of a job that long ago."""
    for column in columns:
        stored.execute(
            f"UPDATE backtest_jobs SET {column} = now() - make_interval(secs => %s)"
            " WHERE job_id = %s",
            [seconds, job_id],
        )


# --- who may


@pytest.mark.parametrize("path", READS)
def test_nobody_but_operators_may_look(user: Caller, operator: Caller, path: str) -> None:
    refused = user.get(f"/operate/{path}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert "--operator" in refused.text
    assert operator.get(f"/operate/{path}").status_code == 200


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("body", [{}, {"reason": 5}, []])
def test_nobody_but_operators_may_turn_anything(
    user: Caller, stored: psycopg.Connection[Any], path: str, body: Any
) -> None:
    assert user.post(f"/operate/{path}", json=body).status_code == 403
    assert stored.execute("SELECT FROM backtest_switches").rowcount == 0


def test_every_call_of_operators_is_described_as_refusing_others(api: Api) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    described = {path: paths[path] for path in paths if path.startswith("/operate/")}
    assert set(described) == {f"/operate/{name}" for name in (*READS, *WRITES)}
    assert all(
        "403" in call["responses"] for methods in described.values() for call in methods.values()
    )


def test_an_operator_sees_jobs_of_others_here_and_nowhere_else(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    job = submitted(stored)
    assert operator.get("/operate/queue").json()["queued"]["number"] == 1
    assert operator.get("/backtests/jobs").json()["items"] == []
    assert operator.get(f"/backtests/jobs/{job.job_id}").status_code == 403


# --- the queue


def test_the_queue_is_counted_by_state_and_age(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    ids = [submitted(stored).job_id for _ in range(4)]
    age(stored, ids[1], 61, "created_at")
    age(stored, ids[2], 90_000, "created_at")
    stored.execute("UPDATE backtest_jobs SET created_at = created_at WHERE job_id = %s", [ids[3]])
    claimed(stored)
    found = operator.get("/operate/queue").json()
    assert found["queued"]["number"] == 4
    numbers = {each["up_to"]: each["number"] for each in found["queued"]["ages"]}
    assert numbers == {60: 2, 600: 1, 3600: 0, 86_400: 0, None: 1}
    oldest = stored.execute("SELECT min(created_at) FROM backtest_jobs").fetchone()
    assert oldest is not None
    assert found["queued"]["oldest"] == oldest[0].isoformat().replace("+00:00", "Z")
    assert found["running"]["number"] == 1


def test_an_empty_queue_has_no_oldest_job(operator: Caller) -> None:
    found = operator.get("/operate/queue").json()
    assert found["queued"] == found["running"]
    assert (found["queued"]["number"], found["queued"]["oldest"]) == (0, None)
    assert found["ended"] == {"succeeded": 0, "failed": 0, "cancelled": 0}
    assert found["paused"] is None


def test_jobs_that_ended_in_the_last_hour_are_counted(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    for minutes in (1, 59, 61):
        lease = claimed(stored)
        leases.end(stored, lease, leases.State.CANCELLED)
        age(stored, lease.job_id, 60 * minutes, "finished_at")
    assert operator.get("/operate/queue").json()["ended"]["cancelled"] == 2


# --- leases and workers


def test_leases_name_owner_machine_and_beat_and_come_in_the_order_of_their_end(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    alive, gone = claimed(stored), claimed(stored)
    leases.start_stage(stored, alive, Stage.STAGE_B, 10)
    leases.progress(stored, alive, Stage.STAGE_B, 4, 10)
    expire(stored, gone.job_id)
    first, second = operator.get("/operate/leases").json()["items"]
    assert (first["job_id"], first["expired"]) == (str(gone.job_id), True)
    assert (second["job_id"], second["expired"]) == (str(alive.job_id), False)
    assert (second["owner"], second["host"]) == ("host-1-0000000a", "host")
    progress = second["progress"]
    assert (progress["stage"], progress["done"], progress["total"]) == ("stage_b", 4, 10)
    assert second["heartbeat_at"] <= second["lease_expires_at"]


def test_workers_are_the_machines_whose_leases_hold(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    owned, expired, released = (claimed(stored) for _ in range(3))
    expire(stored, expired.job_id)
    leases.release(stored, released)
    (host,) = operator.get("/operate/workers").json()["items"]
    assert (host["host"], host["jobs"], host["owners"]) == ("host", 1, [owned.locked_by])


# --- what is stuck


def problems(operator: Caller) -> dict[str, str]:
    answer = operator.get("/operate/stuck").json()
    assert answer["found"] == len(answer["items"])
    return {item["job_id"]: item["problem"] for item in answer["items"]}


Make = Callable[[psycopg.Connection[Any]], UUID]


def _owned(stored: psycopg.Connection[Any], seconds: float, *columns: str) -> UUID:
    lease = claimed(stored)
    leases.progress(stored, lease, Stage.STAGE_A, 1, 2)
    age(stored, lease.job_id, seconds, *columns)
    return lease.job_id


def expired(stored: psycopg.Connection[Any], seconds: float) -> UUID:
    return _owned(stored, seconds, "lease_expires_at")


def silent(stored: psycopg.Connection[Any], seconds: float) -> UUID:
    # Its lease is as long as it is old now: half of it is over.
    job_id = _owned(stored, seconds, "heartbeat_at")
    stored.execute(
        "UPDATE backtest_jobs SET lease_expires_at = now() + interval '30 s' WHERE job_id = %s",
        [job_id],
    )
    return job_id


def unheard(stored: psycopg.Connection[Any], seconds: float) -> UUID:
    return _owned(stored, seconds, "cancel_requested_at")


def unfinished(stored: psycopg.Connection[Any], seconds: float) -> UUID:
    lease = claimed(stored)
    leases.start_stage(stored, lease, Stage.FINALIZING)
    stored.execute(
        "UPDATE backtest_job_events SET at = now() - make_interval(secs => %s)"
        " WHERE job_id = %s AND event = 'stage_started'",
        [seconds, lease.job_id],
    )
    return lease.job_id


def idle(stored: psycopg.Connection[Any], seconds: float) -> UUID:
    return _owned(stored, seconds, "progress_updated_at")


RUNNING = [
    (expired, "expired", Problem.EXPIRED_LEASE),
    (unheard, "cancel", Problem.CANCEL_NOT_HEARD),
    (unfinished, "finalizing", Problem.FINALIZING_LONG),
    (idle, "progress", Problem.NO_PROGRESS),
]


@pytest.mark.parametrize(("make", "limit", "problem"), RUNNING)
def test_a_running_job_is_stuck_after_a_while_and_not_before(
    operator: Caller,
    stored: psycopg.Connection[Any],
    make: Callable[[psycopg.Connection[Any], float], UUID],
    limit: str,
    problem: Problem,
) -> None:
    make(stored, PATIENCE[limit] - 5)
    assert problems(operator) == {}
    late = make(stored, PATIENCE[limit] + 1)
    assert problems(operator) == {str(late): problem}


def test_an_owner_is_silent_when_half_of_its_lease_is_over(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    silent(stored, 25)
    assert problems(operator) == {}
    late = silent(stored, 31)
    assert problems(operator) == {str(late): Problem.SILENT_OWNER}


def test_a_job_without_an_owner_waits_for_the_end_of_a_pause(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = expired(stored, 11)
    switches.pause(stored, by="root@host", reason=None)
    assert problems(operator) == {str(job_id): Problem.PAUSED}


@pytest.fixture
def waiting(stored: psycopg.Connection[Any]) -> UUID:
    """A job that has been queued for long."""
    job_id = submitted(stored).job_id
    age(stored, job_id, PATIENCE["queued"] + 1, "created_at", "next_dispatch_at")
    return job_id


def sent(stored: psycopg.Connection[Any], job_id: UUID) -> None:
    stored.execute(
        "UPDATE backtest_jobs SET dispatch_count = 3, next_dispatch_at = now() + interval '20 s'"
        " WHERE job_id = %s",
        [job_id],
    )


def test_a_job_that_was_queued_a_moment_ago_is_not_stuck(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    age(stored, submitted(stored).job_id, PATIENCE["queued"] - 5, "created_at")
    assert problems(operator) == {}


def test_without_a_scheduler_a_queued_job_is_not_dispatched(
    operator: Caller, waiting: UUID
) -> None:
    assert problems(operator) == {str(waiting): Problem.NOT_DISPATCHED}


def test_a_job_whose_wake_ups_nobody_takes_has_no_worker(
    operator: Caller, stored: psycopg.Connection[Any], waiting: UUID
) -> None:
    sent(stored, waiting)
    assert problems(operator) == {str(waiting): Problem.NO_WORKER}


def test_a_job_behind_busy_workers_waits_its_turn(
    operator: Caller, stored: psycopg.Connection[Any], waiting: UUID
) -> None:
    sent(stored, submitted(stored).job_id)
    claimed(stored)
    assert problems(operator) == {str(waiting): Problem.WORKERS_BUSY}


def test_a_job_of_a_newer_release_waits_for_its_workers(
    operator: Caller, stored: psycopg.Connection[Any], waiting: UUID
) -> None:
    stored.execute(
        "UPDATE backtest_jobs SET request_json = jsonb_build_object('version', %s::int)",
        [VERSION + 1],
    )
    assert problems(operator) == {str(waiting): Problem.NEWER_VERSION}


def test_in_a_pause_every_queued_job_waits_for_its_end(
    operator: Caller, stored: psycopg.Connection[Any], waiting: UUID
) -> None:
    switches.pause(stored, by="root@host", reason=None)
    assert problems(operator) == {str(waiting): Problem.PAUSED}


def test_what_is_stuck_says_since_when_and_what_to_do(
    operator: Caller, stored: psycopg.Connection[Any], waiting: UUID
) -> None:
    (item,) = operator.get("/operate/stuck").json()["items"]
    assert item["said"] == ADVICE[Problem.NOT_DISPATCHED].said
    assert PATIENCE["queued"] < item["seconds"] < PATIENCE["queued"] + 60
    assert item["runbook"].startswith("docs/runbook.md#")


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_an_advice_that_leads_into_the_runbook(problem: Problem) -> None:
    import re

    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    assert ADVICE[problem].section in anchors


# --- events


def test_the_last_events_of_all_jobs_come_newest_first(
    operator: Caller, stored: psycopg.Connection[Any]
) -> None:
    lease = claimed(stored)
    leases.release(stored, lease)
    items = operator.get("/operate/events", params={"limit": 2}).json()["items"]
    assert [item["event"] for item in items] == ["lease_released", "claimed"]
    assert {item["job_id"] for item in items} == {str(lease.job_id)}
    assert len(operator.get("/operate/events").json()["items"]) == 3


# --- the pause


@pytest.fixture
def resumed(stored: psycopg.Connection[Any]) -> Iterator[None]:
    yield
    stored.execute("DELETE FROM backtest_switches")


def test_an_operator_pauses_and_resumes_and_may_repeat_it(operator: Caller, resumed: None) -> None:
    first = operator.post("/operate/pause", json={"reason": "new disks"}).json()
    assert first["changed"] is True
    assert first["paused"]["reason"] == "new disks"
    assert first["paused"]["by"].startswith("user ")
    again = operator.post("/operate/pause", json={}).json()
    assert again == first | {"changed": False}
    assert operator.get("/operate/queue").json()["paused"] == first["paused"]
    ended = {"changed": True, "paused": None}
    assert operator.post("/operate/resume").json() == ended
    assert operator.post("/operate/resume").json() == ended | {"changed": False}


@pytest.mark.parametrize(
    "body",
    [{"reason": ""}, {"reason": "x" * 501}, {"reason": 5}, {"why": 1}, [], {"reason": "a\nb"}],
)
def test_a_reason_that_cannot_be_shown_is_refused(
    operator: Caller, stored: psycopg.Connection[Any], body: Any
) -> None:
    assert operator.post("/operate/pause", json=body).status_code == 422
    assert stored.execute("SELECT FROM backtest_switches").rowcount == 0
