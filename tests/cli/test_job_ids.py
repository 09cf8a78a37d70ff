"""Job ids may be shortened to what tells one job from the user's others."""

import secrets
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.api.running import Api
from tests.cli.conftest import Backtest, become, submitted

COMMANDS = ("show", "top", "cancel")


@pytest.fixture
def alike() -> list[str]:
    """Ids that begin with abcd1, abcd2, ..., and that no other test has."""
    tail = secrets.token_hex(6)
    return [f"abcd{digit}000-0000-4000-8000-{tail}" for digit in "123456"]


def stored(
    connection: psycopg.Connection[Any], job_id: str, copied: str, user: UUID | None
) -> None:
    """Store a copy of a job under another id."""
    row = connection.execute(
        "INSERT INTO backtest_jobs (job_id, user_id, mode, state, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash)"
        " SELECT %s, coalesce(%s, user_id), mode, state, request_json, request_hash,"
        " engine_params_hash, backtest_runtime_config_hash FROM backtest_jobs WHERE job_id = %s"
        " RETURNING job_id",
        (job_id, user, copied),
    ).fetchone()
    assert row is not None


@pytest.mark.parametrize("command", COMMANDS)
def test_a_unique_prefix_is_enough(service: Backtest, tmp_path: Path, command: str) -> None:
    job_id = submitted(service, tmp_path)
    for text in (job_id[:4], job_id[:4].upper(), job_id[:11], job_id.replace("-", "")[:20], job_id):
        ended = service(command, text)
        assert ended.code == 0, ended.err
    assert job_id in service("show", job_id[:4]).out


def test_a_prefix_of_several_jobs_lists_them(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any], alike: list[str]
) -> None:
    job_id = submitted(service, tmp_path)
    for each in alike[:2]:
        stored(connection, each, job_id, None)
    ended = service("show", "ABCD")
    assert (ended.code, ended.out) == (2, "")
    first, *listed = ended.err.splitlines()
    assert "abcd is the beginning of 2 of your jobs: give more digits" in first
    assert sorted(line.split(", ")[0].removeprefix("  job_id: ") for line in listed) == alike[:2]
    assert service("show", "abcd2").code == 0


def test_no_more_than_five_candidates_are_listed(
    service: Backtest, tmp_path: Path, connection: psycopg.Connection[Any], alike: list[str]
) -> None:
    job_id = submitted(service, tmp_path)
    for each in alike:
        stored(connection, each, job_id, None)
    ended = service("show", "abcd")
    assert len(ended.err.splitlines()) == 1 + 5
    assert "and more" in ended.err


def test_an_unknown_prefix_is_one_line(service: Backtest, tmp_path: Path) -> None:
    job_id = submitted(service, tmp_path)
    other = "0000" if job_id[0] != "0" else "ffff"
    ended = service("show", other)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert f"no job of yours begins with {other}" in ended.err


def test_a_prefix_finds_ones_own_jobs_only(
    service: Backtest,
    served: Api,
    tmp_path: Path,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    alike: list[str],
) -> None:
    job_id = submitted(service, tmp_path)
    stranger = uuid4()
    stored(connection, alike[0], job_id, stranger)
    assert "no job of yours" in service("show", "abcd").err
    stored(connection, alike[1], job_id, None)
    assert alike[1] in service("show", "abcd").out
    become(monkeypatch, served, stranger)
    assert alike[0] in service("show", "abcd").out
