"""How large a request is, by arithmetic: nothing is listed and nothing is allocated."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from engine.request.axes import counted
from engine.request.fields import FieldError
from engine.request.model import Limits

MAX_INDEX = 2**63 - 1
PLANES_BYTES = 256 * 2**20
"""What planes take unless blocks that are held whole take more."""

MIN_ROWS = 64
"""Variants of a streamed block for which there is always room."""

_CANDLE_BYTES = 6 * 8  # open time, four prices, volume
_RANKED_BYTES = 4 * 8  # index, number of trades, two metrics
_GRIDS, _RISK = "template.indicator_grids", "template.risk_grid"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Variants scored by each stage, and the bytes the computation needs at most."""

    stage_a_variants: int
    stage_b_variants: int
    bytes: int

    @classmethod
    def of(
        cls,
        block_totals: Sequence[int],
        *,
        risk_total: int,
        preselect: int,
        warmup_bars: int,
        traded_bars: int,
    ) -> "Estimate":
        """Estimate a sweep over blocks of these numbers of variants.

        Planes take two bits per traded bar and block variant. The two largest blocks are streamed
        through what the memory budget leaves; the others are held whole.
        """
        stage_a = prod(block_totals)
        kept = min(preselect, stage_a)
        row = 2 * 8 * -(-traded_bars // 64)
        *whole, second, largest = sorted((0, *block_totals))
        held = sum(whole) * row
        room = (min(second, MIN_ROWS) + min(largest, MIN_ROWS)) * row
        streamed = min((second + largest) * row, max(PLANES_BYTES - held, room))
        candles = (traded_bars + warmup_bars + 1) * _CANDLE_BYTES
        return cls(
            stage_a_variants=stage_a,
            stage_b_variants=kept * risk_total,
            bytes=candles + held + streamed + kept * _RANKED_BYTES,
        )

    def refusals(self, limits: Limits, *, risk_total: int, exact: bool = True) -> list[FieldError]:
        """Return what exceeds the limits; `exact` False: the variants are an upper bound."""
        found: list[tuple[str, str]] = []
        limit = limits.max_variants_per_compute
        stage_a, stage_b = self.stage_a_variants, self.stage_b_variants
        about = "" if exact else "up to "
        if stage_a > limit:
            message = (
                f"has {about}{counted(stage_a)} variants in stage A, more than the limit of "
                f"{limit} (max_variants_per_compute): shorten the axes or enlarge their steps"
            )
            found.append((_GRIDS, message))
        elif stage_b > limit:
            message = (
                f"has {stage_b // risk_total} preselected x {risk_total} risk = {stage_b} variants "
                f"in stage B, more than the limit of {limit} (max_variants_per_compute): "
                "lower preselect or shorten the risk axes"
            )
            found.append((_RISK, message))
        if stage_a * risk_total > MAX_INDEX:
            message = (
                f"has {about}{counted(stage_a * risk_total)} variants with their risk levels, more "
                "than can be numbered (2^63 - 1): shorten the axes"
            )
            found.append((_GRIDS, message))
        if stage_a <= limit and self.bytes > limits.max_compute_bytes_total:
            message = (
                f"needs about {self.bytes} bytes, more than the limit of "
                f"{limits.max_compute_bytes_total} (max_compute_bytes_total): shorten the time "
                "range, use a longer timeframe or give the smaller indicators fewer variants"
            )
            found.append((_GRIDS, message))
        return [FieldError(path, message, "guard_exceeded") for path, message in found]


def bars_between(start_ms: int, end_ms: int, timeframe_ms: int) -> int:
    """Return how many bars close in `[start_ms, end_ms)`."""
    return -(-end_ms // timeframe_ms) - -(-start_ms // timeframe_ms)
