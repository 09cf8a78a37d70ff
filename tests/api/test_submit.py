"""Submitting a request."""

from tests.api.running import Caller
from tests.making_jobs import REQUEST


def test_a_request_becomes_a_queued_job(user: Caller) -> None:
    answer = user.post("/backtests/jobs", json=REQUEST)
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"/backtests/jobs/{job['job_id']}"
    assert job["state"] == "queued"
    assert user.get(answer.headers["Location"]).json()["request"] == job["request"]
