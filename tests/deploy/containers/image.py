"""The image alone."""

import json
from subprocess import CompletedProcess

import pytest

from tests.deploy.containers.conftest import STRICT
from tests.deploy.engine import podman, run, say

pytestmark = pytest.mark.timeout(3600)

EVERY_MODULE = """
import importlib, pkgutil
for name in ("api", "cli", "configs", "engine", "migrations", "scheduler", "storage", "tasks"):
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, f"{name}."):
        if found.name not in ("migrations.env", "cli.embedded") and "__main__" not in found.name:
            importlib.import_module(found.name)
            print(found.name)
"""
"""`migrations.env` is alembic's, and the embedded stack needs packages that are not there."""


ALONE = ("run", "--rm", "--network=none")


def typed(image: str, *command: str, code: int | None = 0) -> CompletedProcess[str]:
    """Run a command in a container as strict as those of the stack."""
    return run("podman", *ALONE, *STRICT, image, *command, code=code)


def test_it_runs_without_rights_as_a_user_that_nobody_knows(image: str) -> None:
    typed(image, "backtest", "--version")
    assert typed(image, "id", "-u").stdout.strip() == "4242"
    assert podman(*ALONE, image, "id", "-u") == "10001"
    assert "Read-only file system" in typed(image, "touch", "/opt/x", code=None).stderr


def test_everything_that_the_programs_may_load_is_there(image: str) -> None:
    loaded = typed(image, "python", "-c", EVERY_MODULE).stdout.split()
    assert len(loaded) > 150
    for program in ("backtest", "dramatiq", "alembic"):
        typed(image, "sh", "-c", f"command -v {program}")


def test_nothing_is_there_that_only_builds_and_tests_need(image: str) -> None:
    unwanted = "-name '*.a' -o -name tests -o -name setuptools -o -name chdb"
    find = f"find /opt/backtest/lib/ {unwanted}; command -v cc gcc ld strip; true"
    assert typed(image, "sh", "-c", find).stdout == ""


def test_its_kernels_are_compiled(image: str) -> None:
    said = json.loads(typed(image, "backtest", "compile", "--json").stdout)
    assert said["from_cache"] is True
    say("kernels of the image", f"loaded in {said['seconds']} s")


def test_its_first_process_reaps_and_passes_signals_on(image: str) -> None:
    assert podman(*ALONE, image, "cat", "/proc/1/comm") == "tini"


def test_a_program_that_needs_more_than_its_container_may_have_ends_with_137(image: str) -> None:
    command = ("--memory=64m", image, "backtest", "compile")
    ended = run("podman", *ALONE, *STRICT, *command, code=None)
    assert ended.returncode == 137, ended.stderr
    say("container of 64 MiB", "ended with 137")


def test_doctor_measures_the_container_not_the_machine(image: str) -> None:
    command = ("--memory=1g", image, "backtest", "doctor", "--json")
    said = run("podman", *ALONE, *STRICT, *command, code=None).stdout
    found = {finding["subject"]: finding for finding in json.loads(said)}
    assert found["memory"]["found"].startswith("1.0 GiB")
    assert found["kernels"]["grade"] == "ok"


def test_a_bad_setting_is_one_line_and_code_2(image: str) -> None:
    for program in ("python -m scheduler", "dramatiq tasks.backtest --processes 1"):
        ended = typed(image, *program.split(), code=None)
        assert ended.returncode == 2
        assert "STRATEGY_PG_DSN is not set" in ended.stdout + ended.stderr
