"""Saved strategies, and jobs that are made of them."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from engine.request import spec_hash
from tests.api.running import Caller
from tests.making_jobs import REQUEST, changed, finish

JOBS, STRATEGIES = "/backtests/jobs", "/strategies"
TEMPLATE = REQUEST["template"]
RANGE = {name: REQUEST[name] for name in ("time_range", "preselect", "top_k", "top_trades_n")}


def save(user: Caller, name: str = "crossing", **members: Any) -> dict[str, Any]:
    given = members if "job_id" in members else {"template": TEMPLATE} | members
    answer = user.post(STRATEGIES, json={"name": name} | given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"{STRATEGIES}/{found['strategy_id']}"
    return found


def run(user: Caller, strategy_id: str, overrides: dict[str, Any] = RANGE) -> Any:
    return user.post(JOBS, json={"strategy_id": strategy_id, "overrides": overrides})


def test_a_template_is_saved_as_it_was_given(user: Caller) -> None:
    found = save(user, note="a note")
    assert (found["name"], found["note"], found["template"]) == ("crossing", "a note", TEMPLATE)
    assert (found["source_job_id"], found["source_variant_key"]) == (None, None)
    assert user.get(f"{STRATEGIES}/{found['strategy_id']}").json() == found


def test_a_template_that_cannot_be_read_is_refused_with_its_paths(user: Caller) -> None:
    template = changed(template__timeframe="7m")["template"] | {"surprise": 1}
    answer = user.post(STRATEGIES, json={"name": "x", "template": template})
    assert answer.status_code == 422, answer.text
    paths = [detail["path"] for detail in answer.json()["error"]["details"]]
    assert paths == ["template.surprise", "template.timeframe"]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"template": TEMPLATE}, "name"),
        ({"name": "x"}, "template"),
        ({"name": "x", "template": []}, "template"),
        ({"name": "x" * 121, "template": TEMPLATE}, "name"),
        ({"name": "x", "job_id": str(uuid4())}, "variant_key"),
        ({"name": "x", "variant_key": "0" * 64}, "job_id"),
        ({"name": "x", "job_id": "x", "variant_key": "0" * 64}, "job_id"),
        ({"name": "x", "template": TEMPLATE, "job_id": str(uuid4())}, "template"),
    ],
)
def test_what_is_no_strategy_is_refused(user: Caller, document: Any, path: str) -> None:
    answer = user.post(STRATEGIES, json=document)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["path"] == path


def test_everything_that_is_wrong_with_a_strategy_is_said_at_once(user: Caller) -> None:
    template = changed(template__timeframe="7m")["template"]
    wrong = {"name": "", "note": 5, "template": template, "surprise": 1}
    saved = save(user)
    for answer in (
        user.post(STRATEGIES, json=wrong),
        user.put(f"{STRATEGIES}/{saved['strategy_id']}", json=wrong),
    ):
        assert answer.status_code == 422, answer.text
        paths = [detail["path"] for detail in answer.json()["error"]["details"]]
        assert paths == ["name", "note", "surprise", "template.timeframe"]


@pytest.mark.parametrize("document", [[], 5, "x"])
def test_a_strategy_that_is_no_object_is_refused(user: Caller, document: Any) -> None:
    answer = user.post(STRATEGIES, json=document)
    assert answer.status_code == 422, answer.text
    (detail,) = answer.json()["error"]["details"]
    assert (detail["path"], detail["message"][:17]) == ("request", "must be an object")


def test_a_name_is_given_once(user: Caller, api: Any) -> None:
    save(user)
    answer = user.post(STRATEGIES, json={"name": "crossing", "template": TEMPLATE})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    save(api.new_user())


def test_strategies_are_listed_newest_first_by_cursor(user: Caller) -> None:
    ids = [save(user, name=f"number {number}")["strategy_id"] for number in range(5)]
    walked: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        document = user.get(STRATEGIES, params=query).json()
        walked += [item["strategy_id"] for item in document["items"]]
        if document["next_cursor"] is None:
            break
        query["cursor"] = document["next_cursor"]
    assert walked == ids[::-1]


def test_a_strategy_is_replaced_and_deleted(user: Caller) -> None:
    path = f"{STRATEGIES}/{save(user)['strategy_id']}"
    other = changed(template__timeframe="1h")["template"]
    answer = user.put(path, json={"name": "slower", "template": other})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["template"]["timeframe"]) == ("slower", "1h")
    assert user.delete(path).status_code == 204
    assert [user.get(path).status_code, user.delete(path).status_code] == [404, 404]


def test_somebody_elses_strategy_is_not_found(user: Caller, api: Any) -> None:
    path, stranger = f"{STRATEGIES}/{save(user)['strategy_id']}", api.new_user()
    assert stranger.get(path).status_code == 404
    assert stranger.delete(path).status_code == 404
    assert stranger.put(path, json={"name": "x", "template": TEMPLATE}).status_code == 404
    assert run(stranger, path.rpartition("/")[2]).status_code == 404
    assert user.get(path).status_code == 200


def test_a_job_of_a_strategy_keeps_the_template_it_was_made_of(user: Caller) -> None:
    strategy = save(user)
    answer = run(user, strategy["strategy_id"])
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["mode"] == "saved"
    assert job["spec_payload"] == TEMPLATE
    assert job["spec_hash"] == spec_hash(TEMPLATE)
    plain = user.post(JOBS, json=REQUEST).json()
    assert job["request_hash"] == plain["request_hash"]
    assert (plain["mode"], plain["spec_payload"], plain["spec_hash"]) == ("template", None, None)
    user.delete(f"{STRATEGIES}/{strategy['strategy_id']}")
    after = user.get(f"{JOBS}/{job['job_id']}").json()
    assert (after["spec_payload"], after["request"]) == (TEMPLATE, job["request"])


def test_overrides_are_a_merge_patch_on_the_template(user: Caller) -> None:
    strategy_id = save(user)["strategy_id"]
    overrides = RANGE | {"template": {"timeframe": "1h", "risk_grid": {"sl": None}}}
    request = run(user, strategy_id, overrides).json()["request"]
    assert request["template"]["timeframe"] == "1h"
    assert request["template"]["risk_grid"]["sl"] is None
    estimate = user.post(
        "/backtests/estimate", json={"strategy_id": strategy_id, "overrides": overrides}
    )
    assert estimate.json()["request"] == request


def test_a_variant_of_a_job_becomes_a_strategy_and_runs_on_another_range(
    user: Caller, stored: psycopg.Connection[Any]
) -> None:
    job_id = user.post(JOBS, json=REQUEST).json()["job_id"]
    finish(stored, job_id)
    best = user.get(f"{JOBS}/{job_id}/top").json()["items"][0]
    strategy = save(user, name="the winner", job_id=job_id, variant_key=best["variant_key"])
    assert strategy["source_job_id"] == job_id
    assert strategy["source_variant_key"] == best["variant_key"]
    later = {"time_range": {"start": "2024-01-02T00:00:00Z", "end": "2024-01-03T00:00:00Z"}}
    answer = run(user, strategy["strategy_id"], later)
    assert answer.status_code == 201, answer.text
    assert answer.json()["estimate"]["stage_b_variants"] == 1
    renamed = user.put(
        f"{STRATEGIES}/{strategy['strategy_id']}",
        json={"name": "renamed", "template": strategy["template"]},
    )
    assert renamed.json()["source_job_id"] == job_id


def test_a_variant_that_is_not_there_cannot_be_saved(user: Caller) -> None:
    job_id = user.post(JOBS, json=REQUEST).json()["job_id"]
    document = {"name": "x", "job_id": job_id, "variant_key": "0" * 64}
    assert user.post(STRATEGIES, json=document).status_code == 404
