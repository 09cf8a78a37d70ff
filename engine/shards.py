"""How a stage is cut into shards: parts of about one length, which workers compute apart.

The last ones are a quarter as long, so that workers which share a stage end at nearly one time.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import NamedTuple, TypeVar

from engine.work import Division, Part

LEAST_ROWS = 64
"""Variants of the streamed block in a shard, if it has so many: they share products of others."""

QUARTERS = 4
SHORT_A_WORKER = 2
"""How many of the last shards are short, for each worker."""


class PartOfDraws(NamedTuple):
    """Some draws of a validation, and the part of stage A that is searched in each of them."""

    draws: range
    part: Part


Piece = TypeVar("Piece", range, Part, PartOfDraws)


def shards_of_stage_a(
    division: Division, seconds: float, shard_seconds: float, workers: int
) -> list[Part]:
    """Cut stage A, which takes one worker so many seconds, into parts of `shard_seconds` each.

    None is smaller than one variant of each of the two largest blocks.
    """
    parts = _boxes(division, _wanted(seconds, shard_seconds))
    return _with_short_ones(parts, workers, _quarters_of)


def shards_of_range(count: int, seconds: float, shard_seconds: float, workers: int) -> list[range]:
    """Cut so many things of like length, which take one worker so long, into ranges of them."""
    return _with_short_ones(
        _cut(range(count), _wanted(seconds, shard_seconds)),
        workers,
        lambda part: _cut(part, QUARTERS),
    )


def shards_of_draws(
    division: Division, draws: int, seconds: float, shard_seconds: float, workers: int
) -> list[PartOfDraws]:
    """Cut draws that are stage A alone, and take one worker so long, into ranges of them.

    One draw that takes longer than a shard is cut as stage A is.
    """
    deep = _wanted(seconds / draws, shard_seconds)
    if deep == 1:
        ranges = _cut(range(draws), _wanted(seconds, shard_seconds))
        parts = [PartOfDraws(some, division.whole) for some in ranges]
    else:
        boxes = _boxes(division, deep)
        parts = [PartOfDraws(range(at, at + 1), box) for at in range(draws) for box in boxes]
    return _with_short_ones(parts, workers, _quarters_of_draws)


def _wanted(seconds: float, shard_seconds: float) -> int:
    return max(1, round(seconds / shard_seconds))


def _cut(whole: range, pieces: int) -> list[range]:
    """Cut a range into pieces of like length, none of them empty; an empty one is one piece."""
    pieces = max(1, min(pieces, len(whole)))
    edges = [whole.start + len(whole) * number // pieces for number in range(pieces + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def _boxes(division: Division, wanted: int) -> list[Part]:
    """Cut stage A into about so many parts of like length."""
    streamed, second = division.whole
    across = min(wanted, max(1, len(streamed) // LEAST_ROWS))
    deep = min(-(-wanted // across), len(second))
    across = min(-(-wanted // deep), len(streamed))  # more where the second block has too few
    return [Part(s, d) for d, s in product(_cut(second, deep), _cut(streamed, across))]


def _quarters_of(part: Part) -> list[Part]:
    if len(part.streamed) >= QUARTERS:
        return [part._replace(streamed=piece) for piece in _cut(part.streamed, QUARTERS)]
    return [part._replace(second=piece) for piece in _cut(part.second, QUARTERS)]


def _quarters_of_draws(part: PartOfDraws) -> list[PartOfDraws]:
    if len(part.draws) > 1:
        return [part._replace(draws=some) for some in _cut(part.draws, QUARTERS)]
    return [part._replace(part=box) for box in _quarters_of(part.part)]


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
