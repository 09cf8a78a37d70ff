"""The request accepts what people write: equal meanings have equal hashes."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.request import VERSION, Defaults, complete, parse, request_hash
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    RSI,
    SMA,
    WINDOW,
    document,
    explicit,
    ranged,
    refusal_at,
    refused,
    with_value,
)


def hash_of(written: dict[str, Any], defaults: Defaults = DEFAULTS) -> str:
    return request_hash(complete(written, defaults, LIMITS))


def test_a_date_is_midnight_utc() -> None:
    dated = complete(
        with_value("time_range", {"start": "2024-03-01", "end": "2024-03-31"}), DEFAULTS, LIMITS
    )
    assert dated["time_range"] == {
        "start": "2024-03-01T00:00:00Z",
        "end": "2024-03-31T00:00:00Z",
    }


def test_a_date_is_midnight_utc_wherever_the_program_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    here = hash_of(with_value("time_range.start", "2024-03-01"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert hash_of(with_value("time_range.start", "2024-03-01")) == here
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["2024-02-30", "2024-3-1", "2024-W01-1", "20240301", "2024-03"])
def test_what_is_no_date_is_refused(text: str) -> None:
    assert "a time like 2024-01-01T00:00:00Z, or a date" in refusal_at(
        "time_range.start", with_value("time_range.start", text)
    )


def test_the_end_is_the_first_moment_that_is_not_traded() -> None:
    same_day = with_value("time_range", {"start": "2024-03-01", "end": "2024-03-01"})
    assert "must be after start" in refusal_at("time_range.end", same_day)


@pytest.mark.parametrize("path", [WINDOW, "template.risk_grid.sl", "template.risk_grid.tsl"])
def test_an_array_is_an_explicit_axis_and_a_value_an_axis_of_one(path: str) -> None:
    assert hash_of(with_value(path, [7, 14])) == hash_of(with_value(path, explicit(7, 14)))
    assert hash_of(with_value(path, 7)) == hash_of(with_value(path, explicit(7)))
    assert hash_of(with_value(path, [7, 14])) != hash_of(with_value(path, [14, 7]))


def test_a_source_and_a_choice_are_axes_as_well() -> None:
    def cross(ma: Any, source: Any) -> dict[str, Any]:
        block = {"indicator_id": "ma.cross", "source": source, "params": {"ma": ma}}
        return with_value("template.indicator_grids", [block])

    both = explicit("sma", "ema"), explicit("close", "hl2")
    assert hash_of(cross(["sma", "ema"], ["close", "hl2"])) == hash_of(cross(*both))
    assert hash_of(cross("wma", "open")) == hash_of(cross(explicit("wma"), explicit("open")))


@pytest.mark.parametrize("off", [None, [None], explicit(None)])
def test_a_risk_exit_that_is_off_is_null(off: Any) -> None:
    assert hash_of(with_value("template.risk_grid.sl", off)) == hash_of(document())


def test_off_and_levels_stand_in_one_array() -> None:
    effective = complete(with_value("template.risk_grid.tp", [None, 2, 4.5]), DEFAULTS, LIMITS)
    assert effective["template"]["risk_grid"]["tp"] == explicit(None, 2.0, 4.5)


def test_a_range_keeps_its_form() -> None:
    effective = complete(with_value(WINDOW, ranged(5.0, 9, 2)), DEFAULTS, LIMITS)
    block = effective["template"]["indicator_grids"][0]
    assert block["params"]["window"] == {"mode": "range", "start": 5, "stop_incl": 9, "step": 2}


def test_as_many_values_as_may_be_listed_are_accepted() -> None:
    values = list(range(1, 10_001))
    listed = parse(complete(with_value(WINDOW, values), DEFAULTS, LIMITS))
    assert listed.blocks[0].params["window"] == tuple(values)


def test_a_range_may_have_more_values_than_may_be_listed() -> None:
    request = with_value("template.indicator_grids", [{"indicator_id": "ma.sma"}])
    request["template"]["indicator_grids"][0]["params"] = {"window": ranged(1, 20_000, 1)}
    assert len(parse(complete(request, DEFAULTS, LIMITS)).blocks[0].params["window"]) == 20_000


@st.composite
def spelled_time(draw: st.DrawFn, moment: datetime) -> str:
    """One of the ways to write a moment in UTC."""
    offset = timezone(timedelta(minutes=draw(st.integers(-720, 720))))
    ways = [
        moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds"),
        moment.replace(tzinfo=UTC).astimezone(offset).isoformat(timespec="milliseconds"),
        moment.isoformat(timespec="milliseconds") + "Z",
    ]
    if not moment.microsecond:
        ways.append(moment.isoformat(timespec="seconds") + "Z")
    if not (moment.hour or moment.minute or moment.second or moment.microsecond):
        ways.append(moment.date().isoformat())
    return draw(st.sampled_from(ways))


@st.composite
def spelled_number(draw: st.DrawFn, number: float) -> float:
    whole = float(number).is_integer()
    return draw(st.sampled_from([int(number), float(number)])) if whole else number


@st.composite
def spelled_axis(draw: st.DrawFn, values: list[Any]) -> Any:
    """One of the ways to write these values as an axis."""
    written = [
        value if value is None or isinstance(value, str) else draw(spelled_number(value))
        for value in values
    ]
    ways = [explicit(*written), written]
    if len(written) == 1:
        ways.append(written[0])
    return draw(st.sampled_from(ways))


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3, unique=True)


@st.composite
def meanings(draw: st.DrawFn) -> dict[str, Any]:
    days = draw(
        st.lists(
            st.dates(datetime(2000, 1, 1).date(), datetime(2099, 1, 1).date()),
            min_size=2,
            max_size=2,
            unique=True,
        ).map(sorted)
    )
    clock = draw(st.sampled_from([timedelta(0), timedelta(hours=7), timedelta(milliseconds=7)]))
    level = st.sampled_from([None, 0.5, 1.0, 2.0, 4.5])
    return {
        "start": datetime.combine(days[0], datetime.min.time()) + clock,
        "end": datetime.combine(days[1], datetime.min.time()) + clock,
        "source": draw(some(st.sampled_from(["close", "hl2", "open"]))),
        "window": draw(some(st.integers(2, 200))),
        "long": draw(some(st.sampled_from([20.0, 30.5, 40.0]))),
        "sl": draw(some(level)),
        "tp": draw(some(level)),
        "min_trades": draw(st.sampled_from([0, 30])),
        "distinct": draw(st.booleans()),
        "preselect": draw(st.sampled_from([1000, 20_000])),
        "fee": draw(st.sampled_from([0.0, 0.075, 1.0])),
        "entry_fill": draw(st.sampled_from(["close", "next_open"])),
        "stop_fill": draw(st.sampled_from(["close", "intrabar"])),
    }


@st.composite
def spelled(draw: st.DrawFn, meaning: dict[str, Any]) -> dict[str, Any]:
    """One of the ways to write a request; what equals its default may be left out."""

    def members(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
        kept = {
            key: value
            for key, value in values.items()
            if key not in defaults or meaning[key] != defaults[key] or draw(st.booleans())
        }
        return {key: kept[key] for key in draw(st.permutations(sorted(kept)))}

    sma: dict[str, Any] = {"params": {"window": draw(spelled_axis(meaning["window"]))}}
    sma |= {"indicator_id": "ma.sma"}
    if meaning["source"] != ["close"] or draw(st.booleans()):
        sma["source"] = draw(spelled_axis(meaning["source"]))
    if draw(st.booleans()):
        sma |= {"name": "ma.sma", "output": "ma", "signals": {}}
    rsi = {
        "indicator_id": "momentum.rsi",
        "signals": {"long_threshold": draw(spelled_axis(meaning["long"]))},
    }
    risk = {name: draw(spelled_axis(meaning[name])) for name in ("sl", "tp")}
    for name in ("sl", "tp"):
        if meaning[name] == [None] and draw(st.booleans()):
            del risk[name]
    execution = members(
        {name: meaning[name] for name in ("entry_fill", "stop_fill")},
        {"entry_fill": "close", "stop_fill": "close"},
    )
    if meaning["fee"] != 0.075 or draw(st.booleans()):
        execution["fee_pct"] = draw(spelled_number(meaning["fee"]))
    written = {
        "time_range": {name: draw(spelled_time(meaning[name])) for name in ("end", "start")},
        "template": {
            "timeframe": "15m",
            "instrument_id": {"symbol": "BTCUSDT", "market_id": draw(spelled_number(1))},
            "indicator_grids": draw(st.permutations([sma, rsi])),
            "risk_grid": risk,
            "execution": execution,
        },
        "ranking": members(
            {"min_trades": meaning["min_trades"], "distinct": meaning["distinct"]},
            {"min_trades": 0, "distinct": True},
        ),
        **members({"preselect": draw(spelled_number(meaning["preselect"]))}, {"preselect": 20_000}),
    }
    extras: dict[str, Any] = {"version": VERSION, "validation": None, "warmup_bars": 200}
    return written | {key: extras[key] for key in draw(st.sets(st.sampled_from(sorted(extras))))}


@given(data=st.data(), meaning=meanings())
@settings(max_examples=150, deadline=None)
def test_equal_meanings_have_equal_hashes(data: st.DataObject, meaning: dict[str, Any]) -> None:
    one, two = (data.draw(spelled(meaning)) for _ in range(2))
    assert hash_of(one) == hash_of(two)


@given(one=meanings(), two=meanings(), data=st.data())
@settings(max_examples=50, deadline=None)
def test_other_meanings_have_other_hashes(
    one: dict[str, Any], two: dict[str, Any], data: st.DataObject
) -> None:
    written = [data.draw(spelled(meaning)) for meaning in (one, two)]
    assert (hash_of(written[0]) == hash_of(written[1])) is (one == two)


def resolving(warmup_bars: int | None) -> Defaults:
    return replace(DEFAULTS, warmup_bars=warmup_bars)


def warmup(defaults: Defaults, **changes: Any) -> int:
    effective = complete(document() | changes, defaults, LIMITS)
    assert isinstance(effective["warmup_bars"], int)
    return int(effective["warmup_bars"])


def test_a_warm_up_that_is_left_out_is_the_configured_one() -> None:
    assert warmup(resolving(123)) == 123


def test_a_warm_up_of_null_is_what_the_grid_needs_whatever_is_configured() -> None:
    needed = warmup(resolving(None))
    assert needed >= 199
    assert warmup(resolving(None), warmup_bars=None) == needed
    assert warmup(resolving(123), warmup_bars=None) == needed


def test_a_longer_window_needs_a_longer_warm_up() -> None:
    def needed(window: int) -> int:
        wanted = with_value("template.indicator_grids", [{"indicator_id": "ma.tema"}])
        wanted["template"]["indicator_grids"][0]["params"] = {"window": [5, window]}
        return int(complete(wanted, resolving(None), LIMITS)["warmup_bars"])

    assert 199 <= needed(200) < needed(400)


def test_no_more_warm_up_is_read_than_a_request_may_ask_for() -> None:
    wanted = with_value(WINDOW, 1_000_000)
    assert complete(wanted, resolving(None), LIMITS)["warmup_bars"] == 100_000


def test_the_resolved_warm_up_counts_in_the_bytes() -> None:
    wanted = with_value(WINDOW, 50_000)
    wanted["time_range"] = {"start": "2024-01-01", "end": "2024-01-02"}
    tight = replace(LIMITS, max_compute_bytes_total=29 * 2**20)
    assert complete(wanted | {"warmup_bars": 0}, resolving(None), tight)
    assert refused(wanted, tight, resolving(None)).code == "guard_exceeded"


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_distinct_is_true_or_false(value: Any) -> None:
    path = "ranking.distinct"
    assert "must be true or false" in refusal_at(path, with_value(path, value))


def test_what_no_rule_reads_is_refused_in_short_form_as_well() -> None:
    wrong = with_value(f"{RSI}.signals", {"min_body": 1})
    assert "unknown parameter" in refusal_at(f"{RSI}.signals.min_body", wrong)
    assert "no parameters" in refusal_at(
        f"{SMA}.signals.min_body", with_value(f"{SMA}.signals", {"min_body": 1})
    )
