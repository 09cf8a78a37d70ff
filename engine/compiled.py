"""How every kernel is compiled: without the GIL, cached on disk, IEEE arithmetic to the letter."""

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine import kernel_cache
from engine.object_code import KernelCache

CACHE = kernel_cache.cache_folder()
numba.config.CACHE_DIR = str(CACHE)  # type: ignore[attr-defined]
if kernel_cache.holds_every_kernel(CACHE):  # numba itself refuses a folder that it cannot write
    # Where kernels of others are kept is for numba's own to find.
    numba.config.CACHE_LOCATOR_CLASSES = (  # type: ignore[attr-defined]
        "engine.complete_cache.CompleteCache,"
        "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"
    )


def cached() -> bool:
    """Whether the cache holds every kernel of these sources."""
    return kernel_cache.holds_every_kernel(CACHE)


def note_cached() -> None:
    """Remember that every kernel of these sources was compiled."""
    kernel_cache.note_every_kernel(CACHE)


if TYPE_CHECKING:  # numba's type stubs leave these options out
    kernel = part = borrowing = inlined = njit(nogil=True, error_model="numpy")
else:

    def kernel(function):
        """Compile a function that Python calls, and keep it on disk."""
        dispatcher = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
        dispatcher._cache = KernelCache(function)
        return dispatcher

    _ONLY_KERNELS_CALL = {
        "nogil": True,
        "error_model": "numpy",
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    part = njit(**_ONLY_KERNELS_CALL)
    borrowing = njit(**_ONLY_KERNELS_CALL, _nrt=False)
    inlined = njit(**_ONLY_KERNELS_CALL, _nrt=False, forceinline=True)
"""`kernel`: functions that Python calls; they are cached on disk.

Division by zero gives inf or NaN as in numpy. Never fastmath: results are the same bits on every
machine and with any grouping of variants.

`part`: functions that only kernels call; they are compiled into their callers.

Python cannot call them: what it would call them through took a fifth of the time of compiling.

`borrowing`: like `part`, for functions that allocate nothing: no references are counted.

Every array in a tuple would be counted in and out in each call, by a locked instruction each, which
takes longer than a whole variant of a few bars.

`inlined`: like `borrowing`, for the few lines inside the hottest loops; no call may be left.
"""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Signals = NDArray[np.int8]
