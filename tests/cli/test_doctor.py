"""`backtest doctor`: every dependency is looked at, whatever the others do, and in time."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from threading import Barrier

import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo
from rich.console import Console

from cli import operator
from cli.doctor import examination, machine
from cli.doctor.findings import Finding, print_all
from storage import schema
from tests.cli.conftest import Backtest
from tests.cli.doctoring import findings
from tests.ports import free_port
from tests.storage.clickhouse_endpoint import PASSWORD, USER, Endpoint

PATIENCE_SECONDS = 60
PART = "Postgres", "Redis", "candles", "API"


def test_doctor_on_a_bare_machine_says_how_to_start(backtest: Backtest) -> None:
    ended = backtest("doctor", "--within", "60")
    assert ended.code == 0, ended.out
    assert "backtest up" in ended.out
    assert "scheduler and worker take redis://127.0.0.1:6379/0" in ended.out


@pytest.fixture
def own_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """An empty database of Redis, named in the environment."""
    url = f"{redis_url}?db=7"
    monkeypatch.setenv("REDIS_URL", url)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield client
        client.flushdb()


def test_doctor_finds_working_services(service: Backtest, own_redis: redis.Redis) -> None:
    ended = service("doctor", "--within", "60", "--json")
    found = findings(ended)
    assert ended.code == 0
    subjects = ("configuration", "Postgres", "Redis", "API")
    assert [found[subject]["grade"] for subject in subjects] == ["ok"] * 4


def test_doctor_finds_an_api_that_is_away(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("ROEHUB_API_URL", url)
    ended = service("doctor", "--within", "60", "--json")
    assert (ended.code, findings(ended)["API"]["grade"]) == (3, "unreachable")
    assert url in findings(ended)["API"]["found"]


def test_doctor_finds_a_token_that_is_refused(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_API_TOKEN", "stale")
    ended = service("doctor", "--within", "60", "--json")
    assert (ended.code, findings(ended)["API"]["grade"]) == (2, "wrong")
    assert "backtest token" in findings(ended)["API"]["found"]


def test_doctor_does_not_count_its_own_deployment_as_a_stranger(
    service: Backtest, own_redis: redis.Redis, connection: psycopg.Connection
) -> None:
    own_redis.rpush(f"{schema.namespace(connection)}:backtest", "m")
    assert findings(service("doctor", "--within", "60", "--json"))["Redis keys"]["grade"] == "ok"


def test_doctor_knows_a_database_that_does_not_exist(
    service: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", make_conninfo(database, dbname="nowhere"))
    ended = service("doctor", "--within", "60", "--json")
    assert ended.code == 2
    assert "no such database" in findings(ended)["Postgres"]["found"]


def test_doctor_finds_a_service_that_is_away(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    ended = service("doctor", "--within", "60")
    assert ended.code == 3
    assert "FAIL  Redis" in ended.out


def test_doctor_finds_an_unmigrated_schema(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", make_conninfo(postgres_server, dbname="postgres"))
    ended = service("doctor", "--within", "60")
    assert ended.code == 2
    assert "backtest migrate" in ended.out


# --- what does not answer


@pytest.fixture
def silent() -> Iterator[int]:
    """A port on this machine that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield int(listening.getsockname()[1])


def typed_apart(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Type `backtest` as a program of its own: what it leaves behind must not keep it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [Path(sys.executable).with_name("backtest"), *arguments],
        cwd=folder,
        env=kept | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def test_services_that_never_answer_are_a_line_each_and_do_not_keep_it(
    tmp_path: Path, silent: int
) -> None:
    ended = typed_apart(
        tmp_path,
        "doctor",
        "--json",
        STRATEGY_PG_DSN=f"postgresql://somebody:sesame@127.0.0.1:{silent}/nowhere",
        POSTGRES_DSN=f"postgresql://somebody:sesame@127.0.0.1:{silent}/nowhere",
        REDIS_URL=f"redis://:sesame@127.0.0.1:{silent}/0",
        CH_HOST="127.0.0.1",
        CH_PORT=str(silent),
        ROEHUB_API_URL=f"http://127.0.0.1:{silent}",
        ROEHUB_API_TOKEN="sesame",
    )
    assert (ended.returncode, ended.stderr) == (3, "")
    found = {finding["subject"]: finding for finding in json.loads(ended.stdout)}
    away = {name for name, finding in found.items() if finding["grade"] == "unreachable"}
    assert away == {*PART, "migrations"}
    assert all(found[name]["found"] for name in away)
    assert found["memory"]["grade"] == "ok"
    assert "sesame" not in ended.stdout


def test_services_that_are_down_are_a_line_each_and_everything_else_is_checked(
    tmp_path: Path,
) -> None:
    ended = typed_apart(
        tmp_path,
        "doctor",
        "--within",
        "60",
        STRATEGY_PG_DSN=f"postgresql://127.0.0.1:{free_port()}/nowhere",
        REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
        CH_HOST="127.0.0.1",
        CH_PORT=str(free_port()),
        ROEHUB_API_URL=f"http://127.0.0.1:{free_port()}",
        ROEHUB_API_TOKEN="token",
    )
    assert (ended.returncode, ended.stderr) == (3, "")
    lines = ended.stdout.splitlines()
    for part in PART:
        assert len([line for line in lines if line.startswith(f"FAIL  {part} ")]) == 1
    assert "ok    memory" in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize(
    ("name", "value", "subject"),
    [
        ("ROEHUB_ENV", "production", "configuration"),
        ("STRATEGY_PG_DSN", "nonsense", "Postgres"),
        ("STRATEGY_PG_DSN", "postgresql://[::1/x", "Postgres"),
        ("STRATEGY_PG_DSN", "host=a port=1,2,3", "Postgres"),
        ("STRATEGY_PG_DSN", "host=a\x01 unknown_key=1", "Postgres"),
        ("REDIS_URL", "http://localhost", "Redis"),
        ("REDIS_URL", "redis://localhost:notaport/0", "Redis"),
        ("REDIS_URL", "redis://[::1", "Redis"),
        ("CH_PORT", "seventy", "candles"),
        ("ROEHUB_API_URL", "localhost", "API"),
        ("ROEHUB_BACKTEST_CONFIG", "/nowhere/at/all.yaml", "configuration"),
    ],
)
def test_a_variable_that_is_wrong_is_a_finding_and_everything_else_is_checked(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, name: str, value: str, subject: str
) -> None:
    monkeypatch.setenv("CH_HOST", "127.0.0.1") if name == "CH_PORT" else None
    monkeypatch.setenv("ROEHUB_API_TOKEN", "token")
    monkeypatch.setenv(name, value)
    ended = backtest("doctor", "--within", "60", "--json")
    found = findings(ended)
    assert ended.code in (2, 3)
    assert found[subject]["grade"] in ("wrong", "unreachable"), found[subject]
    assert "\n" not in found[subject]["found"]
    assert found["memory"]["grade"] == "ok"


def test_checks_run_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    all_there = Barrier(3)

    def waits(_: object) -> Iterator[Finding]:
        all_there.wait(timeout=examination.LONGEST_SECONDS)
        yield Finding("part", "ok", "met the others")

    monkeypatch.setattr(examination, "CHECKS", tuple((name, waits) for name in "abc"))
    assert [finding.found for finding in examination.examine()] == ["met the others"] * 3


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: object) -> Iterator[Finding]:
        yield Finding("first", "ok", "there")
        raise RuntimeError("a fault of ours,\nin two lines")

    monkeypatch.setattr(examination, "CHECKS", (("part", breaks),))
    found = examination.examine()
    assert [(finding.subject, finding.grade) for finding in found] == [
        ("first", "ok"),
        ("part", "wrong"),
    ]
    assert found[1].found == "a fault of ours, in two lines"


# --- candles


def test_a_clickhouse_server_is_told_with_its_version(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("ts_open,open,high,low,close,volume\n1704067200000,100,101,99,100.5,3\n")
    endpoint = Endpoint()
    try:
        for name, value in (
            ("CH_HOST", "127.0.0.1"),
            ("CH_PORT", str(endpoint.port)),
            ("CH_USER", USER),
            ("CH_PASSWORD", PASSWORD),
        ):
            monkeypatch.setenv(name, value)
        before = findings(backtest("doctor", "--within", "60", "--json"))["candles"]
        backtest("candles", "import", file, "--market-id", 1, "--symbol", "ABC")
        there = findings(backtest("doctor", "--within", "60", "--json"))["candles"]
        monkeypatch.setenv("CH_PASSWORD", "wrong")
        refused = findings(backtest("doctor", "--within", "60", "--json"))["candles"]
    finally:
        endpoint.stop()
    assert "has no table" in before["found"]
    assert there["found"].startswith("1 instruments, ClickHouse 2")
    assert refused["grade"] == "unreachable"
    assert "wrong" not in refused["found"]


def test_a_candles_folder_that_is_not_there_is_to_be_filled(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_CANDLES_DIR", "/nowhere/at/all")
    ended = backtest("doctor", "--within", "60", "--json")
    found = findings(ended)
    assert (ended.code, found["candles"]["grade"]) == (0, "note")
    assert found["candles"]["commands"] == ["backtest candles import FILE"]
    assert "/nowhere/at/all" in found["candles folder"]["found"]


def test_embedded_candles_are_told_with_their_engine(service: Backtest) -> None:
    found = findings(service("doctor", "--within", "60", "--json"))["candles"]
    assert found["grade"] == "ok"
    assert found["found"].startswith("1 instruments, embedded chDB 2")


# --- how it looks

LONG = Finding(
    "Postgres",
    "wrong",
    "a finding of very many words, " * 8,
    "advice of very many words, " * 8,
    "at least this",
    ("GRANT SELECT, INSERT, UPDATE, DELETE ON public.backtest_jobs TO a_role_with_a_long_name;",),
)


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_read_fits_the_terminal_and_what_is_typed_is_one_line(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    print_all(console, [LONG, Finding("Redis", "ok", "fine")])
    *lines, last = console.file.getvalue().splitlines()
    (typed,) = [line for line in lines if "GRANT" in line]
    assert typed.strip() == LONG.commands[0]
    read = [line for line in lines if line is not typed]
    assert all(len(line.rstrip()) <= width for line in read)
    starts = (" " * 16, "FAIL  Postgres  ", "ok    Redis     ")
    assert all(line.startswith(starts) for line in read)
    assert last == "1 to mend, 0 notes"


def test_who_names_services_needs_no_stack_of_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_DATA_DIR", str(tmp_path))
    named = {"STRATEGY_PG_DSN": "postgresql://db/jobs", "REDIS_URL": "redis://broker"}
    assert list(machine.stack(named)) == []
    for missing in named:
        (found,) = machine.stack(named | {missing: ""})
        assert (found.subject, found.grade) == ("stack", "note")


def test_the_command_takes_as_long_as_an_examination_unless_it_is_told() -> None:
    assert signature(operator.doctor).parameters["within"].default == examination.LONGEST_SECONDS
