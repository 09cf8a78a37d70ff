from pathlib import Path

import pytest

from cli import running_stack
from cli.errors import CommandError

VARIABLES = {"STRATEGY_PG_DSN": "postgresql://embedded", "ROEHUB_ENV": "dev"}


def test_a_running_stack_is_found_in_its_folder(tmp_path: Path) -> None:
    with running_stack.owning(tmp_path):
        running_stack.announce(tmp_path, VARIABLES)
        assert running_stack.running(tmp_path) == VARIABLES


def test_a_stack_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with running_stack.owning(tmp_path):
        running_stack.announce(tmp_path, VARIABLES)
    assert running_stack.running(tmp_path) == {}


def test_a_folder_has_one_stack(tmp_path: Path) -> None:
    with running_stack.owning(tmp_path), pytest.raises(CommandError, match="--data-dir"):
        running_stack.owning(tmp_path).__enter__()


def test_a_variable_that_is_set_wins_over_the_stack(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATEGY_PG_DSN", "postgresql://mine")
    folder = running_stack.data_folder()
    with running_stack.owning(folder):
        running_stack.announce(folder, VARIABLES)
        found = running_stack.environment()
    assert (found["STRATEGY_PG_DSN"], found["ROEHUB_ENV"]) == ("postgresql://mine", "dev")


def test_the_token_of_a_stack_is_for_its_own_api_alone(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = running_stack.data_folder(), "http://127.0.0.1:8000"
    with running_stack.owning(folder):
        running_stack.announce(folder, {"ROEHUB_API_URL": url, "ROEHUB_API_TOKEN": "secret"})
        assert running_stack.environment()["ROEHUB_API_TOKEN"] == "secret"
        monkeypatch.setenv("ROEHUB_API_URL", url)
        assert running_stack.environment()["ROEHUB_API_TOKEN"] == "secret"
        monkeypatch.setenv("ROEHUB_API_URL", "https://elsewhere.example")
        assert "ROEHUB_API_TOKEN" not in running_stack.environment()


def test_the_folder_can_be_named_by_the_environment(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROEHUB_DATA_DIR", str(bare / "elsewhere"))
    assert running_stack.data_folder() == bare / "elsewhere"


def test_only_the_owner_can_read_the_announcement(tmp_path: Path) -> None:
    with running_stack.owning(tmp_path):
        running_stack.announce(tmp_path, VARIABLES)
        assert (tmp_path / "stack.json").stat().st_mode & 0o077 == 0
