"""The sweep's variants as numbers: mixed-radix index ↔ parameters, by arithmetic.

A base index is the mixed-radix number of the block variants, blocks sorted by name and exit blocks
after all that open, the last one fastest. A variant index is `base_index * risk_total +
risk_index`, and a risk index that of sl, tp, tsl and percent, the last one fastest. No list of
variants exists.

`Variants` lists the variants of no block either: it is for whoever asks for a few of them. `Grid`
is for a sweep, which computes all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

from engine.blocks import Block, UnlistedBlock
from engine.request.estimate import Estimate, bars_between, is_charged
from engine.request.hashes import canonical_json, named_execution, named_position, sha256_hex
from engine.request.model import RISK_AXES, BlockRequest, Level, Request, Risk

__all__ = ["Estimate", "Grid", "Variants", "estimate", "indicator_key"]


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """All variants of a request; `fixed` is what they share.

    The first `entries` of `blocks` open positions, the others close what is held.
    """

    blocks: tuple[Block | UnlistedBlock, ...]
    entries: int
    base_total: int
    risk_total: int
    risk: Risk
    fixed: Mapping[str, Any]

    @classmethod
    def of(cls, request: Request) -> Self:
        """Lay out the variants of a request."""
        return cls._of(request, UnlistedBlock.of)

    @classmethod
    def _of(cls, request: Request, made: Callable[[BlockRequest], Any]) -> Self:
        blocks = tuple(
            made(block)
            for part in (request.blocks, request.exit_blocks)
            for block in sorted(part, key=lambda block: block.name)
        )
        template = request.document["template"]
        names = ("instrument_id", "timeframe", "direction_mode", "sizing_mode")
        return cls(
            blocks=blocks,
            entries=len(request.blocks),
            base_total=prod(block.total for block in blocks),
            risk_total=request.risk.total,
            risk=request.risk,
            fixed={
                **{name: template[name] for name in names},
                **named_position(template),
                "execution": named_execution(template["execution"]),
                "warmup_bars": request.warmup_bars,
            },
        )

    def block_variants(self, base_index: int) -> tuple[int, ...]:
        """Return the block variant numbers of a base index, one per block."""
        if not 0 <= base_index < self.base_total:
            raise IndexError(f"there are base variants 0..{self.base_total - 1}, not {base_index}")
        digits = []
        rest = int(base_index)
        for block in reversed(self.blocks):
            rest, digit = divmod(rest, block.total)
            digits.append(digit)
        return tuple(reversed(digits))

    def base_index(self, block_variants: tuple[int, ...]) -> int:
        """Return the base index of block variant numbers, the inverse of `block_variants`."""
        index = 0
        for block, number in zip(self.blocks, block_variants, strict=True):
            index = index * block.total + number
        return index

    def split(self, variant_index: int) -> tuple[int, int]:
        """Return the base index and the risk index of a variant."""
        total = self.base_total * self.risk_total
        if not 0 <= variant_index < total:
            raise IndexError(f"there are variants 0..{total - 1}, not {variant_index}")
        base_index, risk_index = divmod(int(variant_index), self.risk_total)
        return base_index, risk_index

    def risk_at(self, risk_index: int) -> tuple[Level, Level, Level]:
        """Return sl, tp and tsl in human percent, None = off; of them tsl is the fastest digit."""
        rest, _ = self._risk_digits(risk_index)
        rest, tsl = divmod(rest, len(self.risk.tsl))
        sl, tp = divmod(rest, len(self.risk.tp))
        return self.risk.sl[sl], self.risk.tp[tp], self.risk.tsl[tsl]

    def percent_at(self, risk_index: int) -> float | None:
        """Return how much of the equity a position takes; None where that is not by percent."""
        _, percent = self._risk_digits(risk_index)
        return self.risk.percent[percent]

    def _risk_digits(self, risk_index: int) -> tuple[int, int]:
        """Return the index of the levels and, the fastest digit of all, that of the percent."""
        if not 0 <= risk_index < self.risk_total:
            raise IndexError(f"there are risk variants 0..{self.risk_total - 1}, not {risk_index}")
        return divmod(int(risk_index), len(self.risk.percent))

    def variant(self, variant_index: int) -> dict[str, Any]:
        """Return every effective value of one variant, enough to run it again on any range."""
        base_index, risk_index = self.split(variant_index)
        return self._valued(base_index, self.risk_at(risk_index), self.percent_at(risk_index))

    def base_variant(self, base_index: int) -> dict[str, Any]:
        """Return every effective value of a base variant: no risk levels, the first percent.

        Where a stop loss decides how much a trade takes, it has the first one.
        """
        by_stop = self.fixed["sizing_mode"] == "risk_per_trade"
        sl = self.risk.sl[0] if by_stop else None
        return self._valued(base_index, (sl, None, None), self.risk.percent[0])

    def _valued(
        self, base_index: int, levels: tuple[Level, Level, Level], percent: float | None
    ) -> dict[str, Any]:
        numbers = zip(self.blocks, self.block_variants(base_index), strict=True)
        values = [block.parameters(number) for block, number in numbers]
        entries, exits = values[: self.entries], values[self.entries :]
        execution = self.fixed["execution"]
        if percent is not None:
            execution = named_execution({**execution, "percent": percent})
        return {
            **self.fixed,
            "execution": execution,
            "blocks": entries,
            **({"exit_blocks": exits} if exits else {}),
            "risk": dict(zip(RISK_AXES, levels, strict=True)),
        }

    def variant_key(self, variant_index: int) -> str:
        """Return the hash that names a variant wherever it is met again."""
        return sha256_hex(canonical_json(self.variant(variant_index)))

    def indicator_variant_key(self, variant_index: int) -> str:
        """Return the hash of instrument, timeframe and compute parameters alone."""
        return indicator_key(self.variant(variant_index))


@dataclass(frozen=True, slots=True, eq=False)
class Grid(Variants):
    """The same variants with the tables of their blocks, which a sweep computes with."""

    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, request: Request) -> Self:
        """List the variants of every block of a request."""
        return cls._of(request, Block.of)


def indicator_key(variant: Mapping[str, Any]) -> str:
    """Return the hash of what a variant computes, whatever it then does with the values."""
    blocks = [*variant["blocks"], *variant.get("exit_blocks", ())]
    compute = [{name: block[name] for name in _computing(block)} for block in blocks]
    shared = {name: variant[name] for name in ("instrument_id", "timeframe")}
    return sha256_hex(canonical_json({**shared, "blocks": sorted(compute, key=canonical_json)}))


def _computing(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of a block that decide what is computed."""
    names = ("indicator_id", "output", "source", "params")
    return (*names, "timeframe") if "timeframe" in block else names


def estimate(request: Request, traded_bars: int | None = None, *, threads: int = 1) -> Estimate:
    """Estimate a request; without `traded_bars` as if its whole time range had candles."""
    if traded_bars is None:
        traded_bars = bars_between(request.start_ms, request.end_ms, request.timeframe_ms)
    blocks = request.titled_blocks.values()
    return Estimate.of(
        [UnlistedBlock.of(block).total for block in blocks],
        risk_total=request.risk.total,
        preselect=request.preselect,
        top_k=request.top_k,
        metrics=(request.ranking.primary_metric, request.ranking.secondary_metric),
        warmup_bars=request.warmup_bars,
        traded_bars=traded_bars,
        threads=threads,
        larger=any(block.timeframe is not None for block in blocks),
        charged=is_charged(request.document["template"]["execution"]),
        validation=request.document.get("validation"),
    )
