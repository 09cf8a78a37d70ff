"""Parts of a stage: what whoever plans it stores, and whoever computes it reads.

A part is a JSON object of ranges, [start, stop] each. It means the same to all that have the same
request, candles and engine.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

MOST_SHARDS = 10_000
"""A stage is cut into no more, however long it takes: each is a row that is counted each second."""


class Piece(NamedTuple):
    """A part as JSON, and how many variants it has."""

    part: dict[str, Any]
    units: int


def check_partition(boxes: Sequence[tuple[range, ...]], whole: tuple[range, ...]) -> None:
    """Raise `ValueError` unless boxes lie within the whole, share nothing, and fill it."""
    edges = np.array([[(side.start, side.stop) for side in box] for box in boxes], np.int64)
    starts, stops = edges[:, :, 0], edges[:, :, 1]
    begin, end = np.array([(side.start, side.stop) for side in whole], np.int64).T
    if (starts < begin).any() or (stops > end).any():
        raise ValueError(f"a part reaches beyond {whole}")
    for at in range(len(boxes)):
        later = slice(at + 1, None)
        shared = np.minimum(stops[at], stops[later]) > np.maximum(starts[at], starts[later])
        if shared.all(axis=1).any():
            raise ValueError(f"{boxes[at]} shares variants with another part")
    filled = int((stops - starts).prod(axis=1).sum())
    if filled != int((end - begin).prod()):
        raise ValueError(f"the parts have {filled} places of {whole}")


def not_too_short(seconds: float, shard_seconds: float) -> float:
    """Return how long shards of a stage of so many seconds are: as wanted, or a bit longer."""
    return max(shard_seconds, seconds / MOST_SHARDS)


def document(ranges: Mapping[str, range]) -> dict[str, Any]:
    """Write a part."""
    return {name: [side.start, side.stop] for name, side in ranges.items()}


def ranges_of(part: Mapping[str, Any], whole: Mapping[str, range]) -> list[range]:
    """Read the ranges of a part in the order of the whole, within which they are not empty.

    Raises `ValueError` for anything else.
    """
    if set(part) != set(whole):
        raise ValueError(f"a part has {', '.join(whole)}; this one is {dict(part)}")
    ranges = []
    for name, all_ in whole.items():
        match part[name]:
            case [int(start), int(stop)] if all_.start <= start < stop <= all_.stop:
                ranges.append(range(start, stop))
            case other:
                raise ValueError(
                    f"{name} of a part is {other}; it must be two numbers [start, stop] "
                    f"with {all_.start} <= start < stop <= {all_.stop}"
                )
    return ranges
