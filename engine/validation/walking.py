"""The walk forward of a search: its folds with times and parameters, as a page shows them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.candles import utc
from engine.request.model import WalkForward as Wanted
from engine.validation import GROWTH_UNIT, Unknown
from engine.validation.recording import Recorded, edges_of
from engine.validation.walk_forward import WalkForward, walk_forward

if TYPE_CHECKING:
    from engine.sweep import Sweep

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk forward, when its blocks begin and the last one ends, and who was chosen.

    `variants` are base index and parameters of the winners of the folds, then of the best in
    hindsight; None where a fold stays in cash.
    """

    walk: WalkForward
    times: list[str]
    variants: list[tuple[int, dict[str, Any]] | None]

    def document(self) -> dict[str, Any]:
        """Return the figures of the whole walk, as JSON."""
        walk = self.walk.document()
        return {
            "mode": self.walk.mode,
            "folds": len(self.walk.folds),
            "blocks": self.walk.blocks,
            "return_pct": walk["return_pct"],
            "hindsight_return_pct": walk["hindsight"]["return_pct"],
            "benchmark_return_pct": walk["benchmark"]["return_pct"],
        }

    def picture(self) -> dict[str, Any]:
        """Return all folds, with parameters, and the curves, as JSON."""
        walk = self.walk.document()
        for each, chosen in zip((*walk["folds"], walk["hindsight"]), self.variants, strict=True):
            del each["row"]
            each["base_index"], each["payload"] = chosen or (None, None)
        return {"times": self.times, **walk}


def walked(sweep: "Sweep", recorded: Recorded, wanted: Wanted) -> Walk | Unknown:
    """Walk forward through what is recorded of a search."""
    records = recorded.records
    found = walk_forward(
        records.growth,
        records.entries,
        folds=wanted.folds,
        mode=wanted.mode,
        min_trades=sweep.request.ranking.min_trades,
        benchmark=held_growths(sweep.closes, records.growth.shape[1]),
    )
    if isinstance(found, Unknown):
        return found

    def variant(row: int | None) -> tuple[int, dict[str, Any]] | None:
        if row is None:
            return None
        return row * records.stride, sweep.grid.base_variant(row * records.stride)

    rows = (*(fold.row for fold in found.folds), found.hindsight_row)
    return Walk(found, _times(sweep, found.blocks), [variant(row) for row in rows])


def held_growths(closes: Float64, blocks: int) -> Float64:
    """Return float64[S]: the growth of what is bought at the first close and held, by block.

    In the units of recorded growths, but not rounded: closes float64[n].
    """
    edges = edges_of(len(closes), blocks)
    levels = np.log(closes[np.maximum(edges - 1, 0)])
    return np.diff(levels) * GROWTH_UNIT


def _times(sweep: "Sweep", blocks: int) -> list[str]:
    edges = edges_of(len(sweep.closes), blocks)
    ends = sweep.open_times[edges[1:] - 1] + sweep.candles.timeframe_ms
    return [utc(int(time)) for time in (sweep.open_times[0], *ends)]
