"""How every kernel is compiled: without the GIL, cached on disk, IEEE arithmetic to the letter."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

compiled = njit(nogil=True, cache=True, error_model="numpy")
"""Decorator of all kernels. Division by zero gives inf or NaN as in numpy; never fastmath: results
must be the same bits on every machine and with any grouping of variants. The disk cache notices a
change of the file a kernel stands in, not of files it calls into: delete `__pycache__` after
changing shared helpers.
"""
