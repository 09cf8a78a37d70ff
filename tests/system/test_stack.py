import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis

from tests.cli.conftest import REQUEST, changed
from tests.system.conftest import Terminal, fill, leads_a_session, own_folder, processes, until


@pytest.fixture(scope="module")
def stack() -> Iterator[Terminal]:
    """A terminal next to a running `backtest up`, with two days of candles."""
    with own_folder() as folder:
        terminal = Terminal(folder)
        terminal.start("up", *ANY_PORT)
        try:
            terminal.wait_for("ready")
            fill(terminal.folder / "stack" / "candles", days=2)
            yield terminal
        finally:
            terminal.close()
        assert terminal.left_running() == []


ANY_PORT = ("--api-port", 0)
PAGE = re.compile(r"^the page is at (http://127\.0\.0\.1:\d+)$", flags=re.MULTILINE)


def request(folder: Path, **changes: object) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps(changed(**changes) if changes else REQUEST))
    return path


def test_a_sweep_from_another_terminal_succeeds_and_is_reported(stack: Terminal) -> None:
    submitted = stack.run("submit", request(stack.folder), "--json")
    assert submitted.returncode == 0, submitted.stderr
    job_id = json.loads(submitted.stdout)["job_id"]
    watched = stack.run("watch", job_id)
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "return" in watched.stdout
    top = json.loads(stack.run("top", job_id, "--json").stdout)
    assert [row["rank"] for row in top] == [1, 2, 3, 4]
    page = stack.folder / "best.html"
    reported = stack.run("report", job_id, "--html", page)
    assert reported.returncode == 0, reported.stderr
    assert "TESTUSDT" in page.read_text()


def test_a_sweep_of_an_instrument_without_candles_is_refused(stack: Terminal) -> None:
    nowhere = request(stack.folder, template__instrument_id={"market_id": 1, "symbol": "NONE"})
    ended = stack.run("submit", nowhere, "--watch")
    assert ended.returncode == 2
    assert "NONE: market 1 has TESTUSDT" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_killed_worker_is_replaced(stack: Terminal) -> None:
    def masters() -> set[int]:
        return {
            pid
            for pid, command, environ in processes()
            if "dramatiq" in command
            and environ.get("ROEHUB_DATA_DIR") == stack.environ["ROEHUB_DATA_DIR"]
            and leads_a_session(pid)
        }

    (killed,) = masters()
    os.kill(killed, signal.SIGKILL)
    until(lambda: bool(masters() - {killed}), "no new worker")
    ended = stack.run("submit", request(stack.folder), "--watch")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_is_where_the_stack_says_and_knows_the_local_user(stack: Terminal) -> None:
    (url,) = PAGE.findall((stack.folder / "output").read_text())
    assert httpx.get(f"{url}/readyz").json() == {"status": "ok"}
    token = stack.run("token").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    theirs = httpx.get(f"{url}/backtests/jobs?limit=250", headers=headers).json()["items"]
    ours = json.loads(stack.run("jobs", "--json", "--limit", 250).stdout)
    assert theirs == ours


def test_a_killed_api_is_replaced_and_commands_do_not_notice(stack: Terminal) -> None:
    def servers() -> set[int]:
        return {
            pid
            for pid, command, environ in processes()
            if "-m cli api" in command
            and environ.get("ROEHUB_DATA_DIR") == stack.environ["ROEHUB_DATA_DIR"]
        }

    (killed,) = servers()
    os.kill(killed, signal.SIGKILL)
    ended = stack.run("jobs", "--json")
    assert ended.returncode == 0, ended.stderr
    assert servers() - {killed}


def test_a_port_that_is_taken_is_one_line_and_nothing_is_left(
    stack: Terminal, terminal: Terminal
) -> None:
    (url,) = PAGE.findall((stack.folder / "output").read_text())
    port = url.rpartition(":")[2]
    ended = terminal.run("up", "--api-port", port)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"port {port} of 127.0.0.1" in ended.stderr
    assert "--api-port" in ended.stderr
    assert terminal.left_running() == []


def test_secrets_are_for_their_owner_and_are_not_printed(stack: Terminal) -> None:
    folder = stack.folder / "stack"
    for file in (folder / "jwt-secret", folder / "stack.json"):
        assert file.stat().st_mode & 0o077 == 0, file
    printed = (stack.folder / "output").read_text()
    assert (folder / "jwt-secret").read_text() not in printed
    assert stack.run("token").stdout.split(".")[0] not in printed


def test_a_second_stack_in_the_same_folder_is_refused(stack: Terminal) -> None:
    ended = stack.run("up")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "--data-dir" in ended.stderr


def test_doctor_is_content_with_a_running_stack(stack: Terminal) -> None:
    ended = stack.run("doctor", "--within", "60")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stack_that_is_told_to_stop_leaves_nothing_and_exits_0(
    terminal: Terminal, number: signal.Signals
) -> None:
    process = terminal.start("up", *ANY_PORT)
    terminal.wait_for("ready")
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(timeout=60) == 0, (terminal.folder / "output").read_text()
    assert terminal.left_running() == []


def test_a_killed_stack_leaves_nothing_behind(terminal: Terminal) -> None:
    process = terminal.start("up", *ANY_PORT, "--workers", 2)
    terminal.wait_for("ready")
    process.kill()
    process.wait()
    until(lambda: terminal.left_running() == [], f"left: {terminal.left_running()}")


def test_services_of_the_environment_are_used_and_left_alone(
    tmp_path: Path, database: str, redis_url: str
) -> None:
    terminal = Terminal(tmp_path, STRATEGY_PG_DSN=database, REDIS_URL=redis_url)
    process = terminal.start("up", *ANY_PORT)
    terminal.wait_for("ready")
    fill(tmp_path / "stack" / "candles", days=2)
    ended = terminal.run("submit", request(tmp_path), "--watch")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not (tmp_path / "stack" / "postgres").exists()
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT state FROM backtest_jobs").fetchall() == [("succeeded",)]
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()


def test_a_bad_setting_ends_up_before_anything_is_started(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, ROEHUB_ENV="staging")
    ended = terminal.run("up")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "stack").exists()


def test_a_service_that_is_away_is_code_3_and_nothing_is_left(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, REDIS_URL=f"unix://{tmp_path}/nobody.sock")
    ended = terminal.run("up", *ANY_PORT)
    assert ended.returncode == 3, ended.stderr
    assert "REDIS_URL" in ended.stderr
    assert terminal.left_running() == []
