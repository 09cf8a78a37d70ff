"""Arrow columns as numpy arrays, without pandas: Arrow's own `to_numpy` imports it if it can."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def as_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    """Copy of a column of numbers or of times without a null: int64 of the unit of the times.

    Raises `TypeError` or `BufferError` for another column.
    """
    chunks = column.chunks
    if pa.types.is_timestamp(column.type):
        chunks = [chunk.view(pa.int64()) for chunk in chunks]
    nothing = np.empty(0, np.float64 if pa.types.is_floating(column.type) else np.int64)
    return np.concatenate([nothing, *map(np.from_dlpack, chunks)])
