"""Rows of a candle file as they stand there, and the error that says what is wrong with a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CandleFileError(ValueError):
    """The file cannot be imported; the message names file, line or column and what to do."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A piece of a file as it stands there: unchecked, unsorted, with duplicates.

    `time_ms` is float64[n] milliseconds since the epoch (NaN where there is no time), `values`
    float64[n, 5] open, high, low, close, volume (NaN where there is no number). `place(i)` says
    where row i is in the file, `done` how many bytes of the file have been read.
    """

    time_ms: NDArray[np.float64]
    values: NDArray[np.float64]
    place: Callable[[int], str]
    done: int


def several_instruments(path: Path, one: Any, other: Any) -> CandleFileError:
    """Refuse a file of two instruments, which would be taken for duplicates of one."""
    return CandleFileError(
        f"{path}: the file mixes instruments ({one} and {other}); split it into one file for each"
    )


def matrix(numbers: Sequence[Any]) -> NDArray[np.float64]:
    """Put Arrow columns of one length side by side: float64[n, columns], null is NaN."""
    return np.column_stack([column.to_numpy(zero_copy_only=False) for column in numbers])
