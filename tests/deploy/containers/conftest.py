"""What the tests in containers share: an image, an operator's checkout, a stack, a user."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Any

import numpy as np
import pytest
import yaml

from configs import settings
from engine.synthetic import minutes
from tests.deploy import engine
from tests.deploy.engine import podman, run, say, until
from tests.deploy.operator import LOCAL_IMAGES, PROJECT, Operator, seconds_since

IMAGE = "localhost/backtest-jobs:1"
# As strict as compose and Kubernetes are: no rights, a user whom nobody knows.
STRICT = ("--read-only", "--tmpfs=/tmp", "--user=4242:4242", "--cap-drop=ALL")
LEASE_SECONDS = 6
DAYS = 366
SETTINGS = {
    "POSTGRES_PASSWORD": "p@ss/word: with #everything",
    "CLICKHOUSE_PASSWORD": "another one",
    "ROEHUB_JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "GRAFANA_PASSWORD": "nobody starts it here",
    "BACKTEST_VERSION": "1",
    **dict.fromkeys(LOCAL_IMAGES, engine.STORES_IMAGE),
}
"""What the operator writes into `.env`."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End the run with what was measured."""
    if engine.SAID:
        terminalreporter.section("deployment in containers")
        terminalreporter.write_line("\n".join(engine.SAID))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the operator, for every user of a container to read."""
    made = tmp_path_factory.mktemp("operator")
    for part in (made, *made.parents):
        if part.is_relative_to(tmp_path_factory.getbasetemp().parent):
            part.chmod(0o755)
    return made


@pytest.fixture(scope="session", autouse=True)
def base() -> None:
    """The image that others begin with. Where it cannot be made and run, nothing can be tried."""
    if "BOX_HOME" not in os.environ:
        reason = os.environ.get("NO_CONTAINERS", "not started by tests/deploy/box.sh")
        pytest.skip(f"containers cannot run here: {reason}")
    begin = time.monotonic()
    try:
        made = engine.make_base()
        took = f"made in {seconds_since(begin)}" if made else "made before"
        engine.clear()
        podman("run", "--rm", "--network=none", engine.BASE, "true")
    except (AssertionError, OSError, TimeoutExpired) as error:
        pytest.skip(f"containers cannot run here: {error}")
    say("base image", f"{engine.megabytes(engine.BASE)} MB, {took}")


@pytest.fixture(scope="session")
def operator(base: None, folder: Path) -> Iterator[Operator]:
    network = engine.Network()
    yield Operator(folder, network)
    # Where the last test has not come to it.
    run(*network.enter, "podman", "rm", "--all", "--force", code=None)
    network.close()
    engine.clear()


@pytest.fixture(scope="session")
def image(operator: Operator) -> str:
    """The image of the product, built from this work tree."""
    begin = time.monotonic()
    operator.types("docker build --file deploy/Dockerfile --tag backtest-jobs:1 .")
    engine.remove_superseded()
    base, size = engine.megabytes(engine.BASE), engine.megabytes(IMAGE)
    say("image", f"{size} MB, {base} MB of it the base; built in {seconds_since(begin)}")
    return IMAGE


@pytest.fixture(scope="session")
def stack(operator: Operator, image: str, folder: Path) -> Iterator[Operator]:
    """The operator, with everything running."""
    document = yaml.safe_load(Path(settings.load(environ={"ROEHUB_ENV": "prod"}).path).read_text())
    document["backtest"]["jobs"] |= {
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_seconds": LEASE_SECONDS / 3,
    }
    config = folder / "backtest.yaml"
    config.write_text(yaml.safe_dump(document))
    begin = time.monotonic()
    engine.make_stores(operator.build_options)
    say("images of the stores", f"made in {seconds_since(begin)}")
    operator.types("cd deploy && cp .env.example .env")
    operator.sets(**SETTINGS, BACKTEST_CONFIG=str(config))
    begin = time.monotonic()
    operator.starts_everything()
    say(
        "start of the stack",
        f"{seconds_since(begin)} until stores, schema, 2 schedulers, 2 workers, API and Prometheus"
        " are healthy",
    )
    yield operator
    operator.runs("docker compose down --volumes --remove-orphans", code=None)


class User:
    """A user's machine: a container of its own, which knows the API alone."""

    NAME = f"{PROJECT}_user"

    def __init__(self, stack: Operator, image: str, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        printed = stack.types(
            "docker compose exec api backtest token --user UUID",
            UUID="6f1f0a52-8f0c-4d0e-9a53-0d2a5c1f7b11",
        )
        stack.podman(
            *("run", "--detach", f"--name={self.NAME}", f"--network={PROJECT}_default", *STRICT),
            "--env=ROEHUB_API_URL=http://api:8000",
            f"--env=ROEHUB_API_TOKEN={printed.split()[-1]}",
            f"--volume={folder}:/user:ro",
            *(image, "sleep", "infinity"),
        )

    def __call__(self, *command: object, code: int | None = 0) -> str:
        """Type a command, and once more where the API says so; see `wait_until_names_are_known`."""
        words = ("podman", "exec", self.NAME, "backtest", *command)

        def ended() -> CompletedProcess[str] | None:
            tried = run(*words, code=None)
            return None if "try again later" in tried.stderr else tried

        tried: CompletedProcess[str] = until(ended, f"the API answers {command}", 30)
        assert code is None or tried.returncode == code, tried.stdout + tried.stderr
        return tried.stdout.strip()

    def leaves(self) -> None:
        self._stack.podman("rm", "--force", self.NAME)

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


@pytest.fixture(scope="session")
def user(stack: Operator, image: str, folder: Path) -> User:
    """A user, and a year of candles that the operator has imported."""
    import pyarrow as pa
    from pyarrow import csv

    made = minutes(seed=7, start_ms=1_703_980_800_000, count=DAYS * 1440)
    names = ("ts_open", "open", "high", "low", "close", "volume")
    table = pa.table({name: np.asarray(getattr(made, name)) for name in names}).rename_columns(
        ["timestamp", *names[1:]]
    )
    csv.write_csv(table, folder / "FILE.csv")
    begin = time.monotonic()
    stack.types(
        'docker compose run --rm --no-deps --volume "$PWD:/data:ro" api \\\n'
        "    backtest candles import /data/FILE.csv --market-id 1 --symbol BTCUSDT",
        **{"$PWD": str(folder), "BTCUSDT": "TESTUSDT"},
    )
    say("import of candles", f"{seconds_since(begin)} for {len(made.ts_open)}")
    return User(stack, image, folder)
