"""The list of jobs: order, pages, filters, counts."""

import base64
import json
from typing import Any
from uuid import UUID

import psycopg
import pytest

from storage import jobs, leases
from storage.records import Stage
from tests.api.running import Caller
from tests.making_jobs import REQUEST, finish
from tests.storage.making import fail, reclaimed, save_shortlist, save_snapshot, variants

AN_ID = "8a6f3f0e-4f0f-4c5c-9a53-0d6f5c1b2e3d"

LIST = "/backtests/jobs"


def submit(user: Caller, **label: str) -> str:
    answer = user.post(LIST, json=REQUEST | label)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def found(user: Caller, **query: Any) -> dict[str, Any]:
    answer = user.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def ids(document: dict[str, Any]) -> list[str]:
    return [item["job_id"] for item in document["items"]]


def many(stored: psycopg.Connection[Any], user_id: UUID | None, count: int) -> list[str]:
    """Store copies of a job, half of them with one and the same time; returns ids in list order."""
    rows = stored.execute(
        """
        INSERT INTO backtest_jobs (user_id, mode, request_json, request_hash, engine_params_hash,
                                   backtest_runtime_config_hash, created_at, state, finished_at,
                                   next_dispatch_at, started_at, cancel_requested_at)
        SELECT user_id, mode, request_json, request_hash, engine_params_hash,
               backtest_runtime_config_hash,
               created_at - interval '1 day' - CASE number %% 2 WHEN 0 THEN interval '0'
                                               ELSE number * interval '1 millisecond' END,
               'cancelled', now(), NULL, NULL, now()
        FROM backtest_jobs, generate_series(1, %s) AS number
        WHERE user_id = %s
        RETURNING job_id, created_at
        """,
        [count, user_id],
    ).fetchall()
    ordered = sorted(rows, key=lambda row: (row[1], row[0]), reverse=True)
    return [str(job_id) for job_id, _ in ordered]


def test_an_empty_list_says_so(user: Caller) -> None:
    assert found(user) == {
        "items": [],
        "next_cursor": None,
        "counts": {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0},
        "paused": None,
    }


def test_an_item_says_what_a_list_shows(user: Caller) -> None:
    job_id = submit(user, name="my sweep")
    (item,) = found(user)["items"]
    assert {name: item[name] for name in item if name != "created_at"} == {
        "job_id": job_id,
        "name": "my sweep",
        "mode": "template",
        "state": "queued",
        "stage": None,
        "progress": None,
        "attempt": 0,
        "started_at": None,
        "finished_at": None,
        "cancel_requested_at": None,
        "market_id": 1,
        "symbol": "TESTUSDT",
        "timeframe": "15m",
        "start": "2024-01-01T00:00:00Z",
        "end": "2024-01-03T00:00:00Z",
        "primary_metric": "total_return_pct",
        "best": None,
        "best_infinite": False,
        "last_error": None,
    }


def test_a_finished_job_shows_its_best_metric_and_is_counted(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    finish(stored, submit(user))
    submit(user)
    document = found(user)
    assert [(item["state"], item["best"]) for item in document["items"]] == [
        ("queued", None),
        ("succeeded", 12.5),
    ]
    assert document["counts"] == {
        "queued": 1,
        "running": 0,
        "succeeded": 1,
        "failed": 0,
        "cancelled": 0,
    }


@pytest.mark.parametrize("limit", [7, 250])
def test_a_walk_by_cursor_meets_every_job_once_in_order(
    user: Caller, stored: psycopg.Connection[Any], limit: int
) -> None:
    newest = submit(user)
    expected = [newest, *many(stored, user.user_id, 1000)]
    walked: list[str] = []
    cursor = None
    while True:
        query = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        document = found(user, **query)
        walked += ids(document)
        assert len(document["items"]) <= limit
        cursor = document["next_cursor"]
        if cursor is None:
            break
    assert walked == expected
    assert document["counts"]["cancelled"] == 1000


def test_more_than_a_thousand_ended_jobs_are_counted_as_1000_and_more(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    submit(user)
    many(stored, user.user_id, 1001)
    counts = found(user, limit=1)["counts"]
    assert (counts["cancelled"], counts["queued"]) == ("1000+", 1)


def test_active_jobs_are_counted_exactly_beside_ended_ones_that_are_too_many(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    submit(user)
    many(stored, user.user_id, 1001)
    for queued in (1, 2):
        counts = found(user)["counts"]
        assert (counts["queued"], counts["cancelled"]) == (queued, "1000+")
        submit(user)


@pytest.mark.parametrize("name", ["Würfel\u00a0👨\u200d👩\u200d👧", "幅\u3000広"])
def test_whatever_may_stand_in_a_name_is_found_by_it(user: Caller, name: str) -> None:
    job_id = submit(user, name=name)
    assert ids(found(user, q=name)) == [job_id]


def test_a_cursor_is_base64url_of_canonical_json(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    for _ in range(2):
        submit(user)
    document = found(user, limit=1)
    text = base64.urlsafe_b64decode(document["next_cursor"])
    (item,) = document["items"]
    expected = {"created_at": item["created_at"], "job_id": item["job_id"]}
    assert text == json.dumps(expected, sort_keys=True, separators=(",", ":")).encode()


def encoded(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "=" * 10,
        "A" * 5000,
        encoded([]),
        encoded({}),
        encoded({"created_at": "2024-01-01T00:00:00Z"}),
        encoded({"created_at": "yesterday", "job_id": AN_ID}),
        encoded({"created_at": 5, "job_id": AN_ID}),
        encoded({"created_at": "2024-01-01T00:00:00Z", "job_id": "7"}),
        encoded({"created_at": "0001-01-01T00:00:00+23:59", "job_id": AN_ID}),
        encoded({"created_at": "2024-01-01T00:00:00Z", "strategy_id": AN_ID}),
        encoded({"created_at": "2024-01-01T00:00:00Z", "job_id": AN_ID}),  # not canonical
    ],
)
def test_a_bad_cursor_is_refused(user: Caller, cursor: str) -> None:
    answer = user.get(LIST, params={"cursor": cursor})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["path"] == "cursor"


def test_the_list_is_filtered_by_state_symbol_name_and_id(user: Caller) -> None:
    first, second = submit(user, name="Alpha one"), submit(user, name="beta")
    user.post(f"{LIST}/{first}/cancel")
    assert ids(found(user, state="cancelled")) == [first]
    assert ids(found(user, state="queued")) == [second]
    assert ids(found(user, symbol="TESTUSDT")) == [second, first]
    assert ids(found(user, symbol="OTHER")) == []
    assert ids(found(user, q="alpha")) == [first]
    assert ids(found(user, q="one")) == []
    assert ids(found(user, q=second[:8])) == [second]
    assert ids(found(user, q="%")) == []


def rename(stored: psycopg.Connection[Any], user: Caller, job_id: str, name: str | None) -> None:
    assert user.user_id is not None
    jobs.describe(stored, user.user_id, UUID(job_id), changes={"name": name})


def listed_as_found(user: Caller) -> list[dict[str, Any]]:
    """The list, twice; each job in it as a search for its id shows it, which remembers nothing."""
    items: list[dict[str, Any]] = found(user)["items"]
    assert found(user)["items"] == items
    for item in items:
        assert found(user, q=item["job_id"])["items"] == [item]
    return items


def test_a_job_is_listed_as_it_is_now_whoever_changed_it(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    """The changes are those of other processes: this API hears nothing of them."""
    named, finished = submit(user, name="first"), submit(user)
    listed_as_found(user)
    finish(stored, finished)
    assert [item["best"] for item in listed_as_found(user)] == [12.5, None]
    lease = reclaimed(stored, UUID(named))
    assert listed_as_found(user)[1]["state"] == "running"
    leases.start_stage(stored, lease, Stage.STAGE_B, 16)
    assert listed_as_found(user)[1]["stage"] == "stage_b"
    leases.progress(stored, lease, Stage.STAGE_B, 4, 16)
    assert listed_as_found(user)[1]["progress"]["done"] == 4
    save_shortlist(stored, lease)
    save_snapshot(stored, lease, variants(1))
    assert listed_as_found(user)[1]["best"] == 100 / 3
    fail(stored, lease)
    assert listed_as_found(user)[1]["last_error"]
    for name in ("second", None):
        rename(stored, user, named, name)
        assert listed_as_found(user)[1]["name"] == name
    stored.execute("DELETE FROM backtest_jobs WHERE job_id = %s", [named])
    assert ids(found(user)) == [finished]
    assert [item["best"] for item in listed_as_found(user)] == [12.5]


def test_an_ended_job_that_changes_back_is_listed_so(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = submit(user, name="first")
    user.post(f"{LIST}/{job_id}/cancel")
    for name in ("first", "second", "first", "second"):
        rename(stored, user, job_id, name)
        assert [item["name"] for item in listed_as_found(user)] == [name]
