"""Whatever is sent, valid by the OpenAPI document or not: no 5xx, and every answer as described.

Half of the calls name a job and a strategy that exist, so that what lies behind them is reached.
"""

from typing import Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.api.running import Api, Caller
from tests.making_jobs import REQUEST, finish

CASES = 60
"""Of each call; beside them come those that schemathesis makes from the bounds of each schema."""

# What obeys the schema may still be refused: a schema knows no other fields, quota or candles.
LEFT_OUT = [positive_data_acceptance]

counted = {"operations": set[str](), "calls": 0, "server errors": 0}


@pytest.fixture(scope="module")
def fuzzer(shared_api: Api) -> Caller:
    """A user with a finished job, a strategy, and a quota that is never used up by what is kept."""
    return shared_api.new_user()


@pytest.fixture(scope="module")
def known(shared_api: Api, fuzzer: Caller) -> dict[str, str]:
    """Ids that exist."""
    job_id = fuzzer.post("/backtests/jobs", json=REQUEST).json()["job_id"]
    with psycopg.connect(shared_api.dsn, autocommit=True) as stored:
        finish(stored, job_id)
    (best, *_) = fuzzer.get(f"/backtests/jobs/{job_id}/top").json()["items"]
    strategy = {"name": "known", "template": REQUEST["template"]}
    strategy_id = fuzzer.post("/strategies", json=strategy).json()["strategy_id"]
    return {
        "job_id": job_id,
        "strategy_id": strategy_id,
        "variant_key": best["variant_key"],
        "base_index": "1",
        "variant_index": "1",
    }


@pytest.fixture(scope="module")
def described(shared_api: Api) -> Any:
    # Streams do not end: test_streams.py holds what they answer.
    return schemathesis.openapi.from_url(f"{shared_api.url}/openapi.json").exclude(
        path_regex="/stream$"
    )


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_no_call_fails_or_answers_other_than_described(
    case: schemathesis.Case, fuzzer: Caller, known: dict[str, str]
) -> None:
    counted["operations"].add(case.operation.label)
    counted["calls"] += 1
    if counted["calls"] % 2 and case.path_parameters:
        case.path_parameters = {
            name: known.get(name, value) for name, value in case.path_parameters.items()
        }
    headers = {"Authorization": fuzzer.client.headers["Authorization"]}
    answer = case.call(headers=headers)
    counted["server errors"] += answer.status_code >= 500
    not_a_server_error  # noqa: B018
    case.validate_response(answer, excluded_checks=LEFT_OUT, headers=headers)
