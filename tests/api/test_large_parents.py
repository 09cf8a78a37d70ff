"""Calls about a job of millions of variants cost what its axes cost, not what its variants do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.running import Api, Caller
from tests.making_jobs import changed

JOBS = "/backtests/jobs"
PAIRS = {
    "ma": {"mode": "explicit", "values": ["sma"]},
    "fast": {"mode": "range", "start": 1, "stop_incl": 5000, "step": 1},
    "slow": {"mode": "range", "start": 5001, "stop_incl": 10_000, "step": 1},
}
VARIANTS = 25_000_000
LARGE = changed(template__indicator_grids__0__params=PAIRS, warmup_bars=0)
BYTES = 40 * 2**20
"""One number a variant would be 200 MB."""


def peak(api: Api) -> int:
    """Return the most memory that the process has had in use, in bytes."""
    assert api.process is not None
    status = Path(f"/proc/{api.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def owner(shared_api: Api) -> Caller:
    return shared_api.new_user()


@pytest.fixture(scope="module")
def job_id(owner: Caller) -> str:
    answer = owner.post(JOBS, json=LARGE)
    assert answer.status_code == 201, answer.text
    assert answer.json()["estimate"]["stage_a_variants"] == VARIANTS
    return str(answer.json()["job_id"])


def open_variant(owner: Caller, job_id: str) -> Any:
    found = owner.get(f"{JOBS}/{job_id}/variants/by-index/{2 * VARIANTS - 1}").json()
    answer = owner.post(
        JOBS, json=found["request"], headers={"Idempotency-Key": found["idempotency_key"]}
    )
    owner.post(f"{JOBS}/{answer.json()['job_id']}/cancel")
    return answer


def submit(owner: Caller, _job_id: str) -> Any:
    answer = owner.post(JOBS, json=LARGE)
    owner.post(f"{JOBS}/{answer.json()['job_id']}/cancel")
    return answer


CALLS: dict[str, Callable[[Caller, str], Any]] = {
    "estimate": lambda owner, _: owner.post("/backtests/estimate", json=LARGE),
    "submit": submit,
    "status": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}?include=distribution"),
    "list": lambda owner, _: owner.get(JOBS),
    "top": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}/top"),
    "events": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}/events"),
    "bars": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}/bars"),
    "base": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}/variants/base/{VARIANTS - 1}"),
    "by index": lambda owner, job_id: owner.get(f"{JOBS}/{job_id}/variants/by-index/77"),
    "open a variant": open_variant,
    "save its template": lambda owner, _: owner.post(
        "/strategies", json={"name": "large", "template": LARGE["template"]}
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_call_takes_memory_for_the_variants(
    api: Api, owner: Caller, job_id: str, call: str
) -> None:
    owner.get(f"{JOBS}/{job_id}")
    before = peak(api)
    answer = CALLS[call](owner, job_id)
    assert answer.status_code < 500, answer.text
    assert peak(api) - before < BYTES


def test_the_last_variant_is_the_one_of_its_number(owner: Caller, job_id: str) -> None:
    found = owner.get(f"{JOBS}/{job_id}/variants/base/{VARIANTS - 1}").json()
    assert found["payload_json"]["blocks"][0]["params"] == {
        "ma": "sma",
        "fast": 5000,
        "slow": 10_000,
    }


def test_the_index_after_it_is_not_found(owner: Caller, job_id: str) -> None:
    answer = owner.get(f"{JOBS}/{job_id}/variants/base/{VARIANTS}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert f"0..{VARIANTS - 1}" in answer.json()["error"]["message"]
