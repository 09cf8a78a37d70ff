"""Pairs of sweeps whose signals are each other's opposite: thresholds that change places.

Long and short threshold in each other's place turn mean reversion into momentum and momentum into
mean reversion, so that each is LONG where the other is SHORT.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from engine.sweep import Sweep
from tests.engine.enumeration import axis
from tests.engine.properties_sweeps import (
    BY_RETURN,
    GRIDS,
    OFF,
    Small,
    blocks,
    named,
    walks,
)
from tests.engine.worlds import explicit

# Fixed quote amounts of one, and far more money than they can lose: none is ever capped.
ONE_AT_A_TIME = {
    "init_cash_quote": 1e4,
    "fixed_quote": 1.0,
    "fee_pct": 0.0,
    "slippage_pct": 0.0,
}


@st.composite
def mirrored(draw: st.DrawFn) -> tuple[Small, Small]:
    """Long-only on one or two blocks with thresholds, and short-only on the opposite signal."""
    parts = draw(st.lists(blocks("threshold_band"), min_size=1, max_size=2))
    momentum = draw(st.booleans())  # of all blocks, for they would seldom agree otherwise
    near = [{**block, "signals": draw(_near_the_middle(block, momentum))} for block in parts]
    opposite = [{**block, "signals": _exchanged(block["signals"])} for block in near]
    long = Small(
        draw(walks()), named(near), ONE_AT_A_TIME, BY_RETURN, OFF, "long-only", "fixed_quote"
    )
    return long, replace(long, blocks=named(opposite), direction="short-only")


@st.composite
def _near_the_middle(draw: st.DrawFn, block: dict[str, Any], momentum: bool) -> dict[str, Any]:
    """One or two long thresholds by one short: default ones that values often reach."""
    grids = GRIDS[block["indicator_id"]]["signals"]
    low, high = (sorted(axis(grids[name])) for name in ("long_threshold", "short_threshold"))
    signals = {
        "long_threshold": explicit(*draw(st.permutations(low[-2:]))),
        "short_threshold": explicit(next((v for v in high if v > low[-1]), low[-1] + 1)),
    }
    return _exchanged(signals) if momentum else signals


def _exchanged(signals: dict[str, Any]) -> dict[str, Any]:
    return {
        "long_threshold": signals["short_threshold"],
        "short_threshold": signals["long_threshold"],
    }


def mirror_index(long: Sweep, short: Sweep, base: int) -> int:
    """Return the base index of the same thresholds in each other's place."""
    digits = []
    for block, other, number in zip(
        long.grid.blocks, short.grid.blocks, long.grid.block_variants(base), strict=True
    ):
        rest, signal = divmod(number, len(block.signal_table))
        pair = block.signal_table[signal][::-1]
        (place,) = np.flatnonzero((other.signal_table == pair).all(axis=1))
        digits.append(rest * len(other.signal_table) + int(place))
    return short.grid.base_index(tuple(digits))
