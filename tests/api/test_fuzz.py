"""Whatever is sent, valid by the OpenAPI document or not: no 5xx, and every answer as described."""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.api.running import Api, Caller
from tests.making_jobs import REQUEST, finish

log = logging.getLogger(__name__)

PROGRAM = Path(sys.executable).with_name("st")
MOST_CASES = 25
"""Drawn for each call; beside them stand those made from the bounds of its schema."""


@pytest.fixture(scope="module")
def known(shared_api: Api) -> tuple[Caller, dict[str, str]]:
    """A user, and the ids of a finished job and a strategy of theirs."""
    user = shared_api.new_user()
    job_id = user.post("/backtests/jobs", json=REQUEST).json()["job_id"]
    with psycopg.connect(shared_api.dsn, autocommit=True) as stored:
        finish(stored, job_id)
    (best, *_) = user.get(f"/backtests/jobs/{job_id}/top").json()["items"]
    strategy = {"name": "known", "template": REQUEST["template"]}
    strategy_id = user.post("/strategies", json=strategy).json()["strategy_id"]
    return user, {
        "job_id": job_id,
        "strategy_id": strategy_id,
        "variant_key": best["variant_key"],
    }


def fuzzed(
    api: Api,
    folder: Path,
    user: Caller,
    parameters: Mapping[str, str],
    *unchecked: str,
    only: str | None = None,
) -> tuple[int, str]:
    """Run schemathesis with these values of parameters; returns its exit code and what it said."""
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in parameters.items()]
    config = folder / "schemathesis.toml"
    config.write_text("\n".join(("[parameters]", *lines, "")))
    ran = subprocess.run(
        [
            *(str(PROGRAM), "--config-file", str(config), "run", f"{api.url}/openapi.json"),
            *("--header", f"Authorization: {user.client.headers['Authorization']}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(MOST_CASES)),
            *("--seed", "1", "--no-shrink", "--continue-on-failure", "--warnings", "off"),
            # Streams do not end; the tests of streams hold what they answer.
            *("--exclude-path-regex", "/stream$"),
            *(("--include-path-regex", only) if only else ()),
            # A schema knows no quota and no candles: what obeys it may still be refused.
            *("--exclude-checks", ",".join(("positive_data_acceptance", *unchecked))),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    log.info(ran.stdout)  # `pytest --log-cli-level INFO` tells how many operations and cases
    return ran.returncode, ran.stdout + ran.stderr


def test_no_call_with_ids_that_exist_fails_or_answers_other_than_described(
    api: Api, known: tuple[Caller, dict[str, str]], tmp_path: Path
) -> None:
    user, ids = known
    # Where a bad id was drawn, a good one is sent. Calls without an id are made with any id, below.
    code, said = fuzzed(api, tmp_path, user, ids, "negative_data_rejection", only=r"\{")
    assert code == 0, said
    assert "request_failed" not in api.text()


def test_no_call_of_an_operator_fails_or_answers_other_than_described(
    api: Api, tmp_path: Path
) -> None:
    token = api.token(uuid4(), role="operator")
    operator = api.caller({"Authorization": f"Bearer {token}"})
    code, said = fuzzed(api, tmp_path, operator, {}, only="^/operate/")
    assert code == 0, said
    assert "request_failed" not in api.text()
    assert operator.post("/operate/resume").status_code == 200


def test_no_call_with_any_id_fails_or_answers_other_than_described(
    api: Api, known: tuple[Caller, dict[str, str]], tmp_path: Path
) -> None:
    user, _ = known
    code, said = fuzzed(api, tmp_path, user, {})
    assert code == 0, said
    assert "request_failed" not in api.text()
