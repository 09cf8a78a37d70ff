"""Requests that hold positions: exit blocks in the model, the grid and the warm-up."""

from typing import Any

import pytest

from engine.grid import Grid, Variants, estimate
from engine.one_variant import base_variant, variant_by_index
from engine.request import (
    RequestError,
    canonical_json,
    complete,
    engine_params_hash,
    parse,
    saved_document,
)
from engine.request.model import FIRST_EXECUTION, FIRST_POSITION, Request
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    document,
    explicit,
    refusal_at,
    refused,
    with_value,
)

RSI = {"indicator_id": "momentum.rsi", "params": {"window": [7, 14]}}
BAND = {"long_threshold": [20, 30], "short_threshold": [70]}


def holding(*exits: dict[str, Any], **template: Any) -> dict[str, Any]:
    """A request that holds: two moving averages open, two by two variants of RSI close."""
    request = document()
    request["template"] |= {
        "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": [5, 10]}}],
        "position": "hold",
        "exit_grids": list(exits) or [RSI | {"signals": BAND}],
        **template,
    }
    return request


def read(request: dict[str, Any]) -> Request:
    return parse(complete(request, DEFAULTS, LIMITS))


def test_exit_blocks_are_read_as_those_that_open_and_sorted_by_name() -> None:
    request = read(holding({"indicator_id": "volatility.atr"}, RSI))
    assert [block.name for block in request.blocks] == ["ma.sma"]
    assert [block.name for block in request.exit_blocks] == ["momentum.rsi", "volatility.atr"]
    assert request.position == "hold"
    assert request.exit_blocks[0].params == {"window": (7, 14)}
    assert request.exit_blocks[1].sources == ()


def test_what_is_left_out_of_an_exit_block_is_filled_in_and_then_stays() -> None:
    once = complete(holding({"indicator_id": "momentum.rsi"}), DEFAULTS, LIMITS)
    (block,) = once["template"]["exit_grids"]
    assert block["output"] == "rsi"
    assert block["source"] == explicit("close")
    assert block["params"]["window"] == explicit(7, 14, 21)
    assert complete(once, DEFAULTS, LIMITS) == once


def test_without_exit_blocks_what_is_held_is_closed_by_the_blocks_that_open() -> None:
    request = read(with_value("template.position", "hold"))
    assert (request.position, request.exit_blocks) == ("hold", ())
    assert read(with_value("template.exit_grids", [])).exit_blocks == ()


def test_exit_blocks_without_a_position_on_hold_are_refused_with_what_to_do() -> None:
    message = refusal_at("template.exit_grids", with_value("template.exit_grids", [RSI]))
    assert message == (
        'closes what is held, and template.position is "state": set it to "hold", or remove the '
        "exit blocks"
    )


@pytest.mark.parametrize("position", ["flat", "HOLD", 1, None])
def test_another_position_is_refused_by_name(position: Any) -> None:
    assert "position" in refusal_at("template.position", with_value("template.position", position))


@pytest.mark.parametrize(
    ("exits", "path", "part"),
    [
        ({"indicator_id": "rsi"}, "template.exit_grids[0].indicator_id", "rsi"),
        (
            RSI | {"params": {"window": [7, 8.5]}},
            "template.exit_grids[0].params.window[1]",
            "integer",
        ),
        (RSI | {"widow": 5}, "template.exit_grids[0].widow", "unknown key"),
        (RSI | {"signals": {"center": 1}}, "template.exit_grids[0].signals.center", "known"),
    ],
)
def test_what_is_wrong_with_an_exit_block_is_told_by_its_own_path(
    exits: dict[str, Any], path: str, part: str
) -> None:
    found = {error.path: error.text for error in refused(holding(exits)).errors}
    assert part in found[path]


def test_a_key_in_a_wrong_place_of_an_exit_block_is_sent_to_its_own_place() -> None:
    (error,) = refused(holding(RSI | {"window": 5})).errors
    assert error.hint == "it belongs in template.exit_grids[].params"


def test_of_exit_blocks_no_two_have_one_name() -> None:
    assert "given twice" in refusal_at("template.exit_grids[1]", holding(RSI, RSI))


def test_an_exit_block_may_be_called_as_one_that_opens() -> None:
    request = read(holding(RSI, indicator_grids=[RSI]))
    assert list(request.titled_blocks) == ["momentum.rsi", "exit momentum.rsi"]


@pytest.mark.parametrize("wrong", [-1, 10**6 + 1, 1.5, "5", None])
def test_a_pause_after_a_stop_is_a_count_of_bars(wrong: Any) -> None:
    assert refusal_at(
        "template.execution.reentry_after_bars",
        with_value("template.execution", {"reentry_after_bars": wrong}),
    )


def test_a_pause_after_a_stop_is_read() -> None:
    for bars in (0, 7, 10**6):
        request = read(with_value("template.execution", {"reentry_after_bars": bars}))
        assert request.execution.reentry_after_bars == bars


def test_exit_blocks_are_the_fastest_digits_of_a_base_index() -> None:
    grid = Grid.of(read(holding()))
    assert (grid.entries, [block.name for block in grid.blocks]) == (1, ["ma.sma", "momentum.rsi"])
    assert grid.base_total == 2 * 4
    assert [grid.block_variants(base) for base in (0, 1, 4, 7)] == [(0, 0), (0, 1), (1, 0), (1, 3)]


def test_an_entry_block_that_sorts_after_the_exits_still_comes_first() -> None:
    grid = Grid.of(
        read(holding({"indicator_id": "ma.ema", "params": {"window": 9}}, indicator_grids=[RSI]))
    )
    assert [block.name for block in grid.blocks] == ["momentum.rsi", "ma.ema"]


def test_a_variant_names_its_position_and_its_exit_blocks() -> None:
    variant = Variants.of(read(holding())).variant(5)
    assert variant["position"] == "hold"
    assert [block["params"] for block in variant["blocks"]] == [{"window": 10}]
    assert variant["exit_blocks"] == [
        {
            "name": "momentum.rsi",
            "indicator_id": "momentum.rsi",
            "output": "rsi",
            "source": "close",
            "params": {"window": 7},
            "signals": {"long_threshold": 30, "short_threshold": 70},
        }
    ]


def test_a_variant_says_nothing_of_what_is_as_it_was_before_there_was_a_choice() -> None:
    variant = Variants.of(read(document())).variant(0)
    assert not {"position", "exit_blocks"} & set(variant)
    assert not set(FIRST_EXECUTION) & set(variant["execution"])
    held = Variants.of(read(with_value("template.position", "hold"))).variant(0)
    assert held == {**variant, "position": "hold"}


def test_position_and_exits_are_part_of_the_key_of_a_variant() -> None:
    state, hold = read(document()), read(with_value("template.position", "hold"))
    one, two = Variants.of(state), Variants.of(hold)
    assert one.variant_key(0) != two.variant_key(0)
    assert one.indicator_variant_key(0) == two.indicator_variant_key(0)
    assert engine_params_hash(state.document) != engine_params_hash(hold.document)
    keys = {Variants.of(read(holding())).variant_key(index) for index in range(8)}
    assert len(keys) == 8


def test_what_exits_compute_is_part_of_the_key_of_the_indicators() -> None:
    variants = Variants.of(read(holding()))
    keys = [variants.indicator_variant_key(index) for index in range(8)]
    assert keys[0] == keys[1]  # another threshold computes the same
    assert len({*keys}) == 4


def test_every_variant_that_holds_is_a_request_of_its_own() -> None:
    parent = read(holding(risk_grid={"sl": [None, 2]}))
    variants = Variants.of(parent)
    for index in (0, 5, 13, 15):
        one = variant_by_index(parent.document, index)
        request = read(one.request)
        assert request.position == "hold"
        assert (len(request.blocks), len(request.exit_blocks)) == (1, 1)
        alone = Variants.of(request)
        assert (alone.base_total, alone.risk_total) == (1, 1)
        assert alone.variant(0) == one.payload == variants.variant(index)
        assert alone.variant_key(0) == one.variant_key
    assert "exit_blocks" in base_variant(parent.document, 3).payload


def test_a_variant_without_exits_has_none_as_a_request_of_its_own() -> None:
    alone = variant_by_index(read(document()).document, 0).request["template"]
    assert (alone["position"], alone["exit_grids"]) == (FIRST_POSITION, [])


def test_an_estimate_counts_the_combinations_of_entries_and_exits() -> None:
    without = estimate(read(holding(exit_grids=[])))
    with_exits = estimate(read(holding()))
    assert (without.stage_a_variants, with_exits.stage_a_variants) == (2, 8)
    assert with_exits.bytes > without.bytes


def test_too_many_combinations_of_entries_and_exits_are_refused() -> None:
    windows = [RSI | {"name": f"rsi-{n}", "params": {"window": [*range(3, 103)]}} for n in range(4)]
    (error,) = [one for one in refused(holding(*windows)).errors if "stage A" in one.message]
    assert error.code == "guard_exceeded"


def test_exit_blocks_have_their_warm_up() -> None:
    slow = {"indicator_id": "ma.sma", "params": {"window": [500]}}
    quick = slow | {"params": {"window": [3]}}
    assert read(holding(slow) | {"warmup_bars": None}).warmup_bars == 499
    assert read(holding(quick) | {"warmup_bars": None}).warmup_bars == 9


def test_a_saved_strategy_that_holds_can_be_changed_back_by_a_patch() -> None:
    template = complete(holding(), DEFAULTS, LIMITS)["template"]
    times = {"time_range": document()["time_range"]}
    patch = times | {"template": {"position": None, "exit_grids": None}}
    effective = complete(saved_document(template, patch), DEFAULTS, LIMITS)["template"]
    assert (effective["position"], effective["exit_grids"]) == ("state", [])
    kept = complete(saved_document(template, times), DEFAULTS, LIMITS)["template"]
    assert canonical_json(kept) == canonical_json(template)


@pytest.mark.parametrize("name", ["position", "exit_grids"])
def test_an_effective_request_must_say_what_it_holds(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"][name]
    with pytest.raises(RequestError, match=f"template.{name}: is missing"):
        parse(effective)
