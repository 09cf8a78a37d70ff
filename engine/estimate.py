"""How large a request is, by arithmetic: nothing is listed and nothing is allocated."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from engine.axes import counted
from engine.fields import FieldError
from engine.request_model import Limits

MAX_INDEX = 2**63 - 1
STREAM_BYTES = 256 * 2**20
"""Working memory of the streamed block: a tile of planes and the values it is made from."""

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

        The planes of all blocks but the largest stay in memory, two bits per traded bar and
        variant; the largest is streamed through a working memory of fixed size.
        """
        stage_a = prod(block_totals)
        kept = min(preselect, stage_a)
        plane_bytes = 2 * 8 * -(-traded_bars // 64)
        largest = max(block_totals)
        resident = (sum(block_totals) - largest) * plane_bytes
        candles = (traded_bars + warmup_bars + 1) * _CANDLE_BYTES
        streamed = min(largest * plane_bytes, STREAM_BYTES)
        return cls(
            stage_a_variants=stage_a,
            stage_b_variants=kept * risk_total,
            bytes=candles + resident + streamed + kept * _RANKED_BYTES,
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
                f"{limits.max_compute_bytes_total} (max_compute_bytes_total): shorten the axes of "
                "the smaller indicators or the time range, or use a longer timeframe"
            )
            found.append((_GRIDS, message))
        return [FieldError(path, message, "guard_exceeded") for path, message in found]


def bars_between(start_ms: int, end_ms: int, timeframe_ms: int) -> int:
    """Return how many bars close in `[start_ms, end_ms)`."""
    return -(-end_ms // timeframe_ms) - -(-start_ms // timeframe_ms)
