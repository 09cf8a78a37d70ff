"""Hints: an id by its last part, a key by the place where it belongs."""

from typing import Any

import pytest

from engine.indicators import registry
from engine.indicators.registry import UnknownIndicator, get
from engine.request import FieldError, RequestError
from engine.request.block_entries import AXES
from engine.request.entries import TABLE
from tests.engine.requests import RSI, SMA, document, refusal_at, refused, swapped, with_value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rsi", "momentum.rsi"),
        ("SMA", "ma.sma"),
        ("TR", "volatility.tr"),
        ("Momentum.RSI", "momentum.rsi"),
        ("ma.rsi", "momentum.rsi"),
        ("super_trend", "trend.supertrend"),
        ("stochrsi", "momentum.stoch_rsi"),
        ("ma.smaa", "ma.sma"),
        ("momentum.rsj", "momentum.rsi"),
    ],
)
def test_an_unknown_id_is_found_by_its_last_part(written: str, meant: str) -> None:
    message = refusal_at(f"{SMA}.indicator_id", swapped(0, indicator_id=written))
    assert f"did you mean {meant}" in message
    with pytest.raises(UnknownIndicator, match=f"did you mean {meant}"):
        get(written)


def test_an_id_that_is_like_none_gets_the_list() -> None:
    message = refusal_at(f"{SMA}.indicator_id", swapped(0, indicator_id="qqqq"))
    assert "known: " in message
    assert "volatility.bbands" in message


PLACED = {
    "timeframe at the top": ("timeframe", "template"),
    "sl in the template": ("template.sl", "template.risk_grid"),
    "fee at the top": ("fee_pct", "template.execution"),
    "fee in the template": ("template.fee_pct", "template.execution"),
    "trades at the top": ("min_trades", "ranking"),
    "window in the block": (f"{SMA}.window", "params"),
    "threshold in the block": (f"{RSI}.long_threshold", "signals"),
    "threshold among parameters": (f"{RSI}.params.long_threshold", "signals"),
    "window among signals": (f"{RSI}.signals.window", "params"),
    "symbol in the template": ("template.symbol", "template.instrument_id"),
    "start at the top": ("start", "time_range"),
    "risk in the ranking": ("ranking.risk_grid", "template"),
    "top_k in the ranking": ("ranking.top_k", "the top of the request"),
    "range without a parameter": (f"{SMA}.params.stop_incl", "range axis"),
}


@pytest.mark.parametrize(("path", "place"), PLACED.values(), ids=PLACED.keys())
def test_a_key_in_the_wrong_place_hears_of_the_right_one(path: str, place: str) -> None:
    message = refusal_at(path, with_value(path, 1))
    assert "it belongs in " in message
    assert place in message.partition("it belongs in ")[2]


def leaves() -> list[tuple[str, str]]:
    """Key and place of every field that has a name of its own."""
    return [(entry.name, entry.parent) for entry in TABLE.entries if entry.name.isidentifier()]


@pytest.mark.parametrize(("key", "place"), leaves(), ids=repr)
def test_every_key_of_the_table_is_found_from_elsewhere(key: str, place: str) -> None:
    wrong: dict[str, Any] = document()
    where = "template.instrument_id" if place != "template.instrument_id" else "time_range"
    if key in TABLE.keys(where):
        where = "template.execution"
    wrong = with_value(f"{where}.{key}", 1)
    assert (place or "the top of the request") in refusal_at(f"{where}.{key}", wrong)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("warmup", "did you mean warmup_bars"),
        ("Template", "did you mean template"),
        ("TOP_K", "did you mean top_k"),
        ("template.timeframes", "did you mean timeframe"),
        ("template.slippage", "did you mean template.execution.slippage_pct"),
        ("ranking.metric", "did you mean"),
        ("zzzzzz", "known: version, time_range, template"),
    ],
)
def test_a_misspelt_key_hears_of_the_closest_first_where_it_stands(path: str, meant: str) -> None:
    assert meant in refusal_at(path, with_value(path, 1))


def test_the_names_of_parameters_are_those_of_the_catalogue() -> None:
    params, signals = AXES
    message = refusal_at("displacement", with_value("displacement", 1))
    assert params in message
    assert signals in refusal_at("min_body", with_value("min_body", 1))


SPLIT = {
    "unknown key": ("timeframe", 1, "unknown key", "it belongs in template"),
    "misspelt key": ("warmup", 1, "unknown key", "did you mean warmup_bars?"),
    "unknown id": (f"{SMA}.indicator_id", "rsi", "unknown indicator 'rsi'", "did you mean mo"),
    "unknown choice": ("template.timeframe", "15", 'unknown timeframe "15"', "did you mean "),
    "unknown source": (f"{SMA}.source", ["clos"], 'unknown source "clos"', "did you mean close?"),
    "unknown parameter": (f"{SMA}.params.windo", 5, "unknown parameter", "did you mean window?"),
}


@pytest.mark.parametrize(("path", "value", "said", "hint"), SPLIT.values(), ids=SPLIT.keys())
def test_a_hint_stands_apart_and_is_printed_behind_the_message(
    path: str, value: Any, said: str, hint: str
) -> None:
    error = refused(with_value(path, value))
    (found,) = [one for one in error.errors if one.path.startswith(path)]
    assert found.message == said
    assert found.hint is not None
    assert found.hint.startswith(hint)
    assert f"{found.path}: {said}; {found.hint}" in str(error).splitlines()


def test_an_error_without_a_right_name_has_no_hint() -> None:
    (error,) = refused(with_value("top_k", 0)).errors
    assert error.hint is None
    assert error.text == error.message


def test_hints_do_not_make_one_error_two() -> None:
    same = [FieldError("a", "b"), FieldError("a", "b", hint="c"), FieldError("a", "a", hint="d")]
    assert [error.message for error in RequestError(same).errors] == ["a", "b"]


def test_of_very_many_problems_the_first_are_listed_and_the_others_counted() -> None:
    keys = {f"key{number:05}": 1 for number in range(20_000)}
    *listed, last = refused(document() | keys).errors
    assert len(listed) == 100
    assert last.message == "has 19900 more problems, which are not listed"


def test_a_request_of_nothing_but_unknown_indicators_is_not_searched_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched = []
    monkeypatch.setattr(registry, "_alike", lambda *given: searched.append(given) or [])
    refused(with_value("template.indicator_grids", [{"indicator_id": "x"}] * 5_000))
    assert len(searched) <= 100
