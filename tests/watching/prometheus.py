"""A real Prometheus on the shipped configuration: the same expressions, shorter times."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.harness import free_port, wait_for

SHIPPED = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
ALERTS = SHIPPED / "alerts.yml"
INSTALL = "no prometheus here: install the package (Debian: apt-get install prometheus)"

FASTER = 60
FASTER_WINDOWS = 20  # what has to happen several times within one takes its time
SHORTEST_WINDOW_SECONDS = 8  # the longest pause of a duty that fails is 5 s
SECONDS = {"s": 1, "m": 60, "h": 3600}

LIMITS = {
    "BacktestOldestQueuedTooOld": ("> 1800", "> 3"),
    "BacktestCrashLoop": ("> 3", "> 1"),
    "BacktestSchedulerSilent": ("> 60", "> 3"),
    "BacktestRedisAway": ("> 30", "> 3"),
    "BacktestPostgresAway": ("> 30", "> 3"),
}
"""Limits that no test can wait for, and what takes their places."""

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason=INSTALL
)


def shipped_rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def faster_rules(document: dict[str, Any]) -> dict[str, Any]:
    """The same rules with shorter times, and the limits of `LIMITS` replaced."""
    for group in document["groups"]:
        for rule in group["rules"]:
            old, new = LIMITS.get(rule["alert"], ("", ""))
            assert rule["expr"].count(old) == 1 or not old, rule
            expr = rule["expr"].replace(old, new) if old else rule["expr"]
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda window: f"[{_window(window[1])}s]", expr)
            if "for" in rule:
                rule["for"] = f"{_seconds(rule['for']) // FASTER or 1}s"
    return document


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]]


def _window(duration: str) -> int:
    return max(SHORTEST_WINDOW_SECONDS, _seconds(duration) // FASTER_WINDOWS)


def write_faster(folder: Path) -> Path:
    """Write the shipped files, scraping each second; returns the configuration."""
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]  # names that mean something in a deployment alone
    rules = faster_rules(yaml.safe_load(ALERTS.read_text(encoding="utf-8")))
    (folder / "alerts.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (folder / "targets").mkdir()
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


class Prometheus:
    """A running server, and what it is asked."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self.process = process

    def watch(self, **ports: list[int]) -> None:
        """Scrape these ports of this machine: worker=[9204], scheduler=[…], api=[…]."""
        for program, numbers in ports.items():
            targets = [f"127.0.0.1:{number}" for number in numbers]
            file = self._folder / "targets" / f"{program}.yml"
            new = file.with_suffix(".new")
            new.write_text(json.dumps([{"targets": targets}]))
            new.rename(file)

    def ask(self, path: str, **values: str) -> Any:
        query = urllib.parse.urlencode(values)
        with urllib.request.urlopen(f"{self._url}/{path}?{query}", timeout=10) as response:
            return json.load(response)["data"]

    def samples(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The value of an expression now, by labels."""
        found = self.ask("query", query=expr)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def value(self, expr: str) -> float | None:
        """The one value of an expression; None where there is none."""
        found = self.samples(expr)
        assert len(found) <= 1, (expr, found)
        return found[0][1] if found else None

    def becomes(self, expr: str, expected: float, seconds: float = 30) -> None:
        """Wait until an expression has a value."""
        wait_for(
            lambda: self.value(expr) == expected,
            f"{expr} == {expected:g}, it is {self.samples(expr)}",
            seconds,
            every=0.2,
        )

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {
            alert["labels"]["alertname"]
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


@contextmanager
def running_prometheus(folder: Path) -> Iterator[Prometheus]:
    """A server in `folder`, which must be empty."""
    config, port = write_faster(folder), free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Prometheus(folder, port, process)
    try:
        wait_for(lambda: _answers(server), "Prometheus", 60, every=0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: Prometheus) -> bool:
    assert server.process.poll() is None, "Prometheus has ended"
    with suppress(OSError):
        return server.value("vector(1)") == 1
    return False
