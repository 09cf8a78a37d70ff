"""An operator in a checkout of the product, who types what the pages say.

`docker` is podman here, which ignores `depends_on` and never looks after health by itself (it would
need systemd). So the stack is brought up in the order that the compose file asks for, and who waits
for a healthy service asks for its health.
"""

import json
import os
import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.deploy import engine
from tests.deploy.engine import ROOT, Network, podman, run, until

PROJECT = "backtest"
NOT_OURS = (
    ".git",
    ".venv",
    ".env",
    ".*_cache",
    ".hypothesis",
    "out",
    "build",
    "__pycache__",
    "*.egg-info",
)
ULIMITS = {"nofile": 4096, "nproc": 4096}
"""Where the file asks for more than may be set without CAP_SYS_RESOURCE."""
STAND_INS = {
    "services": {
        # The signal of the published image: what is connected is not waited for.
        "postgres": {"entrypoint": ["/opt/stores/postgres.sh"], "stop_signal": "SIGINT"},
        "clickhouse": {
            "entrypoint": ["/opt/clickhouse/bin/python", "/opt/stores/clickhouse.py"],
            "ulimits": ULIMITS,
        },
        "prometheus": {"entrypoint": ["prometheus"]},
    }
}
"""How the images that are made here differ from those that the compose file names."""
LOCAL_IMAGES = ("POSTGRES_IMAGE", "REDIS_IMAGE", "CLICKHOUSE_IMAGE", "PROMETHEUS_IMAGE")
STAGES = (
    ("postgres", "redis", "clickhouse"),
    ("migrate",),
    ("scheduler", "worker", "api", "prometheus"),
)
"""The order of `depends_on`; Grafana is missing, of which there is no image."""
DOCKER = """\
#!/bin/sh
case $1 in
    build) shift; exec podman build {options} "$@" ;;
    compose) shift; exec {enter} {compose} "$@" ;;
esac
exit 64
"""
PAGES = ("README.md", "docs/runbook.md", "deploy/backup.md")


def printed(section: str) -> list[str]:
    """The commands for docker of a section of the README, those between its sentences included."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (.*)$", text, re.MULTILINE)
    found = (line.partition(" # ")[0].rstrip() for line in lines + re.findall(r"`([^`]+)`", text))
    return [line for line in found if re.match(r"docker |cd deploy", line)]


class Operator:
    """Somebody with a checkout, a shell in it, and an editor for `.env`."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.network = network
        self.typed: list[str] = []
        self._checkout = folder / "checkout"
        shutil.copytree(ROOT, self._checkout, ignore=shutil.ignore_patterns(*NOT_OURS))
        override = self._checkout / "deploy" / "docker-compose.override.yml"
        override.write_text(json.dumps(STAND_INS), encoding="utf-8")
        self._where = self._checkout
        self._environ = dict(os.environ)
        tools = folder / "bin"
        tools.mkdir()
        sources = folder / "sources"
        sources.mkdir()
        self.build_options = engine.build_options(sources)
        docker = DOCKER.format(
            options=shlex.join(self.build_options),
            enter=shlex.join(network.enter),
            compose=Path(sys.executable).parent / "podman-compose",
        )
        (tools / "docker").write_text(docker, encoding="utf-8")
        (tools / "docker").chmod(0o755)
        self._environ["PATH"] = f"{tools}:{self._environ['PATH']}"

    # --------------------------------------------------------------------------- what is typed

    def types(self, line: str, code: int | None = 0, **words: str) -> str:
        """Type a line of the pages, with some of its words replaced; returns what it printed."""
        pages = ((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
        assert any(line in page for page in pages), f"no page says {line!r}"
        self.typed.append(line)
        for word, replacement in words.items():
            line = line.replace(word, replacement)
        return self.runs(line, code)

    def runs(self, line: str, code: int | None = 0) -> str:
        """Run a line in the shell, which stays in the folder that the line has gone to."""
        place = self._checkout / ".where"
        command = ("bash", "-euc", f"{line}\npwd > {shlex.quote(str(place))}")
        place.write_text(str(self._where))
        ended = run(*command, code=code, cwd=self._where, env=self._environ, seconds=3600)
        self._where = Path(place.read_text().strip())
        return ended.stdout.strip()

    def sets(self, **variables: str) -> None:
        """Edit `.env`: give these variables their values."""
        file = self._checkout / "deploy" / ".env"
        text = file.read_text(encoding="utf-8")
        for name, value in variables.items():
            text, count = re.subn(rf"^#?{name}=.*$", f"{name}='{value}'", text, flags=re.MULTILINE)
            assert count == 1, f"{name} is not in .env.example"
        file.write_text(text, encoding="utf-8")

    def starts_everything(self) -> None:
        """Do what `docker compose up --detach` does, by the same command in three stages."""
        self.typed.append("docker compose up --detach")
        for services in STAGES:
            self.runs(f"docker compose up --detach --no-deps {shlex.join(services)}")
            for service in services:
                self.wait_until_healthy(service)

    # --------------------------------------------------------------------------- what is there

    def containers(self, service: str) -> list[str]:
        """Names of the containers of a service, those that have ended included."""
        pattern = re.compile(rf"{PROJECT}_{service}_\d+")
        names = podman("ps", "--all", "--format={{.Names}}").split()
        return sorted(name for name in names if pattern.fullmatch(name))

    def wait_until_healthy(self, service: str) -> None:
        """Wait for every container of a service; the one that migrates has to end with 0."""
        names = self.containers(service)
        assert names, f"{service} has no container"
        for name in names:
            if service == "migrate":
                assert podman("wait", name, seconds=120) == "0", engine.logs(name)
            else:
                self.wait_until_answering(name)
        self.wait_until_names_are_known()

    def wait_until_names_are_known(self) -> None:
        """Let podman's name server settle: when a container comes or goes, it is deaf for a moment.

        It may lose the next question after that, so this asks until several are answered.
        """
        for name in self.containers("api"):
            ask = ("exec", name, "sh", "-c", "for i in 1 2 3 4 5; do getent hosts postgres; done")
            until(
                lambda ask=ask: len(podman(*ask, code=None).splitlines()) == 5,
                "names are known",
                30,
            )

    def wait_until_answering(self, name: str) -> None:
        """Wait until the health check of a container succeeds."""

        def healthy() -> bool:
            asked = run(*self.network.enter, "podman", "healthcheck", "run", name, code=None)
            return asked.returncode == 0

        try:
            until(healthy, f"{name} is not healthy", 180)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{engine.logs(name)[-4000:]}") from None

    def podman(self, *arguments: object) -> None:
        """Start and stop containers, whose networks are made and taken away in that of the test."""
        run(*self.network.enter, "podman", *arguments)
        self.wait_until_names_are_known()

    def asks(self, address: str) -> Any:
        """Get a document from a port of this machine, as the network of the test sees it."""
        read = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        return json.loads(run(*self.network.enter, sys.executable, "-c", read, address).stdout)

    def sql(self, query: str, database: str = "backtest") -> str:
        """Ask Postgres in its container."""
        command = ("psql", "--username=backtest", "--tuples-only", "--no-align")
        (name,) = self.containers("postgres")
        return podman("exec", name, *command, f"--dbname={database}", f"--command={query}")


def seconds_since(begin: float) -> str:
    return f"{time.monotonic() - begin:.1f} s"
