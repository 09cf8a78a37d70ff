"""What the kernel says of the memory of our cgroup."""

from pathlib import Path

import pytest

from tasks import memory_watch


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy of cgroups as a container sees it, of either version."""
    monkeypatch.setattr(memory_watch, "_CGROUPS", tmp_path)
    (tmp_path / "memory").mkdir()
    return tmp_path


def say(hierarchy: Path, text: str) -> None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        (hierarchy / name).write_text(text)


def test_a_container_has_the_room_of_its_limit(limited: Path) -> None:
    say(limited, "1073741824\n")
    assert memory_watch.room_bytes() == 2**30


def test_without_a_limit_nobody_says_how_much_room_there_is(limited: Path) -> None:
    say(limited, "max\n")
    assert memory_watch.room_bytes() is None
