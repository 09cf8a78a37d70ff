"""A shared job: how its stage is shared and by whom, in its status and in its stream."""

from typing import Any

import jsonschema_rs
import psycopg

from api import owners
from api.sharing_words import sharing_text
from storage import leases, plans
from storage.records import Stage
from tests.api.running import Api, Caller
from tests.api.streaming import Viewer, job_path
from tests.storage import making
from tests.storage.sharing import (
    UNITS,
    coordinated,
    expire_shard,
    finished,
    helped,
    helper,
    planned,
)

SHARED: dict[str, Any] = {
    "stage": "stage_a",
    "shards": 49,
    "states": {"open": 34, "running": 3, "done": 12, "failed": 0},
    "units": {"done": 12 * UNITS + 4, "total": 49 * UNITS},
    "workers": [
        {"worker": "host-1", "running": 1, "done": 0},
        {"worker": "host-7", "running": 2, "done": 12},
    ],
    "strip": [
        ["done", None, 12],
        ["running", "host-1", 1],
        ["open", None, 1],
        ["running", "host-7", 2],
        ["open", None, 33],
    ],
    "said": "stage A: 12 of 49 shards done, 3 running on 2 workers, 34 open",
}


def test_a_shared_job_tells_who_computes_what_while_its_stage_is_shared(
    api: Api, user: Caller, stored: psycopg.Connection
) -> None:
    lease = making.claimed(stored, user_id=user.user_id)
    leases.start_stage(stored, lease, Stage.STAGE_A, 49 * UNITS)
    path = f"/backtests/jobs/{lease.job_id}"
    assert user.get(path).json()["sharing"] is None
    with Viewer(api, job_path(lease.job_id), user_id=user.user_id) as viewer:
        assert viewer.named("progress").data["sharing"] is None
        plan = planned(stored, lease, 49)
        finished(stored, plan, 12)
        own = coordinated(stored, lease, plan)
        gone = helped(stored, plan, helper("host-8-00000008"))
        # One worker process that has called itself by two names.
        helped(stored, plan)
        helped(stored, plan, helper("host-7-00000009"))
        expire_shard(stored, gone.lease)
        plans.beat(stored, lease, plan, own.lease, 4)
        viewer.until(lambda one: one.name == "progress" and one.data["sharing"] == SHARED)
        found = user.get(path).json()
        assert found["sharing"] == SHARED
        assert user.post(f"{path}/cancel").json()["sharing"] == SHARED
        leases.start_stage(stored, lease, Stage.STAGE_B, 1)
        viewer.until(lambda one: one.name == "progress" and one.data["sharing"] is None)
    assert user.get(path).json()["sharing"] is None
    described = user.get("/openapi.json").json()["components"]["schemas"]["Status"]
    jsonschema_rs.Draft202012Validator(described["properties"]["sharing"]).validate(SHARED)


def test_what_is_said_leaves_out_what_there_is_none_of() -> None:
    states = {"open": 0, "running": 0, "done": 1, "failed": 0}
    assert sharing_text("validation", states, 0) == "validation: 1 of 1 shard done"
    states |= {"running": 1, "failed": 2, "done": 1234}
    assert sharing_text("stage_b", states, 1) == (
        "stage B: 1,234 of 1,237 shards done, 1 running on 1 worker, "
        "2 failed, to be tried once more by the job's owner"
    )


def test_the_name_of_an_owner_says_its_machine_and_its_process() -> None:
    assert owners.host("a-b-17-0000abcd") == "a-b"
    assert owners.worker("a-b-17-0000abcd") == "a-b-17"
    assert owners.host("me") == owners.worker("me") == "me"
