"""Where compiled kernels are kept; importable without loading the compiler.

Numba's disk cache notices a change of the file a kernel is written in, but not of functions the
kernel calls from other files: a stale kernel would compute yesterday's formula. So the cache folder
is named after the contents of all files that hold kernels, those of plugins included, and any
change starts an empty one.

A cache that holds every kernel is used where it cannot be written, too: in the read-only root of a
container, or below the sources that another user has installed and compiled.
"""

import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from engine.fingerprints import of_plugins

ENGINE = Path(__file__).parent
KERNEL_FOLDERS = (ENGINE / "kernels", ENGINE / "indicators" / "kernels")
HOW = (ENGINE / "compiled.py", ENGINE / "object_code.py")
"""What kernels are compiled with, and how they are kept."""

NAMED_BY_POSITION = (
    ENGINE / "metric_names.py",
    ENGINE / "outcomes.py",
    ENGINE / "request" / "model.py",
)
"""Lists of names whose positions are compiled into kernels."""

_ALL_THERE = "all-kernels"


def _fingerprint(folders: Iterable[Path]) -> str:
    digest = hashlib.sha256(version("numba").encode())
    kernels = sorted(path for folder in folders for path in folder.glob("*.py"))
    for source in (*HOW, *kernels, *NAMED_BY_POSITION):
        digest.update(source.read_bytes())
    digest.update(" ".join(of_plugins()).encode())
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _processor() -> str:
    """Name what kernels are compiled for: the processor that is asked for, or this one."""
    asked_for = os.environ.get("NUMBA_CPU_NAME")
    if asked_for:
        return f"{asked_for} {os.environ.get('NUMBA_CPU_FEATURES', '')}".strip()
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        described = ""
    found = re.findall(r"^(?:model name|flags|Features)\s*:.*$", described, re.MULTILINE)
    known = "\n".join((platform.machine(), platform.processor(), *sorted(set(found))))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def holds_every_kernel(folder: Path) -> bool:
    """Whether all kernels of these sources were compiled into it, for this processor."""
    try:
        return (folder / _ALL_THERE).read_text(encoding="utf-8") == _processor()
    except (OSError, ValueError):
        return False


def note_every_kernel(folder: Path) -> None:
    """Remember that every kernel of these sources was compiled into it."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ALL_THERE).write_text(_processor(), encoding="utf-8")


def _candidates() -> Iterator[Path]:
    if "NUMBA_CACHE_DIR" in os.environ:
        yield Path(os.environ["NUMBA_CACHE_DIR"])
    yield ENGINE / "__pycache__"
    with suppress(RuntimeError):  # a user without a home: any number will do in a container
        user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        yield Path(user_cache) / "backtest-jobs"


def cache_folder() -> Path:
    """Where compiled kernels are kept: beside the sources, else in the user's cache folder.

    The first folder that holds them all, or may be written; else one in TMPDIR.
    """
    name = f"kernels-{_fingerprint(KERNEL_FOLDERS)}"
    for root in _candidates():
        if holds_every_kernel(root / name) or _writable(root):
            return root / name
    return Path(tempfile.gettempdir()) / "backtest-jobs" / name
