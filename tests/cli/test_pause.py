"""`backtest pause` and `backtest resume`, and what lists say meanwhile."""

import getpass
import os
import socket
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from storage import switches
from tests.cli.conftest import Backtest

REASON = "new disks"


@pytest.fixture(autouse=True)
def resumed(connection: psycopg.Connection) -> Iterator[None]:
    """The database is shared with other tests."""
    yield
    connection.execute("DELETE FROM backtest_switches")


def test_a_pause_is_stored_with_who_typed_it_and_why(
    service: Backtest, connection: psycopg.Connection
) -> None:
    ended = service("pause", "--reason", f" {REASON} ")
    assert (ended.code, ended.err) == (0, "")
    assert "backtest resume" in ended.out
    found = switches.paused().of(connection)
    assert found is not None
    assert (found.by, found.reason) == (f"{getpass.getuser()}@{socket.gethostname()}", REASON)


def test_pausing_again_says_who_was_first(
    service: Backtest, connection: psycopg.Connection
) -> None:
    switches.pause(connection, by="root@other", reason=REASON)
    ended = service("pause", "--reason", "another")
    assert ended.code == 0
    assert ended.out.startswith("paused already, since ")
    assert f"by root@other: {REASON}" in ended.out


def test_resume_ends_it_and_may_be_repeated(
    service: Backtest, connection: psycopg.Connection
) -> None:
    service("pause")
    assert service("resume").out == "resumed\n"
    assert switches.paused().of(connection) is None
    again = service("resume")
    assert (again.code, again.out) == (0, "nothing was paused\n")


def test_both_print_json(service: Backtest) -> None:
    found = service("pause", "--reason", REASON, "--json").json
    assert (found["changed"], found["paused"]["reason"]) == (True, REASON)
    assert set(found["paused"]) == {"since", "by", "reason"}
    again = service("pause", "--json").json
    assert again == found | {"changed": False}
    assert service("resume", "--json").json == {"changed": True, "paused": None}
    assert service("resume", "--json").json == {"changed": False, "paused": None}


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines", "\x1b[2J"])
def test_a_reason_that_cannot_be_shown_is_refused(service: Backtest, reason: str) -> None:
    ended = service("pause", "--reason", reason)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--reason" in ended.err


def test_jobs_says_that_no_job_starts(service: Backtest) -> None:
    assert "paused" not in service("jobs").out
    service("pause", "--reason", REASON)
    assert f"UTC: {REASON}" in service("jobs").out
    assert isinstance(service("jobs", "--json").json, list)


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_without_a_database_it_says_what_is_missing(backtest: Backtest, command: str) -> None:
    assert "STRATEGY_PG_DSN" not in os.environ
    ended = backtest(command)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "STRATEGY_PG_DSN" in ended.err


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [({"dbname": "nowhere"}, 2, "no such database"), ({"host": "/nowhere"}, 3, "Postgres at")],
)
def test_a_database_that_cannot_be_reached_is_one_line(
    service: Backtest,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", make_conninfo(database, **changes))
    ended = service("pause")
    assert (ended.code, ended.err.count("\n")) == (code, 1)
    assert said in ended.err
