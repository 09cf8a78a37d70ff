"""This engine on the peers' signals: the kernels of both stages, called as the sweep calls them."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import RULES, SL_PCT, TP_PCT, Crossings
from engine.kernels.expansion import expand_risk
from engine.kernels.inputs import (
    costs_of,
    ground_planes,
    levels_of,
    market_of,
    order_of,
    room_for,
)
from engine.kernels.tiles import Tile, score_tile
from engine.work import TILE_BYTES

Float64 = NDArray[np.float64]


class Engine:
    """Kernels on given signals; returns are fractions, float64[V], in the order of the signals."""

    def __init__(self, work: Crossings) -> None:
        self.variants = work.variants
        self._long, self._short = work.planes()
        self._ground = ground_planes(len(work.closes), RULES)
        self._market = market_of(work.closes)
        self._costs = costs_of(RULES)
        self._order = order_of("total_return_pct", None, 0, 3, np.inf)
        self._levels = levels_of(SL_PCT, TP_PCT, (None,))

    def words(self) -> int:
        """Return the words of a plane."""
        return int(self._long.shape[1])

    def stage_a(self) -> Float64:
        """Score every signal without risk levels."""
        found = room_for(self.variants)
        returns = np.empty(self.variants)
        rows = max(8, TILE_BYTES // (2 * 8 * self.words()))
        others = np.zeros((0, 3), np.int64)
        for start in range(0, self.variants, rows):
            count = min(rows, self.variants - start)
            tile = Tile(start, count, 1, 0, 1, start, 0, self.variants)
            score_tile(
                self._long, self._short, self._ground, tile, others,
                self._market, self._costs, self._order, found,
            )  # fmt: skip
            returns[start : start + count] = found.primary[:count] / 100
        return returns

    def stage_b(self) -> Float64:
        """Score the first signal under every (SL, TP)."""
        combinations = len(SL_PCT) * len(TP_PCT)
        found = room_for(combinations)
        expand_risk(
            self._long, self._short, self._ground, np.zeros((1, 1), np.int64),
            np.zeros(1, np.int64), 0, len(SL_PCT), self._levels,
            self._market, self._costs, self._order, found,
        )  # fmt: skip
        return found.primary[:combinations] / 100
