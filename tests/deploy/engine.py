"""Containers of tests: images made on this machine, and the compose file brought up in stages.

podman knows neither a registry here nor a daemon that looks after health, so images are made from
Debian's packages, and who waits for a healthy service asks for its health itself.
"""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
STORES = Path(__file__).parent / "stores"
BASE = "localhost/backtest-test-base"
STORES_IMAGE = "localhost/backtest-test-stores"
IMAGE, TAG = "localhost/backtest-jobs-under-test", "latest"
PACKAGES = "ca-certificates,python3,python3-venv"
SECONDS = 600
ULIMITS = {"nofile": 4096, "nproc": 4096}
"""Where the file asks for more than may be set without CAP_SYS_RESOURCE."""


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}")
    sys.stdout.flush()


def run(
    *command: object, code: int | None = 0, seconds: float = SECONDS, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command; `code` is what it must end with, None allows any."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    if code is not None:
        assert ended.returncode == code, f"{words}:\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    return ended


def podman(*arguments: object, **options: Any) -> str:
    return run("podman", *arguments, **options).stdout.strip()


# ------------------------------------------------------------------------------------- images


def make_base() -> None:
    """Make a minimal Debian with Python, the release of this machine, unless it was made before."""
    if run("podman", "image", "exists", BASE, code=None).returncode == 0:
        return
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.M))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base.tar"
        include = f"--include={PACKAGES}"
        run("mmdebstrap", "--variant=minbase", include, release["VERSION_CODENAME"], tree)
        podman("import", tree, BASE)


def build(tag: str, file: Path, context: Path) -> None:
    """Build an image with the package sources of this machine, as far as they are configured."""
    with tempfile.TemporaryDirectory() as folder:
        mounts = (f"--volume={source}:{target}" for source, target in _sources(Path(folder)))
        options = ("--network=host", f"--build-arg=BASE={BASE}", f"--tag={tag}", f"--file={file}")
        podman("build", *options, *mounts, context, seconds=3600)


def _sources(folder: Path) -> list[tuple[Path, str]]:
    """Files and folders that apt and pip are configured with, and where a build finds them."""
    configured = run(sys.executable, "-m", "pip", "config", "list").stdout
    settings = {}
    for name, value in re.findall(r"^(?:global\.|:env:\.)([\w-]+)='(.*)'$", configured, re.M):
        settings.setdefault(name, value)
    merged = folder / "pip.conf"
    lines = (f"{name} = {value}" for name, value in settings.items())
    merged.write_text("\n".join(("[global]", *lines, "")), encoding="utf-8")
    shutil.copytree("/etc/apt", folder / "apt")  # packages write into it
    found = [(merged, "/etc/pip.conf:ro"), (folder / "apt", "/etc/apt")]
    for word in " ".join(settings.values()).split():
        # An index refers to files beside itself.
        path = Path(urlsplit(word).path).parent if word.startswith("file:") else Path(word)
        if path.is_absolute() and path.exists():
            found.append((path, f"{path}:ro"))
    return found


def make_stores() -> None:
    """Make the image that stands in for those of Postgres, Redis, ClickHouse and Prometheus."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        endpoint = ROOT / "tests" / "storage" / "clickhouse_endpoint.py"
        for file in (*STORES.iterdir(), endpoint, ROOT / "constraints.txt"):
            if file.is_file():
                shutil.copy(file, context)
        build(STORES_IMAGE, context / "Containerfile", context)


# ------------------------------------------------------------------------------------- compose


class Network:
    """A network namespace of its own: its addresses and ports are nobody else's."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._wait_until_separate()
        run(*self.enter, "ip", "link", "set", "lo", "up")

    @property
    def enter(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()

    def _wait_until_separate(self) -> None:
        own, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{self._holder.pid}/ns/net")
        until(lambda: own.readlink() != theirs.readlink(), "a network", 10)


def until(condition: Any, what: str, seconds: float = 120) -> Any:
    """Poll until `condition` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.2)


class Compose:
    """The shipped compose file, with images of this machine and settings of a test."""

    PROJECT = "backtest"
    STORES = ("postgres", "redis", "clickhouse")

    def __init__(self, folder: Path, network: Network, variables: Mapping[str, str]) -> None:
        self._network = network
        clickhouse = ["/opt/clickhouse/bin/python", "/opt/stores/clickhouse.py"]
        document = {
            "services": {
                "postgres": {"entrypoint": ["/opt/stores/postgres.sh"]},
                "clickhouse": {"entrypoint": clickhouse, "ulimits": ULIMITS},
                "prometheus": {"entrypoint": ["prometheus"]},
            }
        }
        self._override = folder / "override.yml"
        self._override.write_text(json.dumps(document), encoding="utf-8")
        self._environ = os.environ | variables

    def __call__(self, *arguments: object, **options: Any) -> str:
        """Run a compose command."""
        program = Path(sys.executable).parent / "podman-compose"
        files = ("-f", ROOT / "deploy" / "docker-compose.yml", "-f", self._override)
        command = (*self._network.enter, program, *files, *arguments)
        return run(*command, env=self._environ, **options).stdout.strip()

    def up(self, *services: str) -> None:
        """Start services without those that they depend on, and wait until they are healthy."""
        self("up", "--detach", "--no-deps", *services)
        for service in services:
            for name in self.containers(service):
                self.wait_until_healthy(name)

    def containers(self, service: str) -> list[str]:
        """Names of the containers of a service, those that have ended included."""
        pattern = re.compile(rf"{self.PROJECT}_{service}_\d+")
        names = podman("ps", "--all", "--format={{.Names}}").split()
        return sorted(name for name in names if pattern.fullmatch(name))

    def wait_until_healthy(self, name: str) -> None:
        def healthy() -> bool:
            asked = run(*self._network.enter, "podman", "healthcheck", "run", name, code=None)
            return asked.returncode == 0

        try:
            until(healthy, f"{name} is not healthy")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{logs(name)[-4000:]}") from None

    def exec(self, name: str, *command: object, **options: Any) -> str:
        return podman("exec", name, *command, **options)

    def changed(self, **variables: str) -> "Compose":
        """The same stack with other variables."""
        self_changed = copy.copy(self)
        self_changed._environ = self._environ | variables
        return self_changed

    def sql(self, query: str) -> str:
        """Ask Postgres, as an operator does."""
        command = ("psql", "--host=127.0.0.1", "--username=backtest", "--tuples-only", "--no-align")
        (name,) = self.containers("postgres")
        password = f"--env=PGPASSWORD={self._environ['POSTGRES_PASSWORD']}"
        return podman("exec", password, name, *command, f"--command={query}")

    def beside(
        self, image: str, options: Sequence[object], *command: object, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container in the stack's network."""
        network = f"--network={self.PROJECT}_default"
        begin = (*self._network.enter, "podman", "run", "--rm", network)
        return run(*begin, *options, image, *command, code=code)


def logs(name: str) -> str:
    ended = run("podman", "logs", name, code=None)
    return ended.stdout + ended.stderr


def state(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(podman("inspect", name))[0]["State"]
    return found


def left() -> list[str]:
    """Names of the containers, networks and volumes of the stack that are there."""
    kinds = (("ps", "--all", "--format={{.Names}}"), *_NAMED)
    found = " ".join(podman(*kind) for kind in kinds).split()
    return [name for name in found if name.startswith(Compose.PROJECT)]


def clear() -> None:
    """Remove what a run that was broken off has left in the storage of images."""
    podman("rm", "--all", "--force", "--volumes", code=None)
    podman("network", "prune", "--force", code=None)
    podman("volume", "prune", "--force", code=None)


_NAMED = (("network", "ls", "--format={{.Name}}"), ("volume", "ls", "--format={{.Name}}"))
