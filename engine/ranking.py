"""The bounded top list under one total order, so that partial lists merge in any grouping."""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class TopList:
    """The best `capacity` variants seen so far; nothing in it is a Python object per variant.

    Order: fewer than `min_trades` trades last, then an undefined (NaN) primary metric, the primary
    metric, an undefined secondary metric, the secondary metric, the index. `max_drawdown_pct`
    ascends, every other metric descends; +inf is the best value.
    """

    def __init__(
        self, capacity: int, primary: str, secondary: str | None = None, min_trades: int = 0
    ) -> None:
        raise NotImplementedError

    def offer(
        self, indexes: Int64, trades: Int64, primary: Float64, secondary: Float64 | None = None
    ) -> None:
        """Take in variants: their indexes, numbers of trades and metrics (NaN = undefined)."""
        raise NotImplementedError

    def merge(self, other: "TopList") -> None:
        """Take in another list of the same order."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def indexes(self) -> Int64:
        """int64[k]: variants in rank order."""
        raise NotImplementedError

    def scores(self) -> tuple[Float64, Float64]:
        """Primary and secondary metric in rank order; NaN is undefined (or no secondary metric)."""
        raise NotImplementedError
