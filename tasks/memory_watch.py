"""Signs from outside that a process was ended for its memory.

The kernel ends such a process with SIGKILL, and so does anybody else who wants it gone. What tells
them apart is the kernel's own count, or a process that was about to meet its limit.
"""

import re
from collections.abc import Iterator
from pathlib import Path

NEAR_LIMIT = 0.9
"""Part of its limit from which on a process counts as short of memory."""

_CGROUPS = Path("/sys/fs/cgroup")


class MemoryWatch:
    """Watches a process that is about to start, or has just started, with a limit in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._kills_before = kills()
        self._peak = 0

    def look(self, pid: int) -> None:
        """Note the most memory that the process has used so far; after its end nobody knows."""
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended, or this is not Linux
            return
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
        if found is not None:
            self._peak = int(found[1]) * 1024

    def short_of_memory(self) -> bool:
        """Whether the kernel has ended a process of our cgroup since, or the peak was near."""
        # By cgroup: somebody may have moved us into another one, whose count begins anew.
        killed = any(count > self._kills_before.get(cgroup, 0) for cgroup, count in kills().items())
        return killed or self._peak >= NEAR_LIMIT * self._limit


def kills() -> dict[Path, int]:
    """Count the processes of our cgroup that the kernel has ended for memory, by cgroup."""
    counted = {}
    for counter in _files(v2="memory.events", v1="memory.oom_control"):
        found = re.search(r"^oom_kill (\d+)$", counter.read_text(encoding="ascii"), re.MULTILINE)
        if found is not None:
            counted[counter] = int(found[1])
    return counted


def room_bytes() -> int | None:
    """Memory that the kernel leaves to our cgroup, that of a container; None where nobody says."""
    limits = []
    for file in _files(v2="memory.max", v1="memory.limit_in_bytes"):
        text = file.read_text(encoding="ascii").strip()
        if text.isdigit():  # else "max"
            limits.append(int(text))
    return min(limits, default=None)


def _files(*, v2: str, v1: str) -> Iterator[Path]:
    """Files of our cgroup with these names, in the hierarchies that there are."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = _CGROUPS, v2
        elif "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", v1
        else:
            continue
        # In a container the path may be that of the host, and the root our own cgroup.
        for folder in (root / path.lstrip("/"), root):
            if (folder / name).is_file():
                yield folder / name
                break
