"""Compiled kernels are kept where that is possible, and never outlive their sources."""

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
