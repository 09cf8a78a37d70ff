"""Where compiled kernels are kept; importable without loading the compiler.

Numba's disk cache notices a change of the file a kernel is written in, but not of functions the
kernel calls from other files: a stale kernel would compute yesterday's formula. So the cache folder
is named after the contents of all files that hold kernels, those of plugins included, and any
change starts an empty one.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from engine.fingerprints import of_plugins

ENGINE = Path(__file__).parent
KERNEL_FOLDERS = (ENGINE / "kernels", ENGINE / "indicators" / "kernels")
OPTIONS = ENGINE / "compiled.py"  # what kernels are compiled with
NAMED_BY_POSITION = (
    ENGINE / "metric_names.py",
    ENGINE / "outcomes.py",
    ENGINE / "request" / "model.py",
)
"""Lists of names whose positions are compiled into kernels."""


def _fingerprint(folders: Iterable[Path]) -> str:
    digest = hashlib.sha256(version("numba").encode())
    digest.update(OPTIONS.read_bytes())
    kernels = sorted(path for folder in folders for path in folder.glob("*.py"))
    for source in (*kernels, *NAMED_BY_POSITION):
        digest.update(source.read_bytes())
    digest.update(" ".join(of_plugins()).encode())
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def cache_folder() -> Path:
    """Where compiled kernels are kept: beside the sources, else in the user's cache folder."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "backtest-jobs"
    candidates = [ENGINE / "__pycache__", user_cache]
    if "NUMBA_CACHE_DIR" in os.environ:
        candidates.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    root = next(filter(_writable, candidates), Path(tempfile.gettempdir()) / "backtest-jobs")
    return root / f"kernels-{_fingerprint(KERNEL_FOLDERS)}"
