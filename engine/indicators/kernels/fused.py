"""a * b + c rounded once instead of twice: known to LLVM, and the same bits on every machine."""

from typing import Any

from numba import types
from numba.extending import intrinsic


def _fused_multiply_add(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a * b + c for three float64, rounded once."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), codegen


fused_multiply_add: Any = intrinsic(_fused_multiply_add)
