"""One table of fields: what it says is what is read, and nothing is read that it does not say."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest

from engine.request import TABLE, Defaults, complete, example, parse
from engine.request.block_entries import BLOCK, EXIT_GRIDS, EXPLICIT, RANGE
from engine.request.defaults import read_defaults
from engine.request.table import ANY, UNSHOWN, Entry, Setting
from tests.engine.requests import DEFAULTS, LIMITS, refusal_at, with_value
from tests.engine.test_request_defaults import GIVEN

ENTRIES = TABLE.entries
PLAIN = [e for e in ENTRIES if BLOCK not in e.path and e.parent not in (EXPLICIT, RANGE)]
"""Fields that stand once in a request."""


def named(entries: list[Entry]) -> dict[str, Any]:
    return {"argvalues": entries, "ids": [entry.path for entry in entries]}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Every path of a document; items of arrays as `[]`, parameters as `*`, axes as leaves."""
    if path:
        yield path
    if isinstance(value, Mapping) and value.get("mode") not in ("explicit", "range"):
        for key, member in value.items():
            wild = path in (f"{BLOCK}.params", f"{BLOCK}.signals")
            yield from paths(member, f"{path}.{ANY if wild else key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for item in value:
            yield from paths(item, f"{path}[]")


def test_every_key_of_an_effective_request_is_in_the_table_and_the_other_way_round() -> None:
    whole = with_value("template.indicator_grids[0].timeframe", "1h") | {
        "validation": {"walk_forward": {}}
    }
    effective = set(paths(complete(whole, DEFAULTS, LIMITS))) - {BLOCK}
    assert effective == {entry.path for entry in ENTRIES if entry.parent not in (EXPLICIT, RANGE)}


def test_paths_are_unique_and_stand_below_their_objects() -> None:
    known = [entry.path for entry in ENTRIES]
    assert len(set(known)) == len(known)
    objects = {entry.path for entry in ENTRIES if entry.type == "object"}
    assert {entry.parent for entry in ENTRIES} == objects | {"", BLOCK, EXPLICIT, RANGE}


@pytest.mark.parametrize("entry", **named(list(ENTRIES)))
def test_every_field_is_explained_in_one_sentence(entry: Entry) -> None:
    assert entry.sentence.endswith(".")
    assert entry.sentence[0].isupper()
    assert len(entry.sentence) <= 100


def test_the_defaults_of_the_table_are_those_that_settings_give() -> None:
    given = {field.name for field in fields(Defaults)}
    from_table = set(TABLE.settings()) | {entry.most.name for entry in ENTRIES if entry.most}
    assert from_table == given - {"indicator_grids"}


NUMBERS = [entry for entry in PLAIN if entry.type in ("integer", "number")]


@pytest.mark.parametrize("entry", **named(NUMBERS))
def test_the_bounds_of_the_table_are_those_of_the_reader(entry: Entry) -> None:
    bounds, step = entry.bounds, 1.0 if entry.type == "integer" else 1e-9
    outside = {
        "at least": None if bounds.minimum is None else bounds.minimum - step,
        "more than": bounds.above,
        "at most": None if bounds.maximum is None else bounds.maximum + step,
        "less than": bounds.below,
    }
    tried = {words: value for words, value in outside.items() if value is not None}
    assert tried
    for words, value in tried.items():
        assert words in refusal_at(entry.path, with_value(entry.path, value))


@pytest.mark.parametrize("entry", **named([entry for entry in PLAIN if entry.choices]))
def test_the_choices_of_the_table_are_those_of_the_reader(entry: Entry) -> None:
    for choice in entry.choices:
        if entry.path == "ranking.secondary_metric" or "metric" not in entry.path:
            wanted = with_value(entry.path, choice)
            if choice == "risk_per_trade":
                wanted["template"]["risk_grid"] = {"sl": 2}
            assert complete(wanted, DEFAULTS, LIMITS)
    refused = refusal_at(entry.path, with_value(entry.path, "qqqq"))
    assert f"known: {', '.join(entry.choices)}" in refused


@pytest.mark.parametrize("entry", **named([e for e in PLAIN if isinstance(e.default, Setting)]))
def test_a_configured_default_is_held_to_the_bounds_of_its_field(entry: Entry) -> None:
    wrong: Any = {1: math.inf} if entry.default.by else [math.inf]
    with pytest.raises(ValueError, match=f"^{entry.default.name}"):
        read_defaults(GIVEN | {entry.default.name: wrong})


def test_null_is_accepted_where_the_table_says_so_and_nowhere_else() -> None:
    for entry in PLAIN:
        if entry.path == "validation.train_pct":
            assert "give train_pct or test_start" in refusal_at(
                "validation", with_value(entry.path, None)
            )
        elif entry.null:
            assert complete(with_value(entry.path, None), DEFAULTS, LIMITS)
        else:
            assert "null" in refusal_at(entry.path, with_value(entry.path, None))


def test_the_example_is_a_request_that_can_be_submitted_as_it_is() -> None:
    request = parse(complete(example(), DEFAULTS, LIMITS))
    assert [block.name for block in request.blocks] == ["ma.sma", "momentum.rsi"]
    assert request.risk.tp == (None, 2.0, 4.0, 8.0)
    assert request.ranking.min_trades == 30


def test_the_example_shows_every_field_but_those_of_the_program() -> None:
    shown = set(paths(example())) - {BLOCK}
    hidden = {entry.path for entry in ENTRIES if entry.example is UNSHOWN}
    assert {entry.path for entry in ENTRIES if entry.parent not in (EXPLICIT, RANGE)} - shown == {
        "version",
        "result_bytes_max",
        EXIT_GRIDS,
        f"{BLOCK}.name",
        f"{BLOCK}.timeframe",
    }
    assert {
        "version",
        "result_bytes_max",
        EXIT_GRIDS,
        f"{BLOCK}.name",
        f"{BLOCK}.timeframe",
    } <= hidden


def test_the_example_can_be_changed_without_changing_the_next_one() -> None:
    example()["template"]["indicator_grids"].clear()
    example()["template"]["risk_grid"]["tp"].clear()
    assert complete(example(), DEFAULTS, LIMITS)
