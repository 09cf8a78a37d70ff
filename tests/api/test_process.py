"""The process: what it needs to start, how it ends, and what it says while something is away."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from api import tokens
from tests.api.running import ROOT, Api, Caller, running
from tests.making_jobs import REQUEST
from tests.own_postgres import OwnPostgres, own_postgres

JOBS = "/backtests/jobs"


def started(api: Api, **changes: str) -> subprocess.CompletedProcess[str]:
    """Make the application in a process of its own; returns how that ended."""
    environ = {name: value for name, value in (api.environ() | changes).items() if value}
    return subprocess.run(
        [sys.executable, "-c", "from api.app import create_app; create_app()"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("env", ["dev", "test", "prod"])
@pytest.mark.parametrize("secret", ["", "x" * 31])
def test_nothing_starts_without_a_secret_or_with_a_short_one(
    api: Api, env: str, secret: str
) -> None:
    ended = started(api, ROEHUB_ENV=env, **{tokens.SECRET: secret})
    assert ended.returncode != 0
    assert f"{tokens.SECRET} is" in ended.stderr
    assert "32 bytes" in ended.stderr
    assert "x" * 31 not in ended.stderr


def test_making_the_application_opens_nothing(api: Api, tmp_path: Path) -> None:
    dsn = "postgresql://nobody@127.0.0.1:1/nowhere"
    ended = started(api, STRATEGY_PG_DSN=dsn, ROEHUB_CANDLES_DIR=str(tmp_path / "missing"))
    assert ended.returncode == 0, ended.stderr


def test_no_compiler_is_loaded_and_nothing_that_imports_candles(api: Api) -> None:
    made = "from api.app import create_app; create_app()"
    heavy = "{'numba', 'pyarrow.compute', 'pyarrow.parquet', 'storage.candles.importing', 'chdb'}"
    code = f"{made}; import sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=api.environ(), check=True)


def test_sigterm_ends_the_process_while_a_body_is_on_its_way(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    with running(own_database, candles, tmp_path) as api, socket.socket() as slow:
        slow.connect(("127.0.0.1", api.port))
        head = f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token()}\r\n"
        slow.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        api.get("/healthz")
        assert api.process is not None
        began = time.monotonic()
        api.process.send_signal(signal.SIGTERM)
        api.process.wait(30)
        assert time.monotonic() - began < 5


def test_a_body_that_takes_too_long_is_refused(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    config = configured(tmp_path, "    body_seconds: 10", "    body_seconds: 0.2")
    changes = {"ROEHUB_BACKTEST_CONFIG": str(config)}
    with running(own_database, candles, tmp_path, changes=changes) as api, socket.socket() as slow:
        slow.connect(("127.0.0.1", api.port))
        head = f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token()}\r\n"
        slow.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        answer = slow.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer + slow.recv(65_536)


def test_a_call_that_takes_too_long_is_answered_with_503(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    config = configured(tmp_path, "    request_seconds: 60", "    request_seconds: 0.3")
    changes = {"ROEHUB_BACKTEST_CONFIG": str(config)}
    with (
        running(own_database, candles, tmp_path, changes=changes) as api,
        psycopg.connect(own_database) as holder,
    ):
        holder.execute("LOCK TABLE backtest_jobs IN ACCESS EXCLUSIVE MODE")
        answer = api.get(JOBS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert api.get("/healthz").status_code == 200


def configured(folder: Path, line: str, changed: str) -> Path:
    """Write the configuration of tests with one line changed."""
    text = (ROOT / "configs" / "test" / "backtest.yaml").read_text()
    assert line in text
    path = folder / "backtest.yaml"
    path.write_text(text.replace(line, changed))
    return path


# -------------------------------------------------------------------------------- switched off


def test_where_jobs_are_switched_off_their_calls_are_not_there(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    config = configured(tmp_path, "    enabled: true", "    enabled: false")
    changes = {"ROEHUB_BACKTEST_CONFIG": str(config)}
    with running(own_database, candles, tmp_path, changes=changes) as api:
        for method, path in (
            ("GET", JOBS),
            ("POST", JOBS),
            ("POST", "/backtests/estimate"),
            ("GET", f"{JOBS}/0000/top"),
            ("GET", "/backtests/stream"),
            ("DELETE", f"{JOBS}/0000"),
        ):
            answer = api.a.call(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "jobs_disabled")
        assert api.get("/backtests/indicators").status_code == 200
        assert JOBS not in api.get("/openapi.json").json()["paths"]


# ------------------------------------------------------------------------------ Postgres is away


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


def test_while_postgres_is_away_calls_say_so_and_work_again_afterwards(
    server: OwnPostgres, candles: Path, tmp_path: Path
) -> None:
    import migrations

    migrations.upgrade(server.dsn)
    with running(server.dsn, candles, tmp_path) as api:
        job_id = api.post(JOBS, json=REQUEST).json()["job_id"]
        server.stop()
        for method, path in (
            ("GET", JOBS),
            ("GET", f"{JOBS}/{job_id}"),
            ("POST", f"{JOBS}/{job_id}/cancel"),
            ("GET", "/readyz"),
        ):
            answer = api.a.call(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) > 0
            assert "postgres" not in answer.text.lower().replace("the database", "")
        assert api.get("/healthz").status_code == 200
        server.start()
        assert api.get("/readyz").status_code == 200
        assert api.get(f"{JOBS}/{job_id}").json()["job_id"] == job_id


# --------------------------------------------------------------------------------------- metrics


def count(text: str, route: str, method: str, status: int) -> float:
    labels = f'method="{method}",route="{route}",status="{status}"'
    wanted = f"backtest_api_request_duration_seconds_count{{{labels}}} "
    return sum(
        float(line.removeprefix(wanted)) for line in text.splitlines() if line.startswith(wanted)
    )


def test_calls_are_measured_by_the_template_of_their_path(api: Api, user: Caller) -> None:
    job_id = user.post(JOBS, json=REQUEST).json()["job_id"]
    nobody = api.nobody()
    before = nobody.get("/metrics").text
    for _ in range(3):
        user.get(f"{JOBS}/{job_id}")
    user.get("/made/up/by/somebody")
    user.call("FROBNICATE", JOBS)
    after = nobody.get("/metrics").text
    route = f"{JOBS}/{{job_id}}"
    assert count(after, route, "GET", 200) - count(before, route, "GET", 200) == 3
    assert count(after, "unmatched", "GET", 404) - count(before, "unmatched", "GET", 404) == 1
    assert job_id not in after
    assert "made/up" not in after
    assert "FROBNICATE" not in after


def test_metrics_add_up_over_several_processes(
    own_database: str, candles: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    with running(
        own_database,
        candles,
        tmp_path,
        changes={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        options=("--workers", "2"),
    ) as api:
        headers, asked = {"Authorization": f"Bearer {api.token()}"}, 0
        end = time.monotonic() + 30
        # A connection each, until both processes were asked.
        while len({file.name.partition("_")[2] for file in folder.iterdir()}) < 2:
            assert time.monotonic() < end, f"one process answered all of {asked} calls"
            httpx.get(f"{api.url}{JOBS}", headers=headers, verify=False)
            asked += 1
        text = httpx.get(f"{api.url}/metrics").text
        assert count(text, JOBS, "GET", 200) == asked
