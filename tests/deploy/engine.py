"""podman, without a registry: images are made on this machine, from Debian's packages."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
STORES = Path(__file__).parent / "stores"
BASE = "localhost/backtest-test-base"
STORES_IMAGE = "localhost/backtest-test-stores"
PACKAGES = "ca-certificates,python3,python3-venv"
SECONDS = 600
SUPERSEDED = "24h"
"""Layers that nothing uses are kept for so long, because the next build may."""
GROUPS = Path("/sys/fs/cgroup")
SAID: list[str] = []
"""What was measured, for the last lines of the run."""


def say(what: str, text: str) -> None:
    """Tell what was measured: now, and once more at the end of the run."""
    SAID.append(f"{what:<32} {text}")
    sys.stdout.write(f"\n{SAID[-1]}")
    sys.stdout.flush()


def run(
    *command: object, code: int | None = 0, seconds: float = SECONDS, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command; `code` is what it must end with, None allows any.

    By itself in the folder that is kept: conmon leaves an empty file `oom` where it was started.
    """
    words = [str(word) for word in command]
    options.setdefault("cwd", os.environ["BOX_HOME"])
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    if code is not None:
        assert ended.returncode == code, f"{words}:\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    return ended


def podman(*arguments: object, **options: Any) -> str:
    return run("podman", *arguments, **options).stdout.strip()


# ------------------------------------------------------------------------------------- images


def make_base() -> bool:
    """Make a minimal Debian with Python, the release of this machine, unless it is there."""
    if run("podman", "image", "exists", BASE, code=None).returncode == 0:
        return False
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.M))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base.tar"
        include = f"--include={PACKAGES}"
        run("mmdebstrap", "--variant=minbase", include, release["VERSION_CODENAME"], tree)
        podman("import", tree, BASE)
    return True


def build_options(folder: Path) -> list[str]:
    """How an image is built with the package sources of this machine; `folder` keeps a copy."""
    mounts = (f"--volume={source}:{target}" for source, target in _sources(folder))
    return ["--network=host", f"--build-arg=BASE={BASE}", *mounts]


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


def make_stores(options: list[str]) -> None:
    """Make the image that stands in for those of Postgres, Redis, ClickHouse and Prometheus."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        endpoint = ROOT / "tests" / "storage" / "clickhouse_endpoint.py"
        for file in (*STORES.iterdir(), endpoint, ROOT / "constraints.txt"):
            if file.is_file():
                shutil.copy(file, context)
        file = f"--file={context / 'Containerfile'}"
        podman("build", *options, f"--tag={STORES_IMAGE}", file, context, seconds=3600)


def megabytes(image: str) -> int:
    return int(podman("image", "inspect", image, "--format={{.Size}}")) // 10**6


def remove_superseded() -> None:
    """Remove what earlier builds have left, but the layers that the next one may begin with."""
    podman("image", "prune", "--force", f"--filter=until={SUPERSEDED}")


# ------------------------------------------------------------------------------------- containers


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
        """Give it up; a second time does nothing."""
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


def logs(name: str) -> str:
    ended = run("podman", "logs", name, code=None)
    return ended.stdout + ended.stderr


def state(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(podman("inspect", name))[0]["State"]
    return found


def clear() -> None:
    """Remove what a run that was broken off has left in the storage of images."""
    run("buildah", "rm", "--all", code=None)
    podman("rm", "--all", "--force", "--volumes", code=None)
    podman("network", "prune", "--force", code=None)
    podman("volume", "prune", "--force", code=None)
    remove_groups()


def remove_groups() -> None:
    """Remove the empty control groups that podman leaves where systemd does not make them."""
    for group in groups():
        with suppress(OSError):
            group.rmdir()


def groups() -> list[Path]:
    """Control groups of containers, those inside of others first; box.sh hides a second version."""
    found = GROUPS.glob("*/libpod_parent/**/")
    return sorted((each for each in found if "unified" not in each.parts), reverse=True)


def left(prefix: str) -> dict[str, list[str]]:
    """What there is of a stack, by its kind, and what containers leave on a machine."""
    kinds = {
        "containers": ("ps", "--all", "--format={{.Names}}"),
        "networks": ("network", "ls", "--format={{.Name}}"),
        "volumes": ("volume", "ls", "--format={{.Name}}"),
    }
    found = {
        kind: [name for name in podman(*command).split() if name.startswith(prefix)]
        for kind, command in kinds.items()
    }
    return found | {
        "control groups": [str(group) for group in groups()],
        "bridges": bridges(),
        "processes": processes(),
    }


def bridges() -> list[str]:
    """Networks of containers in the machine's own network, where none belongs."""
    links = json.loads(run("ip", "-json", "link", "show", "type", "bridge").stdout or "[]")
    return [link["ifname"] for link in links if link["ifname"].startswith("podman")]


def processes() -> list[str]:
    """Every process below the first one of the box but the test itself."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if command and int(folder.name) not in (1, os.getpid()):
                found.append(command)
    return found
