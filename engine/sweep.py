"""The staged sweep: a generator of batches that knows neither database nor queue."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from engine.ranking import TopList

if TYPE_CHECKING:
    from engine.candles import Candles
    from engine.request import Request

Bits = NDArray[np.uint64]
Int64 = NDArray[np.int64]

PLANES_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Batch:
    """State of a stage after a batch of work.

    `processed` of `total` variants are done; `top` is the live list, best so far. Batches without
    progress occur while planes are prepared.
    """

    stage: Literal["stage_a", "stage_b"]
    processed: int
    total: int
    top: TopList


class Sweep:
    """One request over one set of candles.

    Results depend on neither `threads` nor `memory_bytes`, the budget for signal planes.
    """

    def __init__(
        self,
        request: "Request",
        candles: "Candles",
        *,
        threads: int = 1,
        memory_bytes: int = PLANES_BYTES,
    ) -> None:
        raise NotImplementedError

    def stage_a(self, base: range | None = None) -> Iterator[Batch]:
        """Score base variants (all, or a range of base indexes) without risk levels.

        The last batch holds the best `preselect` base indexes.
        """
        raise NotImplementedError

    def stage_b(self, shortlist: Int64, positions: range | None = None) -> Iterator[Batch]:
        """Score every risk combination of the shortlisted base variants.

        `positions` restricts the work to a range of positions in the shortlist. The last batch
        holds the best `top_k` stage-B indexes (`base_index * risk_total + risk_index`).
        """
        raise NotImplementedError

    def planes_of(self, base_index: int) -> tuple[Bits, Bits]:
        """LONG and SHORT planes uint64[W] of one base variant, the last bar's signal included."""
        raise NotImplementedError


def preload() -> float:
    """Compile, or load from the disk cache, every kernel of the engine; returns the seconds."""
    raise NotImplementedError
