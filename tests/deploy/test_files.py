"""What an operator takes away, checked by the tools that will read it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs import settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "docker-compose.yml"
KUBERNETES = DEPLOY / "kubernetes" / "backtest.yaml"
BIN = Path(sys.executable).parent
OURS = ("migrate", "scheduler", "worker", "api")
PROGRAMS_END_SECONDS = 30
GRACE = re.compile(r"(\d+)s")
GIBIBYTE = 2**30


def tool(name: str, *arguments: object) -> None:
    """Run a tool that is silent, or at least content, when everything is right."""
    command = [str(BIN / name), *map(str, arguments)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def pods() -> dict[str, dict[str, Any]]:
    """Specifications of pods by the name of what runs them."""
    documents = yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8"))
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in documents
        if "template" in each["spec"]
    }


def test_the_dockerfile_follows_the_rules_of_its_trade() -> None:
    tool("hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file_is_of_the_published_form() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)


def test_the_kubernetes_example_is_of_the_published_form() -> None:
    tool("kubernetes-validate", "--strict", "--quiet", KUBERNETES)


# ------------------------------------------------------------------------------------- compose

USED = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?([^}]*))\}")
EXPLAINED = re.compile(r"^(#?)(\w+)=(.*)$", re.MULTILINE)


def test_every_variable_of_the_compose_file_is_explained_with_its_default() -> None:
    used = {name: default for name, default, _ in USED.findall(COMPOSE.read_text(encoding="utf-8"))}
    text = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert {name: value for _, name, value in EXPLAINED.findall(text)} == used
    for line, following in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        if EXPLAINED.match(following):
            assert line.startswith("# "), f"nothing explains {following}"


def test_a_secret_has_no_default_and_must_be_given() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    secrets = {name for name, _, refusal in USED.findall(text) if refusal}
    assert secrets == {
        name for name, *_ in USED.findall(text) if re.search("PASSWORD|SECRET", name)
    }
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    given = {name for hidden, name, _ in EXPLAINED.findall(example) if not hidden}
    assert given == secrets


def test_every_service_is_limited_looked_at_and_started_again(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        if name == "migrate":
            assert service["restart"] == "no"
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_our_services_have_no_rights_and_write_to_a_temporary_folder_alone(
    compose: dict[str, Any],
) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_a_stop_waits_longer_than_a_program_takes_to_end(
    compose: dict[str, Any], pods: dict[str, dict[str, Any]]
) -> None:
    for name in OURS:
        grace = GRACE.fullmatch(compose["services"][name]["stop_grace_period"])
        assert grace is not None
        assert int(grace[1]) > PROGRAMS_END_SECONDS
    for name in ("backtest-scheduler", "backtest-worker", "backtest-api"):
        assert pods[name]["terminationGracePeriodSeconds"] > PROGRAMS_END_SECONDS


def test_a_worker_has_room_for_one_job(
    compose: dict[str, Any], pods: dict[str, dict[str, Any]]
) -> None:
    shipped = settings.load(environ={"ROEHUB_ENV": "prod"}).backtest.jobs.job_memory_limit_bytes
    of_compose = compose["services"]["worker"]["deploy"]["resources"]["limits"]["memory"]
    of_pod = pods["backtest-worker"]["containers"][0]["resources"]["limits"]["memory"]
    of_unit = re.search(r"^MemoryMax=(\d+)G$", unit("worker@"), re.MULTILINE)
    assert of_unit is not None
    for limit in (of_compose, of_pod, of_unit[1]):
        found = re.search(r"\d+", limit)
        assert found is not None
        assert int(found[0]) * GIBIBYTE >= shipped + GIBIBYTE


def test_what_the_compose_file_mounts_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source


# ------------------------------------------------------------------------------------- Kubernetes


def test_no_pod_runs_as_root_or_writes_outside_its_temporary_folder(
    pods: dict[str, dict[str, Any]],
) -> None:
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"], name
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {
            "/tmp",
            "/etc/backtest",
        }


def test_compose_and_kubernetes_start_the_same_commands(
    compose: dict[str, Any], pods: dict[str, dict[str, Any]]
) -> None:
    for name in ("migrate", "scheduler", "worker"):
        (container,) = pods[f"backtest-{name}"]["containers"]
        assert container["args"] == compose["services"][name]["command"]


# ------------------------------------------------------------------------------------- systemd


def unit(name: str) -> str:
    return (DEPLOY / "systemd" / f"backtest-{name}.service").read_text(encoding="utf-8")


UNITS = ("worker@", "scheduler", "api", "migrate")
EXPOSED_AT_MOST = 20
"""Tenths of systemd's points from 0 (safe) to 10 (exposed); below 2 all is "OK"."""


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with this installation in the place of the one in /opt."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: units cannot be verified")
    files = []
    for name in UNITS:
        file = tmp_path / f"backtest-{name}.service"
        file.write_text(unit(name).replace("/opt/backtest/bin", str(BIN)), encoding="utf-8")
        files.append(file)
    return files


def test_systemd_finds_nothing_to_complain_of(units: list[Path]) -> None:
    command = ["systemd-analyze", "verify", *map(str, units)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")  # mistakes are told there, with code 0


def test_a_unit_is_exposed_to_little(units: list[Path]) -> None:
    for file in units:
        options = ("--offline=true", f"--threshold={EXPOSED_AT_MOST}", str(file))
        command = ["systemd-analyze", "security", "--no-pager", *options]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["worker@", "scheduler", "api"])
def test_a_unit_is_stopped_gently_and_started_again_where_that_helps(name: str) -> None:
    lines = unit(name).splitlines()
    assert "KillMode=mixed" in lines
    assert "Restart=on-failure" in lines
    assert "RestartPreventExitStatus=2" in lines
    stop = next(line for line in lines if line.startswith("TimeoutStopSec="))
    assert int(stop.partition("=")[2]) > PROGRAMS_END_SECONDS


def test_a_job_that_is_ended_for_memory_does_not_stop_its_worker() -> None:
    assert "OOMPolicy=continue" in unit("worker@").splitlines()


@pytest.mark.parametrize(
    "file", sorted((DEPLOY / "systemd").glob("*.env.example")), ids=lambda file: file.name
)
def test_an_example_of_an_environment_holds_no_secret(file: Path) -> None:
    for _, name, value in EXPLAINED.findall(file.read_text(encoding="utf-8")):
        if re.search("PASSWORD|SECRET", name):
            assert value == ""
