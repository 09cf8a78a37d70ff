"""The warm-up of a grid: the longest lookback of its variants, found without listing them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import synthetic
from engine.blocks import Block
from engine.indicators.compute import Prepared
from engine.indicators.declaration import Indicator, Output, Param
from engine.indicators.lookback import Lookback, defined_after, settled_after
from engine.indicators.registry import RULES
from engine.request.axes import axis_count, axis_value, axis_values
from engine.request.blocks import ReadBlock, built_block
from engine.request.model import BlockRequest
from engine.request.warmup import longest, needed
from engine.timeframes import MINUTE_MS
from tests.engine.indicators.samples import IDS, OUTPUTS

by_id = dict(zip(IDS, OUTPUTS, strict=True))


def explicit(*values: Any) -> dict[str, Any]:
    return {"mode": "explicit", "values": list(values)}


def ranged(start: float, stop: float, step: float = 1) -> dict[str, Any]:
    return {"mode": "range", "start": start, "stop_incl": stop, "step": step}


def block_of(id_: str, params: dict[str, Any], signals: dict[str, Any] | None = None) -> ReadBlock:
    """A block as the reader of requests leaves it; its size is not looked at."""
    indicator, output = by_id[id_]
    document = {
        "name": id_,
        "indicator_id": indicator.id,
        "output": output.name,
        "params": params,
        "signals": signals or {},
    }
    return ReadBlock(document, total=0, exact=True)


def default_block(id_: str) -> ReadBlock:
    indicator, output = by_id[id_]
    params = {p.name: dict(p.default) for p in indicator.params if p.name in output.params}
    names = [param.name for param in RULES[output.rule].params]
    return block_of(id_, params, {name: dict(indicator.signals[name]) for name in names})


def listed(block: ReadBlock) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Parameters and signal parameters of every variant."""
    grid = Block.of(built_block(block.document))
    variants = [grid.parameters(number) for number in range(grid.total)]
    return [(variant["params"], variant["signals"]) for variant in variants]


def by_listing(block: ReadBlock) -> tuple[int, int]:
    indicator, output = by_id[block.document["name"]]
    variants = listed(block)
    return tuple(
        max((measure(indicator, output, *variant) for variant in variants), default=0)
        for measure in (defined_after, settled_after)
    )


def test_the_warm_up_is_that_of_the_block_that_takes_longest() -> None:
    tema = block_of("ma.tema-ma", {"window": ranged(5, 200)})
    rsi = block_of("momentum.rsi-rsi", {"window": explicit(14)})
    assert needed([rsi, tema], MINUTE_MS) == 3 * 199 + 3 * 691
    assert longest(tema, defined_after) == 597
    assert needed([rsi], MINUTE_MS) == 14 + 94
    assert needed([], MINUTE_MS) == 0


def test_a_delta_adds_the_longer_of_its_periods() -> None:
    signals = {"long_delta_periods": explicit(1, 5), "short_delta_periods": explicit(20, 3)}
    assert needed([block_of("volume.obv-value", {}, signals)], MINUTE_MS) == 20
    block = block_of("volatility.stddev-value", {"window": explicit(50, 10)}, signals)
    assert needed([block], MINUTE_MS) == 49 + 20


AXES: dict[str, list[Any]] = {
    "ma.cross-diff": ["ma", "fast", "slow"],
    "momentum.macd-hist": ["fast", "slow", "signal"],
    "trend.ichimoku-span_a": ["conversion", "base", "displacement"],
    "trend.psar-psar": ["accel_start", "accel_step", "accel_max"],
    "structure.pivots-last_pivot": ["left", "right"],
    "trend.adx-adx": ["window", "smoothing"],
}
whole = st.one_of(
    st.lists(st.integers(2, 60), min_size=1, max_size=4, unique=True).map(lambda v: explicit(*v)),
    st.tuples(st.integers(2, 40), st.integers(0, 20), st.integers(1, 7)).map(
        lambda v: ranged(v[0], v[0] + v[1], v[2])
    ),
)
share = st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.1, 0.03])).map(
    lambda v: ranged(v[0] / 10, (v[0] + v[1]) / 10, v[2])
)
kinds = st.lists(st.sampled_from(["sma", "ema", "wma"]), min_size=1, unique=True).map(
    lambda v: explicit(*v)
)


@pytest.mark.parametrize("id_", AXES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_largest_valid_values_stand_for_the_whole_grid(id_: str, data: st.DataObject) -> None:
    indicator, output = by_id[id_]
    kind = {"int": whole, "float": share, "choice": kinds}
    params = {p.name: data.draw(kind[p.kind]) for p in indicator.params if p.name in output.params}
    periods = data.draw(st.lists(st.integers(1, 30), min_size=2, max_size=2))
    names = [param.name for param in RULES[output.rule].params]
    block = block_of(id_, params, {n: explicit(p) for n, p in zip(names, periods, strict=False)})
    assert (longest(block, defined_after), longest(block, settled_after)) == by_listing(block)
    built = built_block(block.document)
    assert longest(built, settled_after) == longest(block, settled_after)


def chained(highest: int) -> BlockRequest:
    """Three parameters in a row, each below the next, of which only the first has a history."""
    names = ("a", "b", "c")
    output = Output("value", "sign", names, lookback=Lookback(lambda a, **_: a))
    indicator = Indicator(
        id="acme.value",
        inputs=("source",),
        params=tuple(Param(name, "int", 1) for name in names),
        outputs=(output,),
        kernel="acme:value",
        description="",
        formula="",
        ordered=(("a", "b"), ("b", "c")),
    )
    values = tuple(float(value) for value in range(1, 10))
    params = {"a": values, "b": values, "c": (float(highest),)}
    return BlockRequest("x", indicator, output, ("close",), params, {})


@pytest.mark.parametrize(("highest", "bars"), [(20, 8), (7, 5), (3, 1), (2, 0)])
def test_rules_in_a_row_bind_the_first_parameter_to_the_last(highest: int, bars: int) -> None:
    assert longest(chained(highest), settled_after) == bars


def test_a_grid_of_any_size_is_asked_for_one_variant_per_choice() -> None:
    asked = []

    def noted(*variant: Any) -> int:
        asked.append(variant)
        return settled_after(*variant)

    huge = {"fast": ranged(2, 1_000_000), "slow": ranged(2, 1_000_000), "signal": ranged(2, 10_000)}
    assert longest(block_of("momentum.macd-hist", huge), noted) > 10**6
    assert len(asked) == 1
    cross = {"ma": explicit("sma", "ema", "wma"), "fast": ranged(1, 900), "slow": ranged(1, 900)}
    assert longest(block_of("ma.cross-diff", cross), noted) == 899 + 3109
    assert len(asked) == 4


@pytest.mark.parametrize("id_", IDS)
def test_with_the_warm_up_every_variant_of_the_default_grid_is_defined_at_once(id_: str) -> None:
    indicator, output = by_id[id_]
    read = default_block(id_)
    warmup, least = needed([read], MINUTE_MS), longest(read, defined_after)
    assert least <= warmup
    block = Block.of(built_block(read.document))
    candles = synthetic.bars(3, 1, 900_000, warmup_bars=warmup)
    prepared = Prepared.of(indicator, output, candles, None)
    periods = block.signal_table.max() if output.rule == "delta_sign" else 0.0
    undefined = np.zeros(least + 1, dtype=bool)
    for start in range(0, len(block.compute_table), 2_000):
        values = prepared.values(block.compute_table[start : start + 2_000])
        assert np.isfinite(values[:, warmup]).all()
        assert np.isfinite(values[:, warmup - int(periods)]).all()
        undefined |= np.isnan(values[:, : least + 1]).any(axis=0)
    assert not undefined[least]
    assert least == periods or undefined[least - int(periods) - 1]


@pytest.mark.parametrize(
    "axis", [ranged(0.1, 0.9, 0.1), ranged(-3, 3, 0.07), ranged(2, 41, 3), explicit(7.5, 1.0)]
)
def test_a_single_value_of_an_axis_is_the_one_that_the_list_of_them_has(axis: Any) -> None:
    listed = axis_values(axis)
    assert tuple(axis_value(axis, number) for number in range(axis_count(axis))) == listed


def test_an_invalid_grid_needs_nothing() -> None:
    axes = {"ma": explicit("ema"), "fast": ranged(50, 60), "slow": ranged(5, 50)}
    assert needed([block_of("ma.cross-diff", axes)], MINUTE_MS) == 0


def test_the_module_needs_no_compiler() -> None:
    import subprocess
    import sys

    code = "import sys, engine.request.warmup; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
