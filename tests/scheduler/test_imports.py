"""The linter refuses what the scheduler may not import."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OURS = ["benchmarks", "cli", "configs", "engine", "migrations", "scheduler", "storage", "tasks"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in OURS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("scheduler/upkeep.py", "import tasks.runner", "scheduler imports storage, configs"),
        ("scheduler/upkeep.py", "import tasks.broker", "scheduler imports storage, configs"),
        ("scheduler/upkeep.py", "import engine.grid", "scheduler imports storage, configs"),
        ("tasks/wake_up.py", "import tasks.broker", "tasks.wake_up imports nothing of ours"),
        ("tasks/consumer.py", "import tasks.broker", "no circle"),
    ],
)
def test_the_linter_refuses(copy: Path, module: str, line: str, broken: str) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    # From the copy: the linter looks for the packages where it runs.
    lint = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command"
    ended = subprocess.run(
        [sys.executable, "-c", f"{lint}; lint_imports_command()", "--no-cache"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    refused = [line for line in ended.stdout.splitlines() if " BROKEN" in line]
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert any(broken in line for line in refused), ended.stdout
