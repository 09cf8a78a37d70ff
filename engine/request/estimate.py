"""How large a request is, by arithmetic: nothing is listed and nothing is allocated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from engine.memory import PLANES_BYTES, Asked, Layout, Work, row_bytes
from engine.metric_names import OF_THE_BALANCE
from engine.request.fields import FieldError, RequestError
from engine.request.model import MAX_INDEX, Limits
from engine.request.words import counted

_GRIDS, _RISK = "template.indicator_grids", "template.risk_grid"


def is_charged(execution: Mapping[str, Any]) -> bool:
    """Whether positions may be liquidated, or holding costs, by the execution of a request."""
    names = ("leverage", "funding_pct_per_8h", "borrow_pct_per_year")
    return any(execution.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Variants scored by each stage, and the bytes that the sweep needs at most.

    That is planes, both stages, what is asked of the search and the writing of one report; kept
    reports come on top, and have a budget of their own.
    """

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
        top_k: int,
        metrics: Iterable[str | None],
        warmup_bars: int,
        traded_bars: int,
        threads: int = 1,
        larger: bool = False,
        charged: bool = False,
        validation: Mapping[str, Any] | None = None,
    ) -> "Estimate":
        """Estimate a sweep over blocks of these numbers of variants, ranked by `metrics`.

        `larger`: some have a timeframe of their own; `charged`: there is leverage or carry;
        `validation` is that of the request, in its normal form.
        """
        stage_a = prod(block_totals)
        kept = min(preselect, stage_a)
        words = max(1, -(-traded_bars // 64))
        asked = Asked.of(validation, stage_a)
        signals = [1] * len(block_totals)
        held = Layout.of(block_totals, signals, words, PLANES_BYTES).rows * row_bytes(words)
        work = Work(
            bars=traded_bars + warmup_bars + 1,
            words=words,
            totals=block_totals,
            kept=kept,
            listed=min(top_k, kept * risk_total),
            recorded=bool(set(metrics) - OF_THE_BALANCE - {None}),
            threads=threads,
            larger=larger,
            charged=charged,
            asked=asked,
        )
        if asked is not None and asked.draws:
            held *= 2  # a draw has planes of its own
        return cls(
            stage_a_variants=stage_a,
            stage_b_variants=kept * risk_total,
            bytes=held + work.bytes,
        )

    def refusals(self, limits: Limits, *, risk_total: int, exact: bool = True) -> list[FieldError]:
        """Return what exceeds the limits; `exact` False: the variants are an upper bound."""
        found: list[tuple[str, str]] = []
        stage_a, stage_b = self.stage_a_variants, self.stage_b_variants
        about = "" if exact else "up to "
        most_a, most_b = limits.max_variants_per_compute, limits.max_stage_b_variants
        if stage_a > most_a:
            message = (
                f"has {about}{counted(stage_a)} variants in stage A, more than the limit of "
                f"{most_a} (max_variants_per_compute): shorten the axes or enlarge their steps"
            )
            found.append((_GRIDS, message))
        if stage_b > most_b:
            message = (
                f"has {stage_b // risk_total} preselected x {risk_total} risk = {counted(stage_b)} "
                f"variants in stage B, more than the limit of {most_b} (max_stage_b_variants): "
                "lower preselect or shorten the risk axes"
            )
            found.append((_RISK, message))
        if stage_a * risk_total > MAX_INDEX:
            message = (
                f"has {about}{counted(stage_a * risk_total)} variants with their risk levels, more "
                "than can be numbered (2^63 - 1): shorten the axes"
            )
            found.append((_GRIDS, message))
        if stage_a <= most_a and self.bytes > limits.max_compute_bytes_total:
            message = (
                f"needs about {self.bytes} bytes, more than the limit of "
                f"{limits.max_compute_bytes_total} (max_compute_bytes_total): shorten the time "
                "range, use a longer timeframe or give the smaller indicators fewer variants"
            )
            found.append((_GRIDS, message))
        return [FieldError(path, message, "guard_exceeded") for path, message in found]


class TooLarge(RequestError):
    """A request that is well-formed and only too large, and how large it is.

    `effective` is what it would be as a job; its warm-up is None where that was not resolved, and
    the values of an axis of too many were not looked at. `estimate` is of all of it, an upper bound
    where valid pairs were too many to be counted, with `risk_total` combinations.
    """

    def __init__(
        self,
        errors: Iterable[FieldError],
        effective: Mapping[str, Any],
        estimate: Estimate,
        risk_total: int,
    ) -> None:
        super().__init__(errors)
        self.effective = effective
        self.estimate = estimate
        self.risk_total = risk_total


def bars_between(start_ms: int, end_ms: int, timeframe_ms: int) -> int:
    """Return how many whole bars `[start_ms, end_ms)` holds: they open and close in it."""
    return max(0, end_ms // timeframe_ms - -(-start_ms // timeframe_ms))
