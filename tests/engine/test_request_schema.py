"""The JSON Schema of a request and the reader agree: what the schema refuses is refused."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.indicators import registry
from engine.request import (
    TABLE,
    RequestError,
    complete,
    example,
    holding_example,
    json_schema,
    merge_patch,
    read_label,
    read_saved,
)
from engine.request.block_entries import BLOCK
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    RSI,
    SMA,
    WINDOW,
    document,
    explicit,
    ranged,
    swapped,
    with_value,
    without,
)

SCHEMA = json_schema(DEFAULTS)
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
REQUEST = SCHEMA["anyOf"][0]
ID = "0f7c2a52-93a5-4b2c-8d0e-5a7f0f1b2c3d"
RISK = "template.risk_grid"
FULL = document() | {
    "version": 3,
    "name": "all that can be said",
    "note": "a\nb",
    "time_range": {"start": "2024-01-01T00:00+03:00", "end": "2024-12-31"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "1h",
        "indicator_grids": [
            {
                "name": "cross",
                "indicator_id": "ma.cross",
                "output": "diff",
                "source": ["close", "hl2"],
                "params": {"ma": "sma", "fast": [3.0, 5], "slow": ranged(20, 60, 20)},
                "signals": {},
            },
            {
                "indicator_id": "momentum.rsi",
                "source": explicit("open"),
                "params": {"window": 14},
                "signals": {"long_threshold": ranged(20, 40, 2.5), "short_threshold": explicit(60)},
            },
        ],
        "position": "hold",
        "exit_grids": [{"name": "rsi", "indicator_id": "momentum.rsi", "params": {"window": [7]}}],
        "direction_mode": "long-only",
        "sizing_mode": "fixed_quote",
        "execution": {
            "init_cash_quote": 5e3,
            "fee_pct": 0,
            "slippage_pct": 0.0,
            "fixed_quote": 9,
            "entry_fill": "next_open",
            "stop_fill": "intrabar",
            "reentry_after_bars": 3.0,
            "percent": [25],
            "risk_per_trade_pct": 0.5,
            "leverage": 3,
            "funding_pct_per_8h": -0.01,
            "borrow_pct_per_year": 8,
        },
        "risk_grid": {"sl": [None, 1, 2.5], "tp": None, "tsl": ranged(1, 5, 0.5)},
    },
    "warmup_bars": None,
    "preselect": 100,
    "top_k": 50,
    "top_trades_n": 0,
    "result_bytes_max": 1000,
    "ranking": {
        "primary_metric": "sqn",
        "secondary_metric": None,
        "min_trades": 5,
        "distinct": False,
    },
    "validation": None,
}
SAVED = {"name": None, "strategy_id": ID, "overrides": {"time_range": {"end": "2024-02-01"}}}


def accepted(text: Any) -> bool:
    """Whether the reader takes a document, with its name and note or as a saved strategy."""
    try:
        rest = read_label(text)[2]
        if read_saved(rest) is None:
            complete(rest, DEFAULTS, LIMITS)
    except RequestError:
        return False
    return True


def test_the_schema_is_one_of_draft_2020_12() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for item in schema.values():
            yield from subschemas(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from subschemas(item)


def test_it_has_no_references_and_knows_every_key() -> None:
    parts = list(subschemas(SCHEMA))
    assert not any("$ref" in part for part in parts)
    objects = [part for part in parts if part.get("type") == "object" and "properties" in part]
    assert all(part["additionalProperties"] is False for part in objects)


def test_its_defaults_and_examples_are_valid() -> None:
    told = [part for part in subschemas(SCHEMA) if "anyOf" in part or "type" in part]
    values = [(part, v) for part in told for v in [*part.get("examples", ())]]
    values += [(part, part["default"]) for part in told if "default" in part]
    assert len(values) > 40
    for part, value in values:
        jsonschema_rs.Draft202012Validator(part).validate(value)


def test_every_field_of_the_table_stands_in_it_with_its_sentence() -> None:
    told = {part["description"] for part in subschemas(SCHEMA) if "description" in part}
    for entry in TABLE.entries:
        if not entry.path.endswith(".*"):
            assert any(one.startswith(entry.sentence) for one in told), entry.path


def test_indicators_and_parameters_are_those_that_are_registered() -> None:
    template = REQUEST["properties"]["template"]
    block = template["properties"]["indicator_grids"]["items"]["properties"]
    assert block["indicator_id"]["enum"] == [each.id for each in registry.catalogue()]
    for part, names in (
        ("params", {p.name for each in registry.catalogue() for p in each.params}),
        ("signals", {name for each in registry.catalogue() for name in each.signal_params}),
    ):
        assert set(block[part]["properties"]) == names
        assert TABLE.at(f"{BLOCK}.{part}").sentence == block[part]["description"].split(" Def")[0]


def test_an_indicator_of_a_plugin_stands_in_it() -> None:
    rsi = registry.get("momentum.rsi")
    wide = replace(rsi.params[0], minimum=1, maximum=7)
    own = replace(rsi, id="mine.rsi", params=(wide, replace(wide, name="mine")))
    schema = json_schema(DEFAULTS, catalogue=[rsi, own])
    template = schema["anyOf"][0]["properties"]["template"]
    block = template["properties"]["indicator_grids"]["items"]["properties"]
    assert block["indicator_id"]["enum"] == ["momentum.rsi", "mine.rsi"]
    params = block["params"]["properties"]
    assert list(params) == ["mine", "window"]
    assert params["mine"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 7}
    assert params["window"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1_000_000}


SPELLINGS: dict[str, Any] = {
    "the least": document(),
    "validation as it is by default": with_value("validation", {}),
    "validation by a share": with_value("validation", {"train_pct": 62.5}),
    "validation from a time": with_value("validation", {"test_start": "2024-02-01"}),
    "funding as stored": with_value("template.execution.funding_pct_per_8h", "stored"),
    "all there is": FULL,
    "the example": example(),
    "saved": SAVED,
    "saved with nothing": {"strategy_id": ID.upper()},
    "what was completed": complete(document(), DEFAULTS, LIMITS),
    "date": with_value("time_range.start", "2024-02-29"),
    "milliseconds": with_value("time_range.start", "2024-01-01T00:00:00.120Z"),
    "axis of one": with_value(WINDOW, 5),
    "axis of one in a float": with_value(WINDOW, 5.0),
    "array": with_value(WINDOW, [5, 7.0]),
    "explicit": with_value(WINDOW, explicit(7, 5)),
    "range": with_value(WINDOW, ranged(5.0, 9, 2)),
    "source": with_value(f"{SMA}.source", "close"),
    "sources": with_value(f"{SMA}.source", ["close", "hl2"]),
    "level": with_value(f"{RISK}.sl", 3),
    "no level": with_value(f"{RISK}.sl", None),
    "levels": with_value(f"{RISK}.tp", [None, 0.5]),
    "explicit levels": with_value(f"{RISK}.tp", explicit(2, None)),
    "held": with_value("template.position", "hold"),
    "the example that holds": merge_patch(example(), holding_example()),
    "no exit blocks": with_value("template.exit_grids", []),
    "no execution": with_value("template.execution", {}),
    "version 1": document() | {"version": 1},
    "version 2": document() | {"version": 2},
    "negative threshold": with_value(f"{RSI}.signals.long_threshold", [-5, 0, 1e6]),
    "a whole number in a float": with_value("top_k", 1e2),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_that_the_reader_knows_is_valid(spelled: Any) -> None:
    assert accepted(spelled)
    VALIDATOR.validate(spelled)


def exits(*blocks: dict[str, Any], **block: Any) -> dict[str, Any]:
    """A request that holds with these exit blocks, or this one."""
    whole = with_value("template.position", "hold")
    whole["template"]["exit_grids"] = [*blocks, *([block] if block else [])]
    return whole


REFUSED: dict[str, Any] = {
    "not an object": [1],
    "unknown key": with_value("colour", 1),
    "unknown key inside": with_value("template.colour", 1),
    "unknown parameter": with_value(f"{SMA}.params.windo", 5),
    "unknown indicator": swapped(0, indicator_id="rsi"),
    "missing range": without("time_range"),
    "missing end": without("time_range.end"),
    "missing symbol": without("template.instrument_id.symbol"),
    "no indicator": with_value("template.indicator_grids", []),
    "many indicators": with_value("template.indicator_grids", [{"indicator_id": "ma.sma"}] * 17),
    "no time": with_value("time_range.start", "yesterday"),
    "time without a zone": with_value("time_range.start", "2024-01-01T00:00:00"),
    "number as text": with_value("top_k", "5"),
    "zero": with_value("top_k", 0),
    "more than is kept": with_value("top_k", 301),
    "fraction": with_value("top_k", 2.5),
    "true as a number": with_value("top_k", True),
    "fee of 50": with_value("template.execution.fee_pct", 50),
    "no cash": with_value("template.execution.init_cash_quote", 0),
    "huge": with_value("template.execution.init_cash_quote", 2e15),
    "null where none may be": with_value("template.execution", None),
    "unknown entry fill": with_value("template.execution.entry_fill", "open"),
    "stop fill of null": with_value("template.execution.stop_fill", None),
    "unknown position": with_value("template.position", "flat"),
    "position of null": with_value("template.position", None),
    "exit blocks of null": with_value("template.exit_grids", None),
    "unknown key of an exit block": exits(indicator_id="momentum.rsi", window=5),
    "unknown parameter of an exit block": exits(indicator_id="momentum.rsi", params={"windo": 5}),
    "unknown exit indicator": exits(indicator_id="rsi"),
    "many exit blocks": exits(*[{"indicator_id": "momentum.rsi"}] * 17),
    "negative pause": with_value("template.execution.reentry_after_bars", -1),
    "long pause": with_value("template.execution.reentry_after_bars", 10**6 + 1),
    "pause of half a bar": with_value("template.execution.reentry_after_bars", 0.5),
    "percent of null": with_value("template.execution.percent", None),
    "percent of 0.5": with_value("template.execution.percent", 0.5),
    "percents to 101": with_value("template.execution.percent", explicit(50, 101)),
    "percents off": with_value("template.execution.percent", [None, 50]),
    "no risk": with_value("template.execution.risk_per_trade_pct", 0),
    "risk of 101": with_value("template.execution.risk_per_trade_pct", 101),
    "leverage of a half": with_value("template.execution.leverage", 0.5),
    "leverage of 126": with_value("template.execution.leverage", 126),
    "funding of 11": with_value("template.execution.funding_pct_per_8h", 11),
    "funding in another word": with_value("template.execution.funding_pct_per_8h", "Stored"),
    "borrowing as stored": with_value("template.execution.borrow_pct_per_year", "stored"),
    "funding of null": with_value("template.execution.funding_pct_per_8h", None),
    "borrowing that pays": with_value("template.execution.borrow_pct_per_year", -1),
    "unknown timeframe": with_value("template.timeframe", "7m"),
    "symbol with a space": with_value("template.instrument_id.symbol", "BTC USDT"),
    "window of 0": with_value(WINDOW, 0),
    "window in text": with_value(WINDOW, "5"),
    "window of null": with_value(WINDOW, None),
    "value twice": with_value(WINDOW, [5, 5.0]),
    "no values": with_value(WINDOW, []),
    "too many values": with_value(WINDOW, list(range(2, 10_003))),
    "too many explicit values": with_value(WINDOW, explicit(*range(2, 10_003))),
    "explicit without values": with_value(WINDOW, {"mode": "explicit"}),
    "range without a step": with_value(WINDOW, {"mode": "range", "start": 2, "stop_incl": 3}),
    "step of 0": with_value(WINDOW, ranged(2, 3, 0)),
    "range with values": with_value(WINDOW, ranged(2, 3, 1) | {"values": [5]}),
    "range of sources": with_value(f"{SMA}.source", ranged(2, 3, 1)),
    "unknown source": with_value(f"{SMA}.source", ["clos"]),
    "level of 0": with_value(f"{RISK}.sl", 0),
    "range from null": with_value(f"{RISK}.sl", ranged(None, 3, 1)),  # type: ignore[arg-type]
    "validation as a number": with_value("validation", 70),
    "trains on nothing": with_value("validation", {"train_pct": 0}),
    "tests on nothing": with_value("validation", {"train_pct": 100}),
    "test from no time": with_value("validation", {"test_start": "spring"}),
    "folds": with_value("validation", {"folds": 5}),
    "long name": document() | {"name": "x" * 121},
    "empty name": document() | {"name": ""},
    "long note": document() | {"note": "x" * 4001},
    "template beside a strategy": SAVED | {"template": document()["template"]},
    "overrides alone": {"overrides": {}},
    "prefix of an id": {"strategy_id": ID[:8]},
    "overrides of null": {"strategy_id": ID, "overrides": None},
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
def test_what_can_be_seen_in_one_field_is_refused_by_both(wrong: Any) -> None:
    assert not accepted(wrong)
    assert not VALIDATOR.is_valid(wrong)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a document with every key of it."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from places(item)


JUNK = st.one_of(
    st.sampled_from(
        [
            *(None, True, 0, 1, 5, 5.0, 2.5, -1, 0.0, 1e15, 2e15, 10**30, 50, 100_000, 100_001),
            *(
                "",
                "close",
                "5",
                "2024-06-01",
                "2024-06-01T00:00:00Z",
                "long-short",
                "next_open",
                "intrabar",
                "ma.sma",
                "sqn",
            ),
            *("ma.cross", "1h", "sma", "line", [], {}, [5], [5, 5], [None], [None, 3], ["close"]),
            *(explicit(5, 7), explicit(), explicit(None, 5), ranged(5, 9, 2), ranged(9, 5, 1)),
            *(ranged(1, 2, 0.5), ranged(5, 9, 0), {"mode": "range"}, {"mode": "explicit"}, ID),
            *(list(range(3, 10_004)), list(range(3, 9_000)), {"window": 9}, {"fast": 3}),
        ]
    ),
    st.integers(-5, 400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(1, 6) | st.none(), max_size=4),
)
KEYS = st.sampled_from(
    sorted({entry.name for entry in TABLE.entries} | {"window", "fast", "name", "note", "extra"})
)
SEEDS = [document(), FULL, example(), SAVED, SPELLINGS["what was completed"]]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """Draw a request that people could write, with one or two places changed."""
    whole = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 2))):
        found = list(places(whole))
        if not found:
            return whole
        container, key = draw(st.sampled_from(found))
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "replace":
            container[key] = copy.deepcopy(draw(JUNK))
        elif what == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(KEYS)] = copy.deepcopy(draw(JUNK))
    return whole


@settings(max_examples=2000, deadline=None)
@given(changed())
def test_what_the_reader_accepts_is_valid(drawn: Any) -> None:
    if accepted(drawn):  # of nine about one
        VALIDATOR.validate(drawn)
