"""Where containers cannot run, `make test-deploy` says why and skips everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BOX = Path(__file__).parent / "box.sh"
CONTAINERS = Path(__file__).parent / "containers"
REASON = ("sh", "-c", 'echo "$NO_CONTAINERS"')


def boxed(*command: object, **environ: str) -> str:
    """Run a command by box.sh; returns what it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "BOX_HOME"}
    ended = subprocess.run(
        ["/bin/bash", BOX, *map(str, command)],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def without_podman(tmp_path: Path) -> str:
    """A PATH with the tools of any machine alone."""
    for name in ("sh", "id"):
        (tmp_path / name).symlink_to(f"/bin/{name}" if name == "sh" else "/usr/bin/id")
    return str(tmp_path)


def test_a_tool_that_is_missing_is_named(without_podman: str) -> None:
    assert boxed(*REASON, PATH=without_podman) == "podman is not installed\n"


def test_everything_is_skipped_with_the_reason(without_podman: str) -> None:
    pytest_command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs")
    files = (CONTAINERS / "image.py", CONTAINERS / "stack.py")
    said = boxed(*pytest_command, *files, PATH=without_podman)
    assert "containers cannot run here: podman is not installed" in said
    assert " skipped in " in said
    assert " passed" not in said
