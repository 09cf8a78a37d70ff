"""How a stage is cut into shards: parts of about one length, which workers compute apart.

The last ones are a quarter as long, so that workers which share a stage end at nearly one time.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import TypeVar

from engine.work import Division, Part

LEAST_ROWS = 64
"""Variants of the streamed block in a shard, if it has so many: they share products of others."""

QUARTERS = 4
SHORT_A_WORKER = 2
"""How many of the last shards are short, for each worker."""

Piece = TypeVar("Piece", range, Part)


def shards_of_stage_a(
    division: Division, seconds: float, shard_seconds: float, workers: int
) -> list[Part]:
    """Cut stage A, which takes one worker so many seconds, into parts of `shard_seconds` each.

    None is smaller than one variant of each of the two largest blocks.
    """
    streamed, second = division.whole
    wanted = _wanted(seconds, shard_seconds)
    across = min(wanted, max(1, len(streamed) // LEAST_ROWS))
    deep = min(-(-wanted // across), len(second))
    across = min(-(-wanted // deep), len(streamed))  # more where the second block has too few
    parts = [Part(s, d) for d, s in product(_cut(second, deep), _cut(streamed, across))]
    return _with_short_ones(parts, workers, _quarters_of)


def shards_of_shortlist(
    count: int, seconds: float, shard_seconds: float, workers: int
) -> list[range]:
    """Cut a shortlist, whose stage B takes one worker so long, into ranges of positions."""
    return _with_short_ones(
        _cut(range(count), _wanted(seconds, shard_seconds)),
        workers,
        lambda part: _cut(part, QUARTERS),
    )


def _wanted(seconds: float, shard_seconds: float) -> int:
    return max(1, round(seconds / shard_seconds))


def _cut(whole: range, pieces: int) -> list[range]:
    """Cut a range into pieces of like length, none of them empty; an empty one is one piece."""
    pieces = max(1, min(pieces, len(whole)))
    edges = [whole.start + len(whole) * number // pieces for number in range(pieces + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def _quarters_of(part: Part) -> list[Part]:
    if len(part.streamed) >= QUARTERS:
        return [part._replace(streamed=piece) for piece in _cut(part.streamed, QUARTERS)]
    return [part._replace(second=piece) for piece in _cut(part.second, QUARTERS)]


def _with_short_ones(
    parts: Sequence[Piece], workers: int, quarters: Callable[[Piece], list[Piece]]
) -> list[Piece]:
    """Cut so many of the last parts that each worker finds its share of short ones.

    A stage of one part is not shared, and stays as it is.
    """
    if len(parts) == 1:
        return list(parts)
    last = min(len(parts), -(-SHORT_A_WORKER * workers // QUARTERS))
    cut = list(parts[:-last])
    for part in parts[-last:]:
        cut.extend(quarters(part))
    return cut
