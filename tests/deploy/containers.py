"""The product in containers: image and compose file of `deploy/`, as in an operator's day.

`make test-deploy` runs it; `make test` does not collect it, because its name does not begin like a
test's. It says what it does, how large the image is and how long things took.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from configs import settings
from engine.synthetic import minutes
from tests.deploy import engine
from tests.deploy.engine import Compose, podman, run, say, until
from tests.making_jobs import changed

pytestmark = pytest.mark.timeout(3600)

# As strict as compose and Kubernetes are: no rights, a user whom nobody knows.
STRICT = ("--read-only", "--tmpfs=/tmp", "--user=4242:4242", "--cap-drop=ALL")
LEASE_SECONDS = 6
DAYS = 366
SECRETS = {
    "POSTGRES_PASSWORD": "p@ss/word: with #everything",
    "CLICKHOUSE_PASSWORD": "another one",
    "ROEHUB_JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "GRAFANA_PASSWORD": "nobody starts it here",
}
SMALL = changed()
LONG = changed(
    template__timeframe="1m",
    time_range={"start": "2024-01-01T00:00:00Z", "end": "2024-07-01T00:00:00Z"},
    template__indicator_grids=[
        {
            "indicator_id": "ma.cross",
            "params": {
                "ma": {"mode": "explicit", "values": ["sma", "ema"]},
                "fast": {"mode": "range", "start": 5, "stop_incl": 44, "step": 1},
                "slow": {"mode": "range", "start": 50, "stop_incl": 129, "step": 1},
            },
        }
    ],
)
"""Several seconds of computation, and some hundred megabytes."""
ROOM_MIB = 100
"""What a worker's container may have beyond an idle worker: enough for a small job only."""


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    reason = os.environ.get("NO_CONTAINERS", "not started by tests/deploy/box.sh")
    if "BOX_HOME" not in os.environ:
        pytest.skip(f"containers cannot run: {reason}")


@pytest.fixture(scope="module")
def image(possible: None) -> str:
    """The image of the product, built from this work tree."""
    begin = time.monotonic()
    engine.make_base()
    say(f"base image: {time.monotonic() - begin:.0f} s")
    begin = time.monotonic()
    engine.build(engine.IMAGE, engine.ROOT / "deploy" / "Dockerfile", engine.ROOT)
    took = time.monotonic() - begin
    say(f"image: built in {took:.0f} s, {megabytes(engine.IMAGE)} MB")
    say(f"{megabytes(engine.BASE)} MB of it are its base")
    return engine.IMAGE


def megabytes(image: str) -> int:
    return int(podman("image", "inspect", image, "--format={{.Size}}")) // 10**6


# ------------------------------------------------------------------------------------- the image


def test_it_runs_without_rights_as_a_user_that_nobody_knows(image: str) -> None:
    begin = time.monotonic()
    said = podman("run", "--rm", *STRICT, image, "backtest", "--version")
    say(f"first command: {time.monotonic() - begin:.1f} s: {said}")
    assert podman("run", "--rm", *STRICT, image, "id", "-u") == "4242"
    assert podman("run", "--rm", image, "id", "-u") == "10001"
    assert (
        run("podman", "run", "--rm", *STRICT, image, "touch", "/opt/x", code=None).returncode != 0
    )


def test_its_kernels_are_compiled(image: str) -> None:
    said = json.loads(podman("run", "--rm", *STRICT, image, "backtest", "compile", "--json"))
    assert said["from_cache"] is True
    say(f"kernels loaded in {said['seconds']} s")


def test_its_first_process_reaps_and_passes_signals_on(image: str) -> None:
    assert podman("run", "--rm", image, "cat", "/proc/1/comm") == "tini"


def test_a_program_that_needs_more_than_its_container_may_have_ends_with_137(image: str) -> None:
    ended = run(
        "podman", "run", "--rm", *STRICT, "--memory=64m", image, "backtest", "compile", code=None
    )
    assert ended.returncode == 137, ended.stderr


def test_doctor_measures_the_container_not_the_machine(image: str) -> None:
    said = run(
        "podman",
        "run",
        "--rm",
        *STRICT,
        "--memory=1g",
        image,
        "backtest",
        "doctor",
        "--json",
        code=None,
    )
    found = {finding["subject"]: finding for finding in json.loads(said.stdout)}
    assert found["memory"]["found"].startswith("1.0 GiB")
    assert found["kernels"]["grade"] == "ok"


def test_a_bad_setting_is_one_line_and_code_2(image: str) -> None:
    for command in (
        ("python", "-m", "scheduler"),
        ("dramatiq", "tasks.backtest", "--processes", "1"),
    ):
        ended = run("podman", "run", "--rm", *STRICT, image, *command, code=None)
        assert ended.returncode == 2
        assert "STRATEGY_PG_DSN is not set" in ended.stdout + ended.stderr


# ------------------------------------------------------------------------------------- compose


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the operator, for every user of a container to read."""
    made = tmp_path_factory.mktemp("operator")
    for part in (made, *made.parents):
        if part.is_relative_to(tmp_path_factory.getbasetemp().parent):
            part.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def variables(image: str, folder: Path) -> dict[str, str]:
    document = yaml.safe_load(Path(settings.load(environ={"ROEHUB_ENV": "prod"}).path).read_text())
    document["backtest"]["jobs"] |= {
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_seconds": LEASE_SECONDS / 3,
    }
    config = folder / "backtest.yaml"
    config.write_text(yaml.safe_dump(document))
    stores = ("POSTGRES_IMAGE", "REDIS_IMAGE", "CLICKHOUSE_IMAGE", "PROMETHEUS_IMAGE")
    return {
        **SECRETS,
        "BACKTEST_IMAGE": image,
        "BACKTEST_CONFIG": str(config),
        **dict.fromkeys(stores, engine.STORES_IMAGE),
    }


@pytest.fixture(scope="module")
def network(image: str) -> Iterator[engine.Network]:
    made = engine.Network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def compose(network: engine.Network, folder: Path, variables: dict[str, str]) -> Iterator[Compose]:
    begin = time.monotonic()
    engine.clear()
    engine.make_stores()
    say(f"images of stores: {time.monotonic() - begin:.0f} s")
    stack = Compose(folder, network, variables)
    begin = time.monotonic()
    stack.up(*Compose.STORES)
    stack("run", "--rm", "--no-deps", "migrate")
    stack.up("scheduler", "worker", "api")
    say(f"2 schedulers, 2 workers and the API healthy after {time.monotonic() - begin:.0f} s")
    yield stack
    stack("down", "--volumes", code=None)


class User:
    """A user's machine: commands in containers of their own, which know the API alone."""

    def __init__(self, compose: Compose, image: str, folder: Path) -> None:
        (api,) = compose.containers("api")
        self._compose, self._image, self._folder = compose, image, folder
        self._token = compose.exec(api, "backtest", "token")

    def __call__(self, *command: object, code: int | None = 0) -> str:
        variables = ("ROEHUB_API_URL=http://api:8000", f"ROEHUB_API_TOKEN={self._token}")
        options = (
            *STRICT,
            *(f"--env={each}" for each in variables),
            f"--volume={self._folder}:/user:ro",
        )
        ended = self._compose.beside(self._image, options, "backtest", *command, code=code)
        return ended.stdout.strip()

    def submit(self, request: dict[str, Any]) -> str:
        (self._folder / "request.json").write_text(json.dumps(request))
        submitted: str = json.loads(self("submit", "/user/request.json", "--json"))["job_id"]
        return submitted

    def show(self, job: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self("show", job, "--json"))
        return shown

    def ends(self, job: str) -> dict[str, Any]:
        self("watch", job, code=None)
        return self.show(job)


@pytest.fixture(scope="module")
def user(compose: Compose, image: str, folder: Path) -> User:
    """A user, and a year of candles that an operator has imported."""
    import pyarrow as pa
    from pyarrow import csv

    made = minutes(seed=7, start_ms=1_703_980_800_000, count=DAYS * 1440)
    names = ("ts_open", "open", "high", "low", "close", "volume")
    table = pa.table({name: np.asarray(getattr(made, name)) for name in names}).rename_columns(
        ["timestamp", *names[1:]]
    )
    csv.write_csv(table, folder / "TESTUSDT.csv")
    begin = time.monotonic()
    mount = f"--volume={folder}:/data:ro"
    instrument = ("--market-id", "1", "--symbol", "TESTUSDT")
    command = ("backtest", "candles", "import", "/data/TESTUSDT.csv", *instrument)
    compose("run", "--rm", "--no-deps", mount, "api", *command)
    say(f"{len(made.ts_open)} candles imported in {time.monotonic() - begin:.0f} s")
    return User(compose, image, folder)


def owner(compose: Compose, job: str) -> str:
    """The container whose host name stands in `locked_by`, once the job computes."""
    query = f"SELECT locked_by FROM backtest_jobs WHERE job_id = '{job}' AND processed_units > 0"
    locked_by = until(lambda: compose.sql(query), "the job computes")
    host = locked_by.rsplit("-", 2)[0]
    return next(
        name
        for name in compose.containers("worker")
        if json.loads(podman("inspect", name))[0]["Config"]["Hostname"] == host
    )


def anonymous_bytes(compose: Compose, name: str) -> int:
    """Memory that a container's processes hold; the page cache could be given back."""
    files = "/sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat"
    text = compose.exec(name, "sh", "-c", f"cat {files} 2>/dev/null; true")
    found = re.search(r"^(?:anon|total_rss) (\d+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def test_doctor_is_content_in_a_container(compose: Compose, user: User) -> None:
    (api,) = compose.containers("api")
    found = {
        f["subject"]: f["grade"]
        for f in json.loads(compose.exec(api, "backtest", "doctor", "--json", code=None))
    }
    named = ("configuration", "Postgres", "Redis", "candles", "kernels")
    assert {name: found[name] for name in named} == dict.fromkeys(named, "ok")


def test_a_job_is_computed(user: User) -> None:
    begin = time.monotonic()
    job = user.ends(user.submit(SMALL))
    assert job["state"] == "succeeded", job
    say(f"a job: {time.monotonic() - begin:.1f} s from the command to its end")


def test_a_job_outlives_the_container_of_its_worker(compose: Compose, user: User) -> None:
    job = user.submit(LONG)
    first = owner(compose, job)
    begin = time.monotonic()
    os.kill(engine.state(first)["Pid"], signal.SIGKILL)
    ended = user.ends(job)
    assert ended["state"] == "succeeded", ended
    crashes = compose.sql(f"SELECT attempt, crash_count FROM backtest_jobs WHERE job_id = '{job}'")
    assert crashes == "2|1"
    say(f"worker killed: job ended {time.monotonic() - begin:.0f} s later, lease {LEASE_SECONDS} s")


def test_the_container_of_a_killed_worker_is_started_again(compose: Compose) -> None:
    for name in compose.containers("worker"):
        until(lambda name=name: engine.state(name)["Running"], f"{name} runs")
        compose.wait_until_healthy(name)


def test_a_worker_that_is_stopped_gives_its_job_to_another_one(
    compose: Compose, user: User
) -> None:
    job = user.submit(LONG)
    first = owner(compose, job)
    begin = time.monotonic()
    podman("stop", "--time=40", first)
    stopped = time.monotonic() - begin
    assert engine.state(first)["ExitCode"] == 0
    assert stopped < 30
    ended = user.ends(job)
    assert ended["state"] == "succeeded", ended
    crashes = compose.sql(f"SELECT attempt, crash_count FROM backtest_jobs WHERE job_id = '{job}'")
    assert crashes == "2|0"
    say(f"worker stopped in {stopped:.1f} s with code 0; no crash counted")


def test_a_job_that_needs_more_memory_than_its_worker_may_have_fails_alone(
    compose: Compose, user: User, variables: dict[str, str]
) -> None:
    workers = [name for name in compose.containers("worker") if engine.state(name)["Running"]]
    idle = max(anonymous_bytes(compose, name) for name in workers)
    limit = idle // 2**20 + ROOM_MIB
    podman("stop", "--time=40", *workers)
    name = f"{compose.PROJECT}_small-worker"
    small = compose.changed(WORKER_MEMORY=f"{limit}m")
    small("run", "--detach", "--no-deps", f"--name={name}", "worker")
    compose.wait_until_healthy(name)
    started = engine.state(name)["StartedAt"]
    job = user.ends(user.submit(LONG))
    assert job["state"] == "failed", job
    assert job["last_error_json"]["code"] == "memory_limit_exceeded", job
    assert user.ends(user.submit(SMALL))["state"] == "succeeded"
    assert engine.state(name)["StartedAt"] == started
    podman("rm", "--force", name)
    podman("start", *workers)
    say(f"job ended for memory in a worker of {limit} MiB, which went on")


def test_prometheus_finds_every_program_by_its_name(compose: Compose) -> None:
    if not (engine.ROOT / "deploy" / "prometheus" / "prometheus.yml").exists():
        pytest.skip("deploy/prometheus is not there")
    compose.up("prometheus")
    (name,) = compose.containers("prometheus")
    query = "http://127.0.0.1:9090/api/v1/query?query=sum(up)by(job)"

    def jobs() -> dict[str, str] | None:
        answer = json.loads(compose.exec(name, "wget", "-qO-", query))["data"]["result"]
        found = {each["metric"]["job"]: each["value"][1] for each in answer}
        return found if len(found) == 3 and "0" not in found.values() else None

    say(f"Prometheus scrapes {until(jobs, 'every job is up')}")


def test_everything_ends_with_code_0_and_down_leaves_nothing(compose: Compose) -> None:
    names = [
        name for service in ("worker", "scheduler", "api") for name in compose.containers(service)
    ]
    begin = time.monotonic()
    compose("stop", "worker", "scheduler", "api")
    say(f"stopped in {time.monotonic() - begin:.1f} s")
    assert {name: engine.state(name)["ExitCode"] for name in names} == dict.fromkeys(names, 0)
    compose("down", "--volumes")
    assert engine.left() == []
