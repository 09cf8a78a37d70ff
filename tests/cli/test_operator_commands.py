import stat
import subprocess
import sys
import time
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from storage import schema
from tests.cli.conftest import Backtest
from tests.storage.making import new_database

SECRET = "0123456789abcdef0123456789abcdef"
COMMANDS = [
    *("submit", "jobs", "show", "top", "watch", "cancel", "report"),
    *("up", "demo", "migrate", "worker", "token", "doctor", "candles import", "candles list"),
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
    assert "1 gaps, 2 minutes missing" in ended.out
    (listed,) = service("candles", "list", "--json").json
    assert (listed["market_id"], listed["symbol"], listed["minutes"]) == (3, "ABC", 4)
    assert "ABC" in service("candles", "list").out


def test_importing_again_changes_nothing(service: Backtest, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV)
    arguments = ("candles", "import", file, "--market-id", 3, "--symbol", "ABC", "--json")
    assert [service(*arguments).json["published"] for _ in range(2)] == [4, 0]


def test_doctor_on_a_bare_machine_says_how_to_start(backtest: Backtest) -> None:
    ended = backtest("doctor")
    assert ended.code == 0, ended.out
    assert "backtest up" in ended.out


def test_doctor_finds_working_services(
    service: Backtest, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    ended = service("doctor", "--json")
    grades = {finding["subject"]: finding["grade"] for finding in ended.json}
    assert ended.code == 0
    assert [grades[subject] for subject in ("configuration", "Postgres", "Redis")] == ["ok"] * 3


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
    assert found["seconds"] > 0
    assert backtest("compile", "--json").json["from_cache"]
