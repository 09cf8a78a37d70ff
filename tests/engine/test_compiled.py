"""Compiled kernels are kept where that is possible, and never outlive their sources."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import kernel_cache


@pytest.fixture
def no_cache_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path


def test_kernels_are_kept_beside_their_sources(no_cache_is_named: Path) -> None:
    assert kernel_cache.cache_folder().parent == kernel_cache.ENGINE / "__pycache__"


def test_an_install_that_cannot_be_written_keeps_them_in_the_users_cache(
    no_cache_is_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (no_cache_is_named / "engine").write_text("a file where a folder is needed")
    monkeypatch.setattr(kernel_cache, "ENGINE", no_cache_is_named / "engine")
    assert kernel_cache.cache_folder().parent == no_cache_is_named / "home" / "backtest-jobs"


def test_a_user_without_a_name_needs_no_home(
    no_cache_is_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # any number, as in a container
    assert kernel_cache.cache_folder().parent == kernel_cache.ENGINE / "__pycache__"


def test_a_named_folder_comes_first(
    no_cache_is_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(no_cache_is_named / "named"))
    assert kernel_cache.cache_folder().parent == no_cache_is_named / "named"


def test_any_change_of_names_that_kernels_know_by_position_leads_to_another_folder(
    no_cache_is_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kernel_cache.cache_folder()
    names = no_cache_is_named / "names.py"
    names.write_text("METRICS = ()")
    monkeypatch.setattr(kernel_cache, "NAMED_BY_POSITION", (names,))
    assert kernel_cache.cache_folder() != before


def test_any_change_of_a_kernel_leads_to_another_folder(
    no_cache_is_named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = no_cache_is_named / "kernels"
    kernels.mkdir()
    monkeypatch.setattr(kernel_cache, "KERNEL_FOLDERS", (kernels,))
    folders = set()
    for source in ("", "one", "another"):
        (kernels / "some.py").write_text(source)
        folders.add(kernel_cache.cache_folder())
    assert len(folders) == 3


KERNEL = """
from engine.compiled import kernel

@kernel
def twice(number):
    return 2 * number
"""
USE = "from some_kernels import twice; twice(21); print(sum(twice.stats.cache_hits.values()))"
NOTE = "from engine import compiled; compiled.note_cached()"
FOLDER = "from engine import kernel_cache; print(kernel_cache.cache_folder())"
BOUND_BY_RIGHTS = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
"""Root, too, may write only what it has the right to."""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A kernel, and a folder for a cache of it."""
    (tmp_path / "some_kernels.py").write_text(KERNEL)
    yield tmp_path
    for each in tmp_path.rglob("*"):
        each.chmod(0o755)


def run(folder: Path, code: str, **variables: str) -> str:
    """Run code that finds the kernel and its cache; returns what it prints."""
    environ = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), **variables}
    sources = kernel_cache.ENGINE.parent, folder, folder / "others"
    environ["PYTHONPATH"] = os.pathsep.join(map(str, sources))
    command = [*BOUND_BY_RIGHTS, sys.executable, "-B", "-c", code]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def install(folder: Path, *steps: str) -> None:
    """Do steps as the user who installs it, then take away everybody's right to write."""
    (folder / "cache").mkdir()
    for step in steps:
        run(folder, step)
    for each in (folder / "cache", *(folder / "cache").rglob("*")):
        each.chmod(0o555)


def test_a_cache_that_holds_every_kernel_is_used_where_it_cannot_be_written(
    installed: Path,
) -> None:
    install(installed, USE, NOTE)
    assert run(installed, USE) == "1"


def test_a_cache_that_cannot_be_written_and_lacks_kernels_is_not_used(installed: Path) -> None:
    install(installed, USE)
    assert not run(installed, FOLDER).startswith(str(installed))


def test_a_cache_that_was_compiled_for_another_processor_is_not_complete(installed: Path) -> None:
    install(installed, USE, NOTE)
    assert not run(installed, FOLDER, NUMBA_CPU_NAME="generic").startswith(str(installed))


FOREIGN = """
from numba import njit

@njit(cache=True)
def thrice(number):
    return 3 * number
"""
USE_BOTH = (
    f"{USE}; from foreign import thrice; print(thrice(7), sum(thrice.stats.cache_misses.values()))"
)


@pytest.mark.parametrize("writable", [True, False])
def test_code_of_others_is_compiled_beside_a_cache_that_holds_every_kernel(
    installed: Path, writable: bool
) -> None:
    (installed / "others").mkdir()
    (installed / "others" / "foreign.py").write_text(FOREIGN)
    install(installed, USE, NOTE)
    if writable:
        (installed / "cache").chmod(0o755)
        for each in (installed / "cache").iterdir():
            each.chmod(0o755)
    assert run(installed, USE_BOTH).split() == ["1", "21", "1"]
    assert run(installed, USE_BOTH).split() == ["1", "21", "0"]


CALLER = """
from engine.compiled import kernel
from some_kernels import twice

@kernel
def four_times(number):
    return twice(twice(number))
"""
CALL = "from calling_kernels import four_times; print(four_times(5))"


def test_a_kernel_that_was_loaded_is_compiled_into_others_which_then_need_it_no_more(
    installed: Path,
) -> None:
    (installed / "calling_kernels.py").write_text(CALLER)
    (installed / "cache").mkdir()
    run(installed, USE)
    assert run(installed, f"{USE}; {CALL}").split() == ["1", "20"]
    assert run(installed, f"{CALL}; print(sum(four_times.stats.cache_hits.values()))").split() == [
        "20",
        "1",
    ]
