import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo

from cli import render, running_stack
from storage import schema
from tests.cli.conftest import Backtest, Ended
from tests.pooler import pooler
from tests.ports import free_port
from tests.storage.making import new_database

SECRET = "0123456789abcdef0123456789abcdef"
COMMANDS = [
    *("submit", "jobs", "show", "top", "watch", "cancel", "report", "name", "export"),
    *("strategies list", "strategies save", "strategies delete"),
    *("up", "demo", "migrate", "worker", "api", "token", "doctor"),
    *("stuck", "pause", "resume"),
    *("candles import", "candles list"),
]

CSV = "ts_open,open,high,low,close,volume\n" + "".join(
    f"{1_704_067_200_000 + 60_000 * minute},100,101,99,100.5,3\n" for minute in (0, 1, 2, 5)
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_with_an_example(backtest: Backtest, command: str) -> None:
    ended = backtest(*command.split(), "--help")
    assert ended.code == 0
    assert f"backtest {command}" in ended.out.partition("For example:")[2]


def test_help_lists_every_command(backtest: Backtest) -> None:
    shown = backtest("--help").out
    assert all(f" {command.split()[0]} " in shown for command in COMMANDS)


def test_the_installed_command_answers() -> None:
    script = Path(sys.executable).with_name("backtest")
    ended = subprocess.run([script, "nonsense"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "nonsense" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_token_is_signed_for_the_user(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", SECRET)
    user = uuid4()
    claims = jwt.decode(
        backtest("token", "--user", user, "--days", 1).out.strip(), SECRET, algorithms=["HS256"]
    )
    assert UUID(claims["sub"]) == user
    assert 0 < claims["exp"] - time.time() <= 86_400


def test_a_token_for_an_operator_says_so(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", SECRET)
    roles = [
        jwt.decode(backtest("token", *options).out.strip(), SECRET, algorithms=["HS256"]).get(
            "role"
        )
        for options in ((), ("--operator",))
    ]
    assert roles == [None, "operator"]


def test_next_to_a_running_stack_a_token_is_signed_with_its_secret(
    backtest: Backtest, bare: Path
) -> None:
    folder = running_stack.data_folder()
    with running_stack.owning(folder):
        running_stack.announce(folder, {"ROEHUB_JWT_SECRET": SECRET})
        token = backtest("token").out.strip()
    assert jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]


@pytest.mark.parametrize(("env", "secure"), [("dev", False), ("prod", True)])
def test_a_cookie_jar_is_read_like_curl_reads_it(
    backtest: Backtest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    env: str,
    secure: bool,
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", SECRET)
    monkeypatch.setenv("ROEHUB_ENV", env)
    file = tmp_path / "cookies.txt"
    file.touch(mode=0o644)  # one of curl's, say
    assert backtest("token", "--cookie-jar", file).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    jar = MozillaCookieJar(file)
    jar.load()
    (cookie,) = jar
    assert (cookie.name, cookie.domain, cookie.path) == ("roehub_session", "127.0.0.1", "/")
    assert cookie.secure is secure
    assert cookie.has_nonstandard_attr("HTTPOnly") or cookie.has_nonstandard_attr("HttpOnly")
    assert jwt.decode(str(cookie.value), SECRET, algorithms=["HS256"])["exp"] == cookie.expires


@pytest.mark.parametrize("secret", ["", "short"])
def test_no_token_without_a_long_secret(
    backtest: Backtest, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", secret)
    ended = backtest("token")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "ROEHUB_JWT_SECRET" in ended.err


def test_migrate_brings_an_empty_database_up_to_date(
    backtest: Backtest, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database(postgres_server) as dsn:
        monkeypatch.setenv("POSTGRES_DSN", dsn)
        ended = backtest("migrate")
        assert ended.code == 0, ended.err
        with psycopg.connect(dsn, autocommit=True) as conn:
            schema.check(conn)


def test_migrate_without_a_dsn_names_the_variable(backtest: Backtest) -> None:
    ended = backtest("migrate")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "POSTGRES_DSN" in ended.err


def test_migrate_to_an_unknown_revision_is_one_message(
    backtest: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", database)
    ended = backtest("migrate", "9999")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "9999" in ended.err


def test_candles_are_imported_and_listed(service: Backtest, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV)
    ended = service("candles", "import", file, "--market-id", 3, "--symbol", "ABC")
    assert ended.code == 0, ended.err
    assert "4 minutes" in ended.out
    assert "1 gap, 2 minutes missing" in ended.out
    _, listed = service("candles", "list", "--json").json
    assert (listed["market_id"], listed["symbol"], listed["minutes"]) == (3, "ABC", 4)
    assert "ABC" in service("candles", "list").out


@pytest.mark.parametrize("width", [60, 160])
def test_a_list_of_candles_fits_the_terminal(
    service: Backtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV)
    service("candles", "import", file, "--market-id", 3, "--symbol", "ABCUSDT")
    monkeypatch.setattr(render, "PIPE_WIDTH", width)
    listed = service("candles", "list").out
    assert "…" not in listed
    assert all(len(line) <= width for line in listed.splitlines())
    assert listed.splitlines()[-1].split()[-3:] == ["4", "33.33", "%"]


def test_importing_again_changes_nothing(service: Backtest, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV)
    arguments = ("candles", "import", file, "--market-id", 3, "--symbol", "ABC", "--json")
    assert [service(*arguments).json["published"] for _ in range(2)] == [4, 0]


def test_doctor_on_a_bare_machine_says_how_to_start(backtest: Backtest) -> None:
    ended = backtest("doctor")
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


def findings(ended: Ended) -> dict[str, dict[str, str]]:
    return {finding["subject"]: finding for finding in ended.json}


def test_doctor_finds_working_services(service: Backtest, own_redis: redis.Redis) -> None:
    ended = service("doctor", "--json")
    found = findings(ended)
    assert ended.code == 0
    subjects = ("configuration", "Postgres", "Redis", "API")
    assert [found[subject]["grade"] for subject in subjects] == ["ok"] * 4


def test_doctor_finds_an_api_that_is_away(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("ROEHUB_API_URL", url)
    ended = service("doctor", "--json")
    assert (ended.code, findings(ended)["API"]["grade"]) == (3, "unreachable")
    assert url in findings(ended)["API"]["found"]


def test_doctor_finds_a_token_that_is_refused(
    service: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_API_TOKEN", "stale")
    ended = service("doctor", "--json")
    assert (ended.code, findings(ended)["API"]["grade"]) == (2, "wrong")
    assert "backtest token" in findings(ended)["API"]["found"]


def test_doctor_does_not_count_its_own_deployment_as_a_stranger(
    service: Backtest, own_redis: redis.Redis, connection: psycopg.Connection
) -> None:
    own_redis.rpush(f"{schema.namespace(connection)}:backtest", "m")
    assert findings(service("doctor", "--json"))["Redis"]["grade"] == "ok"


@pytest.mark.parametrize("key", ["0a1b2c3d4e5f:backtest", "0a1b2c3d4e5f:__heartbeats__"])
def test_doctor_names_who_shares_the_redis(
    service: Backtest, own_redis: redis.Redis, key: str
) -> None:
    own_redis.rpush(key, "m")
    redis_finding = findings(service("doctor", "--json"))["Redis"]
    assert redis_finding["grade"] == "note"
    assert "shared with 0a1b2c3d4e5f" in redis_finding["found"]


def test_doctor_says_what_a_pooler_means(
    service: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooler(database) as pool:
        monkeypatch.setenv("STRATEGY_PG_DSN", pool.dsn)
        postgres = findings(service("doctor", "--json"))["Postgres"]
    assert postgres["grade"] == "note"
    assert "behind a pooler" in postgres["found"]
    assert "polling" in postgres["advice"]


def test_doctor_knows_a_database_that_does_not_exist(
    service: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", make_conninfo(database, dbname="nowhere"))
    ended = service("doctor", "--json")
    assert ended.code == 2
    assert "no such database" in findings(ended)["Postgres"]["found"]


def test_a_command_on_a_database_that_does_not_exist_is_one_line(
    service: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", make_conninfo(database, dbname="nowhere"))
    ended = service("migrate")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no such database" in ended.err


def test_doctor_finds_a_service_that_is_away(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    ended = service("doctor")
    assert ended.code == 3
    assert "FAIL  Redis" in ended.out


def test_doctor_finds_an_unmigrated_schema(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", make_conninfo(postgres_server, dbname="postgres"))
    ended = service("doctor")
    assert ended.code == 2
    assert "backtest migrate" in ended.out


def test_kernels_can_be_compiled_ahead(backtest: Backtest) -> None:
    found = backtest("compile", "--json").json
    assert any(Path(found["folder"]).rglob("*.nbc"))
    assert found["seconds"] >= 0
    assert backtest("compile", "--json").json["from_cache"]
