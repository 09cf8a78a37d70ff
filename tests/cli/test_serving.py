"""`backtest api`: real processes that are started, asked, killed and told to stop."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.api.running import Api
from tests.cli.conftest import Backtest

SECONDS = 60.0
ADDRESS = re.compile(r"event=listening url=(\S+)")
STOPS_WITHIN = 5.0
BACKTEST = (sys.executable, "-m", "cli")


class Running:
    """`backtest api` on the database of the session's API."""

    def __init__(
        self, served: Api, log: Path, *options: object, command: Sequence[str] = BACKTEST
    ) -> None:
        self.url = ""
        with log.open("w") as output:
            self.process = subprocess.Popen(
                (*command, "api", "--port", "0", *map(str, options)),
                env=served.environ(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.log = log

    def get(self, path: str, **more: object) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=SECONDS, verify=False, **more)  # type: ignore[arg-type]

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        said = ADDRESS.findall(self.log.read_text())
        if not said:
            return False
        (self.url,) = said
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def servers(self) -> list[psutil.Process]:
        """The processes that serve: children of the one that was started."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found


@contextmanager
def running(
    served: Api, folder: Path, *options: object, command: Sequence[str] = BACKTEST
) -> Iterator[Running]:
    api = Running(served, folder / "api.log", *options, command=command)
    try:
        until(api.answers, "it does not answer")
        yield api
    finally:
        if api.process.poll() is None:
            api.process.kill()
        api.process.wait()


def until(condition: object, what: str) -> None:
    assert callable(condition)
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_0_when_it_is_told_to(
    served: Api, tmp_path: Path, number: signal.Signals
) -> None:
    with running(served, tmp_path) as api:
        api.process.send_signal(number)
        assert api.process.wait(STOPS_WITHIN) == 0
        assert "Traceback" not in api.log.read_text()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_call_that_waits_for_the_database_does_not_hold_it(
    served: Api, tmp_path: Path, processes: int
) -> None:
    headers = {"Authorization": f"Bearer {served.token()}"}
    with (
        running(served, tmp_path, "--processes", processes) as api,
        psycopg.connect(served.dsn) as holder,
        httpx.Client(timeout=SECONDS) as caller,
    ):
        holder.execute("LOCK TABLE backtest_jobs")
        waiting = caller.build_request("GET", f"{api.url}/backtests/jobs/abcd", headers=headers)

        def call() -> None:
            try:
                caller.send(waiting)
            except httpx.TransportError:
                return

        thread = threading.Thread(target=call)
        thread.start()
        blocked = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        with psycopg.connect(served.dsn, autocommit=True) as observer:
            until(lambda: observer.execute(blocked).fetchone() is not None, "nobody waits")
        began = time.monotonic()
        api.process.send_signal(signal.SIGTERM)
        code = api.process.wait(SECONDS)
        took = time.monotonic() - began
        thread.join()
    assert code == 0
    assert took < STOPS_WITHIN


def counted(metrics: str, route: str) -> float:
    """How many calls of a route there were."""
    name = "backtest_api_request_duration_seconds_count"
    return sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith(name) and f'route="{route}"' in line
    )


def test_several_processes_share_port_and_metrics_and_one_that_dies_is_replaced(
    served: Api, tmp_path: Path
) -> None:
    with running(served, tmp_path, "--processes", 2) as api:
        until(lambda: len(api.servers()) == 2, "there are not two")
        killed, _ = api.servers()
        killed.kill()
        until(lambda: len(api.servers()) == 2 and killed not in api.servers(), "it is not replaced")
        for stopped in api.servers():  # so that each of them answers one call
            stopped.suspend()
            assert api.get("/readyz").status_code == 200
            stopped.resume()
        # A call is counted after it was answered.
        until(lambda: counted(api.get("/metrics").text, "/readyz") == 2, "not both are counted")
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(STOPS_WITHIN) == 0


def test_a_port_that_is_taken_is_one_line(
    service: Backtest, served: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", served.secret)
    ended = service("api", "--port", served.port)
    assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert f"127.0.0.1:{served.port} cannot be listened on" in ended.err
    assert "--port" in ended.err


def test_it_says_where_it_listens(served: Api, tmp_path: Path) -> None:
    with running(served, tmp_path, "--host", "::1") as api:
        assert api.url.startswith("http://[::1]:")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ROEHUB_ENV", "staging"),
        ("ROEHUB_JWT_SECRET", ""),
        ("ROEHUB_JWT_SECRET", "short"),
        ("STRATEGY_PG_DSN", ""),
        ("STRATEGY_PG_DSN", "nonsense"),
    ],
)
def test_a_bad_environment_is_one_line_before_anything_listens(
    service: Backtest, served: Api, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("ROEHUB_JWT_SECRET", served.secret)
    monkeypatch.setenv(variable, value)
    ended = service("api", "--port", served.port)  # taken: that would be said otherwise
    assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert variable in ended.err
    assert "short" not in ended.err.replace("shorter", "")


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
