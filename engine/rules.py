"""From indicator values to LONG and SHORT bit planes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.candles import Candles
    from engine.grid import Block


def block_planes(
    block: "Block",
    candles: "Candles",
    start: int,
    stop: int,
    long: NDArray[np.uint64],
    short: NDArray[np.uint64],
) -> None:
    """Write the planes of block variants `start`..`stop - 1` into `long` and `short`.

    Both are uint64[stop - start, W], C-contiguous: bit i % 64 of word i // 64 is traded bar i, bits
    from the number of traded bars on are 0, and no bar is in both. A block variant number is
    ((source * computes) + compute) * signals + signal. Thread-safe; kernels release the GIL.
    """
    raise NotImplementedError


def preload_kernels() -> None:
    """Compile, or load from the disk cache, the kernels of all indicators and rules."""
    raise NotImplementedError
