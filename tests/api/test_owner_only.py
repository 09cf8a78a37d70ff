"""Nobody sees or changes anything of another user, through any call that there is."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.api.running import Api, Caller
from tests.making_jobs import REQUEST, finish
from tests.storage.making import answered

TABLES = (
    "backtest_jobs",
    "backtest_job_events",
    "backtest_job_top_variants",
    "backtest_job_stage_a_shortlist",
    "backtest_job_validation",
    "backtest_job_surfaces",
    "backtest_job_plans",
    "backtest_job_shards",
    "backtest_strategies",
    "backtest_switches",
)
METHODS = ("get", "post", "put", "patch", "delete")
PUBLIC_ANSWERS = frozenset({"/backtests/indicators", "/backtests/instruments"})


class Owner:
    """A user with a finished job, a queued one and a strategy, all of which have telling names."""

    def __init__(self, caller: Caller, stored: psycopg.Connection[Any]) -> None:
        self.caller = caller
        self.finished = self._submitted("owners finished job")
        finish(stored, self.finished, answers=answered())
        self.queued = self._submitted("owners queued job")
        (best, *_) = caller.get(f"/backtests/jobs/{self.finished}/top").json()["items"]
        self.variant_key = str(best["variant_key"])
        answer = caller.post(
            "/strategies", json={"name": "owners strategy", "template": REQUEST["template"]}
        )
        assert answer.status_code == 201, answer.text
        self.strategy = str(answer.json()["strategy_id"])

    def _submitted(self, name: str) -> str:
        answer = self.caller.post("/backtests/jobs", json=REQUEST | {"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job_id"])

    def paths(self, template: str) -> Iterator[str]:
        """Fill the places of a path with what is this user's."""
        known = {
            "strategy_id": self.strategy,
            "variant_key": self.variant_key,
            "base_index": "0",
            "variant_index": "0",
            "number": "1",
        }
        jobs = (self.finished, self.queued) if "{job_id}" in template else ("",)
        for job in jobs:
            yield template.format(**known, job_id=job)

    def secrets(self) -> tuple[str, ...]:
        """What no answer to anybody else may contain."""
        return (self.finished, self.queued, self.strategy, "owners ")


@pytest.fixture(scope="module")
def owner(shared_api: Api) -> Owner:
    with psycopg.connect(shared_api.dsn, autocommit=True) as stored:
        return Owner(shared_api.new_user(), stored)


@pytest.fixture(scope="module")
def operations(shared_api: Api) -> list[tuple[str, str]]:
    """Every call that the API describes, as method and path."""
    paths = shared_api.get("/openapi.json").json()["paths"]
    return [(method, path) for path in paths for method in METHODS if method in paths[path]]


def contents(stored: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """Every row of every table, as text."""
    return {
        table: stored.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall()  # type: ignore[call-overload]
        for table in TABLES
    }


def bodies(owner: Owner) -> list[Any]:
    """Bodies that would do something if they were allowed to."""
    return [
        {},
        {"name": "mine now", "note": "mine now"},
        {"ids": [owner.finished, owner.queued]},
        {"name": "mine now", "template": REQUEST["template"]},
        {"name": "mine now", "job_id": owner.finished, "variant_key": owner.variant_key},
        {"strategy_id": owner.strategy, "overrides": {"time_range": REQUEST["time_range"]}},
    ]


def test_every_call_with_a_place_for_an_id_is_refused_to_anybody_else(
    api: Api, owner: Owner, stored: psycopg.Connection[Any], operations: list[tuple[str, str]]
) -> None:
    stranger, before = api.new_user(), contents(stored)
    called = 0
    for method, template in operations:
        if "{" not in template:
            continue
        for path in owner.paths(template):
            for body in [None] if method in ("get", "delete") else bodies(owner):
                given = {} if body is None else {"json": body}
                answer = stranger.call(method.upper(), path, **given)
                called += 1
                assert answer.status_code in (403, 404, 422), (method, path, answer.text)
                assert "owners " not in answer.text, (method, path)
    assert called > 30
    assert contents(stored) == before


def test_every_call_without_an_id_shows_and_changes_only_what_is_ones_own(
    api: Api, owner: Owner, stored: psycopg.Connection[Any], operations: list[tuple[str, str]]
) -> None:
    stranger, before = api.new_user(), contents(stored)
    for method, path in operations:
        if "{" in path or path.endswith("/stream") or path == "/metrics":
            continue
        for body in [None] if method in ("get", "delete") else bodies(owner):
            given = {} if body is None else {"json": body}
            answer = stranger.call(method.upper(), path, **given)
            named = {text for text in owner.secrets() if text in answer.text}
            sent = json.dumps(body)
            assert not {text for text in named if text not in sent}, (method, path, answer.text)
    after = contents(stored)
    for table in TABLES:
        assert set(before[table]) <= set(after[table]), table


def test_a_short_id_finds_only_ones_own_jobs(api: Api, owner: Owner) -> None:
    stranger = api.new_user()
    for length in (4, 8, 13):
        assert stranger.get(f"/backtests/jobs/{owner.finished[:length]}").status_code == 404
        found = stranger.get("/backtests/jobs", params={"q": owner.finished[:length]})
        assert found.json()["items"] == []


def test_whose_job_it_is_is_told_apart_only_by_a_full_id(api: Api, owner: Owner) -> None:
    stranger = api.new_user()
    assert stranger.get(f"/backtests/jobs/{owner.finished}").status_code == 403
    unknown = "00000000-0000-4000-8000-00000000dead"
    assert stranger.get(f"/backtests/jobs/{unknown}").status_code == 404


def test_nobody_at_all_gets_401_from_every_call_that_is_not_public(
    api: Api, owner: Owner, operations: list[tuple[str, str]]
) -> None:
    described = api.get("/openapi.json").json()["paths"]
    nobody = api.nobody()
    for method, template in operations:
        if described[template][method].get("security") == []:
            continue
        for path in owner.paths(template):
            answer = nobody.call(method.upper(), path)
            assert answer.status_code == 401, (method, path, answer.status_code)


def test_the_idempotency_key_of_one_user_means_nothing_to_another(api: Api, owner: Owner) -> None:
    key = {"Idempotency-Key": "the same key"}
    first = owner.caller.post("/backtests/jobs", json=REQUEST, headers=key)
    second = api.new_user().post("/backtests/jobs", json=REQUEST, headers=key)
    assert first.status_code == second.status_code == 201
    assert first.json()["job_id"] != second.json()["job_id"]
