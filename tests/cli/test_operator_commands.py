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

from cli import running_stack
from storage import schema
from tests.cli.conftest import Backtest
from tests.storage.making import new_database

SECRET = "0123456789abcdef0123456789abcdef"
COMMANDS = [
    *("submit", "jobs", "show", "top", "watch", "cancel", "report", "name", "export"),
    *("strategies list", "strategies save", "strategies delete"),
    *("up", "demo", "migrate", "worker", "api", "token", "doctor"),
    *("stuck", "pause", "resume", "retention"),
    *("candles import", "candles list", "candles show", "candles gaps"),
    *("candles verify", "candles delete"),
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


def test_importing_again_changes_nothing(service: Backtest, tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text(CSV)
    arguments = ("candles", "import", file, "--market-id", 3, "--symbol", "ABC", "--json")
    assert [service(*arguments).json["new"] for _ in range(2)] == [4, 0]


def test_a_command_on_a_database_that_does_not_exist_is_one_line(
    service: Backtest, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", make_conninfo(database, dbname="nowhere"))
    ended = service("migrate")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "no such database" in ended.err


def test_kernels_can_be_compiled_ahead(backtest: Backtest) -> None:
    found = backtest("compile", "--json").json
    assert any(Path(found["folder"]).rglob("*.nbc"))
    assert found["seconds"] >= 0
    assert backtest("compile", "--json").json["from_cache"]
