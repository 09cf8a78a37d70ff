"""Indicator values for many parameter rows at once, over candles that may have holes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.indicators.declaration import Indicator, Output

if TYPE_CHECKING:
    from engine.candles import Candles


def compute(
    indicator: Indicator,
    output: Output,
    candles: "Candles",
    source: str | None,
    params: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return float64[P, T]: one row of values per row of `params` (float64[P, K]).

    `source` names the price series of an indicator that takes one (`None`: close). Each maximal
    stretch of bars on which every input is finite is a series of its own; elsewhere NaN.
    """
    raise NotImplementedError


def preload_kernels() -> None:
    """Compile, or load from the disk cache, the kernel of every indicator in the catalogue."""
    raise NotImplementedError
