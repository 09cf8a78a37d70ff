"""How every kernel is compiled: without the GIL, cached on disk, IEEE arithmetic to the letter."""

from numba import njit

compiled = njit(nogil=True, cache=True, error_model="numpy")
"""Decorator of all kernels. Division by zero gives inf or NaN as in numpy; never fastmath: results
must be the same bits on every machine and with any grouping of variants."""
