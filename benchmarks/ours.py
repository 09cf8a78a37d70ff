"""The engine on the peers' signals: the kernels of both stages, called as the sweep calls them."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import RULES, SL_PCT, TP_PCT, Crossings
from engine.candles import Candles
from engine.kernels.charges import carry_on
from engine.kernels.expansion import RiskTile, expand_risk
from engine.kernels.inputs import (
    allowed_planes,
    costs_of,
    fills_of,
    levels_of,
    market_of,
    order_of,
    room_for,
    sizes_of,
    tally_of,
)
from engine.kernels.measures import WORST_TIER
from engine.kernels.rules import ExecutionRules
from engine.kernels.tiles import Tile, score_tile
from engine.outcomes import Outcomes
from engine.work import TILE_BYTES

Float64 = NDArray[np.float64]

# A second block of so many variants that are always LONG: a tile is used again for each of them,
# and a call is spread over as many variants as in a sweep.
PREFIXES = 8
EXPANDED = 8  # signals of one call of stage B


class Engine:
    """Kernels on given signals; returns are fractions in the order of the signals."""

    def __init__(
        self,
        work: Crossings,
        rules: ExecutionRules = RULES,
        candles: Candles | None = None,
        *,
        listed: bool = True,
    ) -> None:
        """Take signals; `listed`: every variant is offered to a list, and signed for it.

        Rules by which not everything fills at closes, or holding costs, need the `candles`.
        """
        long, short = work.planes()
        self.variants = work.variants
        self.words = int(long.shape[1])
        always = np.full((PREFIXES, self.words), np.iinfo(np.uint64).max, np.uint64)
        self._long = np.concatenate((long, always))
        # What is held is closed by the opposite signal: the same positions, and changes.
        self._short = np.concatenate((~long if rules.hold else short, always))
        self._allowed = allowed_planes(len(work.closes), rules)
        self._rules, self._costs = rules, costs_of(rules)
        self._market = market_of(
            work.closes,
            self._costs,
            fills=None if candles is None else fills_of(rules, candles),
            carry=None if candles is None else carry_on(rules, candles),
        )
        self._order = order_of(  # every signal is scored, twin or not
            "total_return_pct",
            None,
            0,
            WORST_TIER if listed else 0,
            np.inf if listed else -np.inf,
            distinct=False,
        )
        self._tally = tally_of(Outcomes("total_return_pct", None))
        self._levels = levels_of(SL_PCT, TP_PCT, (None,))
        self._sizes = sizes_of(rules, SL_PCT)

    @property
    def scored(self) -> int:
        """How many variants one call of `stage_a` scores."""
        return self.variants * PREFIXES

    def stage_a(self) -> Float64:
        """Score every signal without risk levels, `PREFIXES` times: float64[variants]."""
        found = room_for(self.scored)
        returns = np.empty(self.variants)
        rows = max(8, TILE_BYTES // (2 * 8 * self.words))
        others = np.array([[self.variants, PREFIXES, self.variants]], np.int64)
        for start in range(0, self.variants, rows):
            count = min(rows, self.variants - start)
            tile = Tile(
                start, count, 1, 0, PREFIXES, start,
                self._rules.hold, exits=False, entries=1, pause=self._rules.pause,
            )  # fmt: skip
            score_tile(
                self._long, self._short, self._allowed, tile, others,
                self._market, self._costs, self._order, found, self._tally,
            )  # fmt: skip
            returns[start : start + count] = found.primary[:count] / 100
        return returns

    @property
    def expanded(self) -> int:
        """How many variants one call of `stage_b` scores."""
        return len(SL_PCT) * len(TP_PCT) * EXPANDED

    def stage_b(self) -> Float64:
        """Score the first signal under every (SL, TP), `EXPANDED` times: float64[combinations]."""
        found = room_for(self.expanded)
        combinations = len(SL_PCT) * len(TP_PCT)
        tile = RiskTile(
            0, 0, 0, len(TP_PCT), 1, combinations, self._rules.hold, 1, self._rules.pause
        )
        expand_risk(
            self._long, self._short, self._allowed, np.zeros((EXPANDED, 1), np.int64),
            np.arange(EXPANDED), tile, self._levels,
            self._market, *self._sizes, self._order, found,
        )  # fmt: skip
        return found.primary[:combinations] / 100
