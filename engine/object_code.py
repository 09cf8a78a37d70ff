"""Cached kernels are loaded as machine code; what a compiler needs of them waits until one asks.

Beside the machine code of a kernel numba keeps its intermediate code, for other functions to be
compiled with it. Reading that, and listing the thousands of names in it, was two thirds of the time
of loading all kernels, and nobody asks for it where all of them are compiled already.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from llvmlite import binding as llvm
from numba.core.caching import CompileResultCacheImpl, FunctionCache

Payload = tuple[Any, ...]


class _MachineCode(CompileResultCacheImpl):
    """Numba's own form of a compiled function, after the names by which Python finds it."""

    def reduce(self, cres: Any) -> Payload:
        described = cres.fndesc
        names = (
            described.llvm_func_name,
            described.llvm_cpython_wrapper_name,
            described.llvm_cfunc_wrapper_name,
        )
        found = tuple(filter(cres.library.get_pointer_to_function, names))
        return (found, *super().reduce(cres))  # type: ignore[no-untyped-call]

    def rebuild(self, target_context: Any, payload: Payload) -> Any:
        names, (library, kind, (machine_code, intermediate)), *rest = payload
        # Numba would find them in the intermediate code.
        target_context.codegen()._engine._defined_symbols.update(names)
        loaded = super().rebuild(  # type: ignore[no-untyped-call]
            target_context, ((library, kind, (machine_code, _nothing())), *rest)
        )
        loaded.library._get_module_for_linking = _later(intermediate)
        return loaded


class KernelCache(FunctionCache):
    """The disk cache of one kernel."""

    _impl_class = _MachineCode


def _later(intermediate: bytes) -> Callable[[], llvm.ModuleRef]:
    return cache(partial(llvm.parse_bitcode, intermediate))


@cache
def _nothing() -> bytes:
    module: bytes = llvm.parse_assembly("").as_bitcode()
    return module
