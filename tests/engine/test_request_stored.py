"""Stored requests: they name everything, and stay what they were in every later version."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engine.grid import Grid, Variants
from engine.request import (
    VERSION,
    RequestError,
    canonical_json,
    complete,
    engine_params_hash,
    parse,
    request_hash,
)
from engine.request.upgrades import STEPS
from engine.sweep import Sweep
from engine.synthetic import bars
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit, with_value

FROZEN: dict[str, Any] = json.loads((Path(__file__).parent / "version_1.json").read_text())
"""A job's request as the release before stored it, with the hashes and keys it wrote."""

SECOND: dict[str, Any] = json.loads((Path(__file__).parent / "version_2.json").read_text())
"""A job's request of version 2 with the hashes, keys and the row that its release wrote."""


def frozen() -> dict[str, Any]:
    """The frozen request; its stop is below the slippage, which a new request may no longer ask."""
    request: dict[str, Any] = copy.deepcopy(FROZEN["request"])
    return request


@pytest.mark.parametrize(
    "path", ["warmup_bars", "top_k", "ranking", "template", "validation", "result_bytes_max"]
)
def test_an_effective_request_must_name_everything(path: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective[path]
    with pytest.raises(RequestError, match=f"{path}: is missing"):
        parse(effective)


@pytest.mark.parametrize(
    "name",
    ["fee_pct", "init_cash_quote", "slippage_pct", "fixed_quote", "safe_profit_percent"],
)
def test_an_effective_request_must_name_its_execution(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["execution"][name]
    with pytest.raises(RequestError, match=f"template.execution.{name}: is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["name", "output", "source", "params", "signals"])
def test_an_effective_block_must_name_everything(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["template"]["indicator_grids"][0][name]
    with pytest.raises(RequestError, match="is missing"):
        parse(effective)


@pytest.mark.parametrize("name", ["min_trades", "distinct", "primary_metric", "secondary_metric"])
def test_an_effective_ranking_must_name_everything(name: str) -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    del effective["ranking"][name]
    with pytest.raises(RequestError, match=f"ranking.{name}: is missing"):
        parse(effective)


def test_an_effective_request_has_resolved_its_warm_up() -> None:
    effective = complete(document(), DEFAULTS, LIMITS) | {"warmup_bars": None}
    with pytest.raises(RequestError, match="warmup_bars: must be a number in a stored request"):
        parse(effective)


def test_there_is_a_step_from_every_version_to_the_next() -> None:
    assert len(STEPS) == VERSION - 1


def test_a_request_of_version_1_stays_what_it_asked_for() -> None:
    request = parse(frozen())
    assert (request.ranking.min_trades, request.ranking.distinct) == (0, False)
    assert (request.warmup_bars, request.result_bytes_max) == (200, 33_554_432)
    assert request.risk.sl == (0.005, 2.0)
    assert request.document["version"] == VERSION
    assert request.document["validation"] is None
    assert parse(request.document) == request


def test_a_request_of_version_1_without_a_budget_has_that_of_its_time() -> None:
    old = frozen()
    del old["result_bytes_max"]
    assert parse(old).result_bytes_max == 33_554_432
    assert parse(old | {"result_bytes_max": 5_000_000}).result_bytes_max == 5_000_000


def test_a_request_of_version_1_may_say_so() -> None:
    assert parse(frozen() | {"version": 1}) == parse(frozen())


def test_reading_a_request_of_version_1_leaves_it_and_its_hashes_alone() -> None:
    old = frozen()
    parse(old)
    assert old == FROZEN["request"]
    assert request_hash(old) == FROZEN["request_hash"]
    assert engine_params_hash(parse(old).document) == FROZEN["engine_params_hash"]


def test_the_variants_of_a_request_of_version_1_keep_their_keys() -> None:
    grid = Grid.of(parse(frozen()))
    keys = {index: grid.variant_key(int(index)) for index in FROZEN["variant_keys"]}
    assert keys == FROZEN["variant_keys"]


def test_a_request_of_version_1_runs() -> None:
    request = parse(frozen())
    sweep = Sweep(request, bars(3, 300, request.timeframe_ms, warmup_bars=request.warmup_bars))
    *_, shortlist = sweep.stage_a()
    *_, last = sweep.stage_b(shortlist.top.indexes())
    assert (len(shortlist.top.indexes()), len(last.top.indexes())) == (10, 8)


def second() -> dict[str, Any]:
    request: dict[str, Any] = copy.deepcopy(SECOND["request"])
    return request


def test_a_request_of_version_2_fills_at_closes_holds_nothing_and_is_otherwise_as_it_was() -> None:
    request = parse(second())
    assert (request.execution.entry_fill, request.execution.stop_fill) == ("close", "close")
    assert (request.position, request.exit_blocks) == ("state", ())
    assert request.execution.reentry_after_bars == 0
    assert (request.execution.leverage, request.risk.percent) == (None, (None,))
    expected = second() | {"version": VERSION}
    expected["template"] |= {"position": "state", "exit_grids": []}
    expected["template"]["execution"] |= {
        "entry_fill": "close",
        "stop_fill": "close",
        "reentry_after_bars": 0,
        "percent": 100.0,
        "risk_per_trade_pct": 1.0,
        "leverage": None,
        "funding_pct_per_8h": 0.0,
        "borrow_pct_per_year": 0.0,
    }
    assert request.document == expected
    assert parse(request.document) == request


def test_reading_a_request_of_version_2_leaves_it_and_its_hashes_alone() -> None:
    old = second()
    document = parse(old).document
    assert old == SECOND["request"]
    assert request_hash(old) == SECOND["request_hash"]
    assert engine_params_hash(document) == engine_params_hash(old) == SECOND["engine_params_hash"]


def test_the_variants_of_a_request_of_version_2_keep_their_rows_and_their_keys() -> None:
    variants = Variants.of(parse(second()))
    assert canonical_json(variants.variant(0)) == canonical_json(SECOND["variants"]["0"])
    for name, key in (
        ("variant_keys", variants.variant_key),
        ("indicator_variant_keys", variants.indicator_variant_key),
    ):
        assert {index: key(int(index)) for index in SECOND[name]} == SECOND[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("entry_fill", "next_open"), ("stop_fill", "intrabar"), ("reentry_after_bars", 5)],
)
def test_another_fill_or_pause_is_another_variant_of_the_same_indicators(
    name: str, value: str
) -> None:
    other = parse(second()).document
    other["template"]["execution"][name] = value
    one, two = Variants.of(parse(second())), Variants.of(parse(other))
    assert two.variant(0)["execution"] == one.variant(0)["execution"] | {name: value}
    assert two.variant_key(0) != one.variant_key(0)
    assert two.indicator_variant_key(0) == one.indicator_variant_key(0)


def test_a_request_of_version_2_may_name_what_came_later() -> None:
    early = second()
    early["template"]["execution"]["stop_fill"] = "intrabar"
    request = parse(early)
    assert (request.execution.entry_fill, request.execution.stop_fill) == ("close", "intrabar")


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_user_sends_of_an_older_version_may_leave_execution_out(version: int) -> None:
    now = complete(document(), DEFAULTS, LIMITS)
    old = complete(with_value("version", version), DEFAULTS, LIMITS)
    assert old["template"]["execution"] == now["template"]["execution"]


@pytest.mark.parametrize("execution", [None, 7, [], "close"])
def test_an_execution_of_version_2_that_is_none_is_refused_by_name(execution: Any) -> None:
    wrong = second()
    wrong["template"]["execution"] = execution
    with pytest.raises(RequestError, match=r"template\.execution: must be an object"):
        parse(wrong)
    with pytest.raises(RequestError, match="template: must be an object"):
        parse(second() | {"template": execution})


def test_what_a_user_sends_without_a_version_is_of_the_newest() -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    assert effective["version"] == VERSION == 4
    assert effective["ranking"]["distinct"] is True
    assert complete(with_value("version", VERSION), DEFAULTS, LIMITS) == effective


def test_what_a_user_sends_as_version_1_is_read_as_such() -> None:
    ranking = complete(with_value("version", 1), DEFAULTS, LIMITS)["ranking"]
    assert (ranking["min_trades"], ranking["distinct"]) == (0, False)


@pytest.mark.parametrize(
    ("version", "part"),
    [
        (5, "is 5, and this program reads versions up to 4: upgrade the program"),
        (10**15, "is 1000000000000000, and this program reads"),
        (0, "at least 1"),
        (-1, "at least 1"),
        (1.5, "integer"),
        ("1", "without quotes"),
        (True, "integer"),
        (None, "integer"),
        ([2], "integer"),
    ],
)
def test_another_version_is_refused_and_nothing_else_is_said_of_it(version: Any, part: str) -> None:
    strange = with_value("version", version) | {"template": "of another time"}
    with pytest.raises(RequestError) as caught:
        complete(strange, DEFAULTS, LIMITS)
    (error,) = caught.value.errors
    assert error.path == "version"
    assert part in error.message
    with pytest.raises(RequestError, match="version: "):
        parse(complete(document(), DEFAULTS, LIMITS) | {"version": version})


@pytest.mark.parametrize("ranking", [None, 7, [], "sharpe"])
def test_a_ranking_of_version_1_that_is_none_is_refused_by_name(ranking: Any) -> None:
    with pytest.raises(RequestError, match="ranking: must be an object"):
        parse(frozen() | {"ranking": ranking})


def test_a_stored_request_may_list_more_values_than_a_new_one() -> None:
    old = frozen()
    old["template"]["indicator_grids"][0]["params"]["window"] = explicit(*range(2, 12_002))
    assert len(parse(old).blocks[0].params["window"]) == 12_000
