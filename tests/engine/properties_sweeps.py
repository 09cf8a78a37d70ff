"""Hypothesis strategies for small sweeps over random candles: any indicators, money rules, ranking.

Blocks come from the catalogue and its default grids, so that what is added there is drawn here. A
sweep has at most a few hundred base variants on at most 320 bars, which takes milliseconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engine.candles import Candles
from engine.indicators.registry import RULES, Indicator, Output, catalogue
from engine.metric_names import METRICS
from engine.ranking import TopList
from engine.request import Request, complete, parse
from engine.sweep import Batch, Sweep
from tests.engine.cases import DIRECTIONS, SIZINGS
from tests.engine.enumeration import axis
from tests.engine.worlds import DEFAULTS, HOUR_MS, LIMITS, START_MS, explicit, iso, random_candles

GRIDS: dict[str, Any] = {
    indicator.id: {
        "params": {param.name: param.default for param in indicator.params},
        "signals": indicator.signals,
    }
    for indicator in catalogue()
}
OFF = {"sl": None, "tp": None, "tsl": None}
MONEY = {"init_cash_quote": 1_000.0, "fixed_quote": 100.0, "fee_pct": 0.0, "slippage_pct": 0.0}
BY_TRADES = {"primary_metric": "num_trades"}
BY_RETURN = {"primary_metric": "total_return_pct"}
OUTPUTS = [(indicator, output) for indicator in catalogue() for output in indicator.outputs]


def id_of(indicator: Indicator, output: Output) -> str:
    return f"{indicator.id}-{output.name}"


IDS = [id_of(*each) for each in OUTPUTS]
SHORTEST = 25  # so many first values of a default axis are drawn from: windows that fit the candles
MOST_VARIANTS = 240

Blocks = list[dict[str, Any]]
Ranked = tuple[bytes, bytes, bytes, bytes]


def law(examples: int) -> settings:
    """Settings of a property that is tried on so many sweeps."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Small:
    """A request as its parts, and the candles it is swept over."""

    candles: Candles
    blocks: Blocks
    execution: dict[str, float]
    ranking: dict[str, Any]
    risk: dict[str, Any]
    direction: str = "long-short"
    sizing: str = "all_in"
    preselect: int = 100_000
    top_k: int = 100_000
    distinct: bool = False

    def request(self) -> Request:
        hours = self.candles.timeframe_ms // HOUR_MS
        end_ms = START_MS + self.candles.traded_bars * self.candles.timeframe_ms
        template = {
            "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
            "timeframe": f"{hours}h",
            "indicator_grids": self.blocks,
            "direction_mode": self.direction,
            "sizing_mode": self.sizing,
            "execution": self.execution,
            "risk_grid": self.risk,
        }
        document = {
            "time_range": {"start": iso(START_MS), "end": iso(end_ms)},
            "template": template,
            "warmup_bars": self.candles.first,
            "preselect": self.preselect,
            "top_trades_n": 1,
            "ranking": self.ranking,
        }
        # Not submitted with its top_k: more variants are kept here than a job would store.
        wanted = parse(complete(document, DEFAULTS, LIMITS) | {"top_k": self.top_k})
        return replace(wanted, ranking=replace(wanted.ranking, distinct=self.distinct))

    def sweep(self, *, threads: int = 1, memory_bytes: int = 2**28) -> Sweep:
        return Sweep(self.request(), self.candles, threads=threads, memory_bytes=memory_bytes)


def last(batches: Iterator[Batch]) -> TopList:
    """Return the top list of a finished stage."""
    *_, batch = batches
    assert batch.processed == batch.total
    return batch.top


def both_stages(run: Sweep) -> tuple[TopList, TopList]:
    """Return the shortlist and the final list."""
    shortlist = last(run.stage_a())
    return shortlist, last(run.stage_b(shortlist.indexes()))


def ranked(top: TopList) -> Ranked:
    """Return a list as bytes: equal means the same variants, order and scores, to the last bit."""
    primary, secondary = top.scores()
    return (
        top.indexes().tobytes(),
        top.twins().tobytes(),
        primary.tobytes(),
        secondary.tobytes(),
    )


# --- blocks ----------------------------------------------------------------------------------


def blocks(*rules: str) -> st.SearchStrategy[dict[str, Any]]:
    """One block of any indicator, or of those that are read by one of these rules."""
    outputs = [(i, output) for i, output in OUTPUTS if not rules or output.rule in rules]
    return st.sampled_from(outputs).flatmap(lambda chosen: BLOCKS[id_of(*chosen)])


@st.composite
def block_of(draw: st.DrawFn, indicator: Indicator, output: Output) -> dict[str, Any]:
    """One block of one to six variants: at most two of its axes have several values."""
    id_ = id_of(indicator, output)
    offered = _offered(id_)
    plural = draw(_in_any_order(id_))[:2]
    chosen = {
        name: draw(_some_of(id_, name, {n: 3 - i for i, n in enumerate(plural)}.get(name, 1)))
        for name in offered
    }
    for low, high in indicator.ordered:
        if low in chosen and high in chosen and max(chosen[high]) <= min(chosen[low]):
            chosen[high] = [max(offered[high])]  # or no pair would be valid
    grid: dict[str, Any] = {
        "indicator_id": indicator.id,
        "output": output.name,
        "params": {name: explicit(*chosen[name]) for name in output.params},
        "signals": {p.name: explicit(*chosen[p.name]) for p in RULES[output.rule].params},
    }
    return grid | ({"source": explicit(*chosen["source"])} if indicator.has_source else {})


BLOCKS = {id_of(*each): block_of(*each) for each in OUTPUTS}


@cache
def _offered(id_: str) -> dict[str, Sequence[Any]]:
    """Return what the values of each axis of a block are drawn from."""
    indicator, output = OUTPUTS[IDS.index(id_)]
    grids = GRIDS[indicator.id]
    offered: dict[str, Sequence[Any]] = {
        name: axis(grids["params"][name])[:SHORTEST] for name in output.params
    }
    offered |= {p.name: axis(grids["signals"][p.name]) for p in RULES[output.rule].params}
    if indicator.has_source:
        offered["source"] = ("close", "open", "hl2", "hlc3", "ohlc4")
    return offered


@cache
def _in_any_order(id_: str) -> st.SearchStrategy[list[str]]:
    return st.permutations(sorted(_offered(id_)))


@cache
def _some_of(id_: str, name: str, most: int) -> st.SearchStrategy[list[Any]]:
    values = _offered(id_)[name]
    size = min(most, len(values))
    return st.lists(st.sampled_from(values), min_size=size, max_size=size, unique=True)


def variants_at_most(block: dict[str, Any]) -> int:
    """Return the variants of a block before its validity rules leave some out."""
    axes = [*block["params"].values(), *block["signals"].values(), block.get("source")]
    return prod(len(axis(spec)) for spec in axes)


def named(parts: Blocks) -> Blocks:
    """Give blocks of any kind names of their own, in the order in which they stand."""
    return [{**block, "name": f"{'abc'[place]}{place}"} for place, block in enumerate(parts)]


def several_blocks(*rules: str) -> st.SearchStrategy[Blocks]:
    """One to three blocks; without `rules` the first one is seldom NEUTRAL."""
    first = blocks(*(rules or ("price_vs_output", "sign", "delta_sign")))
    so_many = [st.lists(blocks(*rules), min_size=n, max_size=n) for n in range(3)]
    others = st.sampled_from((0, 1, 1, 2)).flatmap(lambda count: so_many[count])
    return st.builds(lambda one, more: named([one, *more]), first, others).filter(
        lambda parts: prod(map(variants_at_most, parts)) <= MOST_VARIANTS
    )


# --- the rest of a request -------------------------------------------------------------------


def walks() -> st.SearchStrategy[Candles]:
    """Volatile walks of various lengths, mostly next to a border of 64 bars."""
    return st.builds(
        lambda seed, traded, warmup, hours: random_candles(
            seed, traded=traded, warmup=warmup, timeframe_ms=hours * HOUR_MS
        ),
        st.integers(0, 2**32),
        st.sampled_from((63, 64, 65, 129, 192, 257, 320)),
        st.sampled_from((0, 10, 50)),
        st.sampled_from((1, 4, 12)),
    )


def executions() -> st.SearchStrategy[dict[str, float]]:
    """Money rules with no, usual and high costs."""
    return st.fixed_dictionaries(
        {
            "init_cash_quote": st.sampled_from((1_000.0, 25_000.0)),
            "fee_pct": st.sampled_from((0.0, 0.075, 1.0)),
            "slippage_pct": st.sampled_from((0.0, 0.01, 0.4)),
            "fixed_quote": st.sampled_from((100.0, 700.0, 1e9)),
            "safe_profit_percent": st.sampled_from((0.0, 30.0, 100.0)),
        }
    )


def rankings() -> st.SearchStrategy[dict[str, Any]]:
    """Any metric, a second one at times, and at times more trades asked for than some have."""
    return st.fixed_dictionaries(
        {
            "primary_metric": st.sampled_from(METRICS),
            "secondary_metric": st.none() | st.sampled_from(METRICS),
            "min_trades": st.sampled_from((0, 0, 8)),
        }
    ).filter(lambda ranking: ranking["primary_metric"] != ranking["secondary_metric"])


def risk_grids() -> st.SearchStrategy[dict[str, Any]]:
    """Four to 27 combinations of levels; every axis has "off" among its values."""
    level = st.sampled_from((0.5, 1.5, 3.0, 6.5, 12.0))
    several = st.lists(level, min_size=1, max_size=2, unique=True).flatmap(
        lambda levels: st.permutations([None, *levels])
    )
    with_off = st.builds(lambda values: explicit(*values), several)
    return st.fixed_dictionaries({"sl": with_off, "tp": with_off, "tsl": st.none() | with_off})


def sweeps() -> st.SearchStrategy[Small]:
    """Small sweeps of every kind, whose lists keep all variants."""
    return st.builds(
        Small,
        candles=walks(),
        blocks=several_blocks(),
        execution=executions(),
        ranking=rankings(),
        risk=risk_grids(),
        direction=st.sampled_from(DIRECTIONS),
        sizing=st.sampled_from(SIZINGS),
    )
