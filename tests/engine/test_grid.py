"""Index ↔ parameters, in the documented order, without a list of variants."""

import tracemalloc
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.blocks import Block, UnlistedBlock
from engine.grid import Estimate, Grid, estimate
from engine.memory import PLANES_BYTES, Layout, row_bytes
from engine.request import Limits, Request, canonical_json, complete, parse, sha256_hex
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit, ranged, with_value

WIDE = Limits(max_variants_per_compute=10**12, max_compute_bytes_total=2**60)


def request_of(grids: list[dict[str, Any]], risk: dict[str, Any] | None = None) -> Request:
    whole = with_value("template.indicator_grids", grids)
    whole["template"]["risk_grid"] = risk or {}
    return parse(complete(whole, DEFAULTS, WIDE), WIDE)


def grid_of(grids: list[dict[str, Any]], risk: dict[str, Any] | None = None) -> Grid:
    return Grid.of(request_of(grids, risk))


RSI = {
    "indicator_id": "momentum.rsi",
    "source": explicit("close", "hl2"),
    "params": {"window": explicit(14, 7)},
    "signals": {"long_threshold": explicit(30, 20), "short_threshold": explicit(70, 80)},
}
CROSS = {
    "indicator_id": "ma.cross",
    "params": {"ma": explicit("wma", "sma"), "fast": explicit(5, 30), "slow": explicit(20, 40)},
}
MACD_LINE = {
    "indicator_id": "momentum.macd",
    "output": "line",
    "params": {"fast": explicit(12), "slow": explicit(26, 30)},
}
ATR = {"indicator_id": "volatility.atr"}
RISK = {"sl": ranged(1, 3, 1), "tp": explicit(None, 4), "tsl": explicit(2)}


def test_inside_a_block_the_order_is_source_then_compute_then_signal() -> None:
    (block,) = grid_of([RSI]).blocks
    assert block.total == 16
    listed = [block.parameters(number) for number in range(block.total)]
    assert [
        (
            variant["source"],
            variant["params"]["window"],
            variant["signals"]["long_threshold"],
            variant["signals"]["short_threshold"],
        )
        for variant in listed
    ] == [
        (source, window, long, short)
        for source in ("close", "hl2")
        for window in (14, 7)
        for long in (30.0, 20.0)
        for short in (70.0, 80.0)
    ]


def test_the_joint_axis_lists_valid_pairs_only() -> None:
    (block,) = grid_of([CROSS]).blocks
    assert [tuple(block.parameters(number)["params"].values()) for number in range(6)] == [
        ("wma", 5, 20),
        ("wma", 5, 40),
        ("wma", 30, 40),
        ("sma", 5, 20),
        ("sma", 5, 40),
        ("sma", 30, 40),
    ]
    assert block.total == 6
    assert block.compute_table.tolist()[0] == [2.0, 5.0, 20.0]


def test_a_parameter_the_output_does_not_use_is_filled_and_not_named() -> None:
    (block,) = grid_of([MACD_LINE]).blocks
    assert block.compute_table.tolist() == [[12.0, 26.0, 2.0], [12.0, 30.0, 2.0]]
    assert block.parameters(1) == {
        "name": "momentum.macd",
        "indicator_id": "momentum.macd",
        "output": "line",
        "source": "close",
        "params": {"fast": 12, "slow": 30},
        "signals": {},
    }


def test_tables_without_any_parameter_have_one_row() -> None:
    (block,) = grid_of([MACD_LINE]).blocks
    assert block.signal_table.shape == (1, 0)


def test_an_indicator_without_a_source_has_none() -> None:
    (block,) = grid_of([ATR]).blocks
    assert block.sources == ()
    assert block.parameters(0)["source"] is None


def test_blocks_are_sorted_by_name_and_the_last_is_fastest() -> None:
    grid = grid_of([RSI | {"name": "z"}, CROSS | {"name": "a"}])
    assert [block.name for block in grid.blocks] == ["a", "z"]
    assert grid.block_variants(0) == (0, 0)
    assert grid.block_variants(1) == (0, 1)
    assert grid.block_variants(16) == (1, 0)
    assert grid.base_total == 6 * 16


def test_risk_combinations_run_sl_tp_tsl_with_the_last_fastest() -> None:
    grid = grid_of([ATR], {"sl": explicit(1, 2), "tp": explicit(None, 4), "tsl": explicit(3, None)})
    assert grid.risk_total == 8
    assert [grid.risk_at(index) for index in range(8)] == [
        (sl, tp, tsl) for sl in (1.0, 2.0) for tp in (None, 4.0) for tsl in (3.0, None)
    ]


def test_an_absent_risk_grid_is_one_combination_with_everything_off() -> None:
    grid = grid_of([ATR])
    assert grid.risk_total == 1
    assert grid.risk_at(0) == (None, None, None)


@pytest.mark.parametrize("index", [-1, 96])
def test_an_index_outside_the_grid_is_an_error(index: int) -> None:
    with pytest.raises(IndexError, match=r"0\.\.95"):
        grid_of([RSI, CROSS]).block_variants(index)


windows = st.lists(st.integers(2, 500), min_size=1, max_size=6, unique=True)
levels = st.lists(st.none() | st.integers(1, 50).map(float), min_size=1, max_size=4, unique=True)


@given(
    blocks=st.lists(windows, min_size=1, max_size=4),
    thresholds=windows,
    risk=st.fixed_dictionaries({"sl": levels, "tp": levels, "tsl": levels}),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_every_index_is_turned_into_parameters_and_back(
    blocks: list[list[int]], thresholds: list[int], risk: dict[str, Any], data: st.DataObject
) -> None:
    grids: list[dict[str, Any]] = [
        {"indicator_id": "ma.sma", "name": f"b{n}", "params": {"window": explicit(*values)}}
        for n, values in enumerate(blocks)
    ]
    signals = {"long_threshold": explicit(*thresholds), "short_threshold": explicit(50)}
    grids.append({"indicator_id": "momentum.rsi", "name": "a", "signals": signals})
    grid = grid_of(grids, {name: explicit(*values) for name, values in risk.items()})
    axes = [
        (7, 14, 21),  # the default windows of block "a"
        tuple(float(value) for value in thresholds),
        *blocks,
        *(risk[name] for name in ("sl", "tp", "tsl")),
    ]
    assert grid.base_total * grid.risk_total == prod(len(axis) for axis in axes)

    index = data.draw(st.integers(0, grid.base_total * grid.risk_total - 1))
    variant = grid.variant(index)
    first, *others = variant["blocks"]
    values = [
        first["params"]["window"],
        first["signals"]["long_threshold"],
        *(block["params"]["window"] for block in others),
        *(variant["risk"][name] for name in ("sl", "tp", "tsl")),
    ]
    rebuilt = 0
    for axis, value in zip(axes, values, strict=True):
        rebuilt = rebuilt * len(axis) + list(axis).index(value)
    assert rebuilt == index
    base_index, _ = grid.split(index)
    assert grid.base_index(grid.block_variants(base_index)) == base_index


def test_the_payload_names_everything_and_its_hash_is_the_key() -> None:
    grid = grid_of([RSI], RISK)
    variant = grid.variant(5)
    assert variant == {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "15m",
        "warmup_bars": 200,
        "direction_mode": "long-short",
        "sizing_mode": "all_in",
        "execution": {
            "init_cash_quote": 10_000.0,
            "fee_pct": 0.075,
            "slippage_pct": 0.01,
            "fixed_quote": 100.0,
            "safe_profit_percent": 30.0,
        },
        "blocks": [
            {
                "name": "momentum.rsi",
                "indicator_id": "momentum.rsi",
                "output": "rsi",
                "source": "close",
                "params": {"window": 14},
                "signals": {"long_threshold": 30.0, "short_threshold": 70.0},
            }
        ],
        "risk": {"sl": 3.0, "tp": 4.0, "tsl": 2.0},
    }
    assert grid.variant_key(5) == sha256_hex(canonical_json(variant))


def test_variant_keys_differ_wherever_variants_do() -> None:
    grid = grid_of([RSI], RISK)
    total = grid.base_total * grid.risk_total
    assert len({grid.variant_key(index) for index in range(total)}) == total


def test_indicator_keys_see_neither_signals_nor_risk_nor_names() -> None:
    grid, renamed = grid_of([RSI], RISK), grid_of([RSI | {"name": "x"}], RISK)
    keys = [grid.indicator_variant_key(i) for i in range(grid.base_total * grid.risk_total)]
    assert len(set(keys)) == 4  # two sources, two windows
    assert renamed.indicator_variant_key(0) == keys[0]


def test_one_variant_has_the_same_key_in_another_grid() -> None:
    narrow = grid_of([RSI | {"params": {"window": explicit(7)}}])
    wide = grid_of([RSI])
    assert narrow.variant_key(0) == wide.variant_key(4)


def test_the_estimate_counts_both_stages_and_grows_with_the_bars() -> None:
    request = request_of([RSI, CROSS], RISK)
    found = estimate(request)
    assert (found.stage_a_variants, found.stage_b_variants) == (96, 96 * 6)
    assert estimate(request, traded_bars=35_136) == found
    assert estimate(request, traded_bars=525_600).bytes > found.bytes


def test_the_second_stage_is_bounded_by_preselect() -> None:
    whole = document() | {"preselect": 10, "top_k": 10}
    whole["template"]["risk_grid"] = RISK
    request = parse(complete(whole, DEFAULTS, LIMITS))
    assert estimate(request).stage_b_variants == 60


@given(totals=st.lists(st.integers(1, 300), min_size=1, max_size=4), bars=st.integers(1, 600_000))
@settings(max_examples=50, deadline=None)
def test_the_estimate_covers_the_planes_that_are_really_held(totals: list[int], bars: int) -> None:
    grids = [
        {"indicator_id": "ma.sma", "name": f"b{n}", "params": {"window": ranged(1, total, 1)}}
        for n, total in enumerate(totals)
    ]
    whole = with_value("template.indicator_grids", grids)
    request = parse(complete(whole, DEFAULTS, WIDE), WIDE)
    words = -(-bars // 64)
    layout = Layout.of(totals, [1] * len(totals), words, PLANES_BYTES)
    assert layout.rows * row_bytes(words) <= estimate(request, traded_bars=bars).bytes


def test_as_many_variants_as_the_limit_are_accepted_and_one_more_is_not() -> None:
    def refused(found: Estimate, stage_a: int, stage_b: int, size: int, risk: int) -> list[str]:
        limits = Limits(stage_a, size, stage_b)
        return [error.path for error in found.refusals(limits, risk_total=risk)]

    found, alone = estimate(request_of([RSI, CROSS], RISK)), estimate(request_of([RSI, CROSS]))
    most = found.stage_b_variants
    assert refused(found, 96, most, found.bytes, 6) == []
    assert refused(found, 96, most - 1, found.bytes, 6) == ["template.risk_grid"]
    assert refused(found, 96, most, found.bytes - 1, 6) == ["template.indicator_grids"]
    assert refused(alone, 96, 96, alone.bytes, 1) == []
    assert refused(alone, 95, 96, alone.bytes, 1) == ["template.indicator_grids"]


BLOCKS = (
    {
        "indicator_id": "momentum.rsi",
        "params": {"window": [5, 9]},
        "signals": {"long_threshold": 30},
    },
    {"indicator_id": "ma.cross", "params": {"fast": ranged(5, 50, 5), "slow": ranged(20, 90, 7)}},
    {"indicator_id": "ma.cross", "params": {"fast": [30, 5, 12], "slow": [20, 10, 40, 31]}},
    {"indicator_id": "momentum.macd"},
    {
        "indicator_id": "volume.obv",
        "signals": {"long_delta_periods": [1, 2, 3], "short_delta_periods": 4},
    },
)


@pytest.mark.parametrize("asked", BLOCKS)
def test_a_block_is_counted_as_it_is_listed(asked: dict[str, Any]) -> None:
    (block,) = parse(
        complete(with_value("template.indicator_grids", [asked]), DEFAULTS, LIMITS)
    ).blocks
    listed = Block.of(block)
    counted = UnlistedBlock.of(block)
    assert counted.total == listed.total
    assert counted.compute.total == len(listed.compute_table)
    assert counted.signal.total == len(listed.signal_table)


def test_an_estimate_of_millions_lists_none_of_them() -> None:
    crossings = {
        "indicator_id": "ma.cross",
        "params": {"ma": ["sma"], "fast": ranged(1, 5000, 1), "slow": ranged(5001, 10_000, 1)},
    }
    large = with_value("template.indicator_grids", [crossings])
    tracemalloc.start()
    try:
        wanted = parse(complete(large, DEFAULTS, Limits(10**8, 2**50)))
        assert estimate(wanted).stage_a_variants == 25_000_000
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
