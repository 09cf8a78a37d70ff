"""Parts of kernels for tests that call them from Python, which the product's own parts crash at."""

from typing import Any

from numba import njit


def from_python(part: Any) -> Any:
    """Compile a part once more, with what Python calls it through."""
    return njit(error_model="numpy")(part.py_func)
