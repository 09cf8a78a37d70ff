"""`python -m tests.engine.preloaded`: which kernels a sweep still has to load after the preload."""

import gc
import sys

from numba.core.dispatcher import Dispatcher

from engine.ready import preload
from engine.report import reports
from engine.sweep import Sweep
from tests.engine.small_sweeps import AVERAGE, RISK, STRENGTH, TREND, candles, request


def versions() -> dict[str, int]:
    """Count what is loaded of each kernel: one version for each choice of types."""
    return {
        f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": len(kernel.signatures)
        for kernel in gc.get_objects()
        if isinstance(kernel, Dispatcher)
    }


def main() -> None:
    """Print the names of those kernels."""
    preload()
    before = versions()
    blocks = AVERAGE, STRENGTH, TREND | {"timeframe": "1h"}
    sweep = Sweep(request(*blocks, risk=RISK, top_k=20), candles(), threads=1)
    *_, best = sweep.stage_a()
    *_, best = sweep.stage_b(best.top.indexes(), twins=best.top.twins())
    for _ in reports(sweep, best.top.indexes(), top_trades_n=3, result_bytes=2**20):
        pass
    late = sorted(name for name, count in versions().items() if count > before.get(name, 0))
    sys.stdout.write(" ".join(late))


if __name__ == "__main__":
    main()
