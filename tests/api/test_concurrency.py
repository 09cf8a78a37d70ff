"""Many calls at the same time, to several processes."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.running import Api, running
from tests.making_jobs import REQUEST, changed

PARALLEL = 200
QUOTA = 3


@pytest.fixture(scope="module")
def shared_api(
    own_database: str, candles: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Two processes: no memory is shared."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "metrics").mkdir()
    with running(
        own_database,
        candles,
        folder,
        options=("--workers", "2"),
        changes={"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")},
    ) as api:
        yield api


def at_once(api: Api, calls: list[dict[str, Any]]) -> list[httpx.Response]:
    """Make POST calls of a new user all at the same time, each on a connection of its own."""
    headers = {"Authorization": f"Bearer {api.token(uuid4())}"}

    def call(given: dict[str, Any]) -> httpx.Response:
        sent = given | {"headers": headers | given.get("headers", {})}
        # An overloaded API may say 503; it is asked again, as every client does. Certificates for
        # TLS take longer to load than a call takes.
        while (
            answer := httpx.post(f"{api.url}/backtests/jobs", timeout=60, verify=False, **sent)
        ).is_server_error:
            assert answer.status_code == 503, answer.text
        return answer

    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(call, calls))


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_parallel_submissions_never_exceed_the_quota(api: Api) -> None:
    answers = at_once(api, [{"json": REQUEST}] * PARALLEL)
    assert statuses(answers) == {201: QUOTA, 409: PARALLEL - QUOTA}
    refusals = {answer.json()["error"]["code"] for answer in answers if answer.is_error}
    assert refusals == {"quota_exceeded"}


def test_parallel_submissions_under_one_key_are_one_job(api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    answers = at_once(api, [{"json": REQUEST, "headers": key}] * PARALLEL)
    assert statuses(answers) == {201: 1, 200: PARALLEL - 1}
    assert len({answer.json()["job_id"] for answer in answers}) == 1


def test_of_two_requests_under_one_key_one_wins_and_the_other_is_a_conflict(api: Api) -> None:
    key = {"Idempotency-Key": "two"}
    requests = [REQUEST, changed(top_k=2)] * (PARALLEL // 4)
    answers = at_once(api, [{"json": document, "headers": key} for document in requests])
    counted = statuses(answers)
    assert counted[201] == 1
    assert counted[200] + 1 == counted[409] == PARALLEL // 4
