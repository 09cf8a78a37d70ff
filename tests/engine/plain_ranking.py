"""The order of variants and their twins, as the specification says it, one variant at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ASCENDING = ("max_drawdown_pct",)


@dataclass(frozen=True)
class Figures:
    """What a variant is ranked by; NaN is undefined. `weight` says how many variants it is."""

    ruined: bool
    trades: int
    primary: float
    secondary: float
    total_return: float
    signature: tuple[int, int]
    weight: int = 1


@dataclass(frozen=True)
class Ranking:
    """A request's ranking and the length of its list."""

    capacity: int
    primary: str
    secondary: str | None
    min_trades: int
    distinct: bool


def outcome(figures: Figures, ranking: Ranking) -> tuple[Any, ...]:
    """Return the sort key without the index: smaller is better, equal is the same outcome."""

    def metric(name: str | None, value: float) -> tuple[bool, float]:
        if math.isnan(value):
            return True, 0.0
        return False, value if name in ASCENDING else -value

    undefined_return = math.isnan(figures.total_return)
    return (
        figures.ruined,
        figures.trades < ranking.min_trades,
        *metric(ranking.primary, figures.primary),
        *metric(ranking.secondary, figures.secondary),
        math.inf if undefined_return else -figures.total_return,
        -figures.trades,
        figures.signature,
    )


def best(variants: dict[int, Figures], ranking: Ranking) -> list[tuple[int, int]]:
    """Return (index, twins) of the best outcomes of all variants, by index."""
    if not ranking.distinct:
        keys = sorted((outcome(figures, ranking), index) for index, figures in variants.items())
        return [(index, 1) for _, index in keys[: ranking.capacity]]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, figures in variants.items():
        groups.setdefault(outcome(figures, ranking), []).append(index)
    return [
        (min(groups[key]), sum(variants[index].weight for index in groups[key]))
        for key in sorted(groups)[: ranking.capacity]
    ]


def offered(indexes: Sequence[int], variants: dict[int, Figures]) -> dict[str, list[Any]]:
    """Return the figures of some variants column by column."""
    rows = [variants[index] for index in indexes]
    return {
        name: [getattr(row, name) for row in rows]
        for name in ("ruined", "trades", "primary", "secondary", "total_return")
    } | {
        "signature": [list(row.signature) for row in rows],
        "weights": [row.weight for row in rows],
    }
