"""Temporary folders live as long as their owners: real processes, killed and isolated."""

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.temporary import OwnedFolder
from tests.storage.folder_owner import owner

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TMPDIR of the test and its processes."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def container() -> tuple[str, ...]:
    """A command that gives a program a PID namespace of its own."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([*CONTAINER, "true"], check=False).returncode:
        pytest.skip("`unshare --pid` is not there or not permitted: no PID namespaces to test with")
    return CONTAINER


def next_start() -> None:
    OwnedFolder("test").give_up()


def test_a_folder_ends_with_its_owner(temporary: Path) -> None:
    with OwnedFolder("test") as folder:
        (folder.path / "content").write_text("some")
        assert [folder.path] == list(temporary.iterdir())

    assert list(temporary.iterdir()) == []


def test_a_folder_is_for_its_user_only(temporary: Path) -> None:
    with OwnedFolder("test") as folder:
        assert folder.path.stat().st_mode & 0o777 == 0o700


def test_the_folder_of_a_killed_owner_goes_with_the_next_start(temporary: Path) -> None:
    with owner("owns", temporary) as (process, folder):
        process.kill()
        process.wait()
        assert Path(folder, "content").exists()

    next_start()

    assert list(temporary.iterdir()) == []


def test_a_start_of_another_kind_removes_it_as_well(temporary: Path) -> None:
    with owner("owns", temporary) as (process, _):
        process.kill()

    OwnedFolder("other").give_up()

    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_living_owner_stays(temporary: Path) -> None:
    with owner("owns", temporary) as (_, folder):
        next_start()

        assert Path(folder, "content").exists()


def test_owners_in_other_pid_namespaces_keep_their_folders(
    temporary: Path, container: tuple[str, ...]
) -> None:
    with (
        owner("owns", temporary, inside=container) as (_, first),
        owner("owns", temporary, inside=container) as (_, second),
    ):
        next_start()

        assert first != second
        assert Path(first, "content").exists()
        assert Path(second, "content").exists()


def test_an_owner_killed_in_another_pid_namespace_is_seen_to_be_gone(
    temporary: Path, container: tuple[str, ...]
) -> None:
    with owner("owns", temporary, inside=(*container, "--kill-child")) as (process, folder):
        assert Path(folder).exists()
        process.kill()
        process.wait()

    # The kernel ends the namespace a moment after the process that made it.
    deadline = time.monotonic() + 10
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        next_start()
    assert list(temporary.iterdir()) == []


def test_a_shared_folder_stays_until_its_last_owner_ends(temporary: Path) -> None:
    with owner("shares", temporary, "master-1") as (first, folder):
        with owner("shares", temporary, "master-1") as (_, same):
            assert same == folder
            first.kill()
            first.wait()
            next_start()
            assert Path(folder).exists()

        assert not Path(folder).exists()


def test_a_forked_child_keeps_the_folder_of_its_parent(temporary: Path) -> None:
    with owner("leaves-to-fork", temporary) as (parent, folder):
        parent.wait()
        next_start()

        assert Path(folder).exists()


def test_a_program_that_the_owner_started_does_not_keep_its_folder(temporary: Path) -> None:
    with owner("leaves-to-program", temporary) as (parent, folder):
        parent.wait()
        next_start()

        assert not Path(folder).exists()


def test_processes_that_come_and_go_at_once_never_take_a_folder_from_each_other(
    temporary: Path,
) -> None:
    with ExitStack() as all_of_them:
        racing = [all_of_them.enter_context(owner("races", temporary)) for _ in range(4)]
        for process, _ in racing:
            print("go", file=process.stdin, flush=True)

        assert [process.stdout and process.stdout.readline() for process, _ in racing] == [
            "intact\n"
        ] * 4
    assert list(temporary.iterdir()) == []


def test_what_is_not_a_folder_of_ours_is_left_alone(temporary: Path) -> None:
    (temporary / "somewhere").mkdir()
    (temporary / "backtest-services-1").mkdir()
    with OwnedFolder("test") as mine:
        (mine.path.parent / f"{mine.path.name}-link").symlink_to(temporary / "somewhere")

    next_start()

    assert {path.name for path in temporary.iterdir()} == {
        "somewhere",
        "backtest-services-1",
        f"{mine.path.name}-link",
    }
