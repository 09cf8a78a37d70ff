"""How every kernel is compiled: without the GIL, cached on disk, IEEE arithmetic to the letter.

Numba's disk cache notices a change of the file a kernel is written in, but not of functions the
kernel calls from other files: a stale kernel would compute yesterday's formula. So the cache folder
is named after the contents of all files that hold kernels, those of plugins included, and any
change starts an empty one.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.fingerprints import of_plugins

ENGINE = Path(__file__).parent
KERNEL_FOLDERS = (ENGINE / "kernels", ENGINE / "indicators" / "kernels")
NAMED_BY_POSITION = (
    ENGINE / "metric_names.py",
    ENGINE / "outcomes.py",
    ENGINE / "request" / "model.py",
)
"""Lists of names whose positions are compiled into kernels."""


def _fingerprint(folders: Iterable[Path]) -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    digest.update(Path(__file__).read_bytes())  # the options that kernels are compiled with
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


_ALL_THERE = "all-kernels"

CACHE = cache_folder()
numba.config.CACHE_DIR = str(CACHE)  # type: ignore[attr-defined]


def cached() -> bool:
    """Whether the cache holds every kernel of these sources."""
    return (CACHE / _ALL_THERE).exists()


def note_cached() -> None:
    """Remember that every kernel of these sources was compiled."""
    with suppress(OSError):
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / _ALL_THERE).touch()


kernel = njit(nogil=True, cache=True, error_model="numpy")
"""Decorator of kernels that Python calls.

Division by zero gives inf or NaN as in numpy. Never fastmath: results are the same bits on every
machine and with any grouping of variants.
"""

part = njit(nogil=True, error_model="numpy")
"""Decorator of functions that only kernels call; they are compiled into their callers."""

if TYPE_CHECKING:  # numba's type stubs leave the option `_nrt` out
    borrowing = inlined = part
else:
    borrowing = njit(nogil=True, error_model="numpy", _nrt=False)
    inlined = njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)
"""`borrowing`: like `part`, for functions that allocate nothing: no references are counted.

Every array in a tuple would be counted in and out in each call, by a locked instruction each, which
takes longer than a whole variant of a few bars.

`inlined`: like `borrowing`, for the few lines inside the hottest loops; no call may be left.
"""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
