"""How many bars a range trades, and what becomes of one that trades none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candles import NoMarketData
from engine.grid import estimate
from engine.loading import load
from engine.request import RequestError, complete, parse
from engine.request.estimate import bars_between
from engine.synthetic import minutes
from engine.timeframes import TIMEFRAMES
from tests.engine.requests import DEFAULTS, LIMITS, document

START = 1_704_067_200_000  # 2024-01-01T00:00:00Z
DAY = TIMEFRAMES["1d"]


def daily(start: str, end: str, timeframe: str = "1d") -> dict[str, Any]:
    whole = document() | {"time_range": {"start": start, "end": end}}
    whole["template"]["timeframe"] = timeframe
    return whole


def test_the_first_week_of_january_has_seven_days() -> None:
    assert bars_between(START, START + 7 * DAY, DAY) == 7


@given(
    start=st.integers(0, 10 * DAY),
    length=st.integers(0, 3 * DAY),
    timeframe=st.sampled_from(list(TIMEFRAMES.values())),
)
def test_as_many_bars_as_open_and_close_in_the_range(
    start: int, length: int, timeframe: int
) -> None:
    end = start + length
    opens = range(start // timeframe * timeframe, end + 1, timeframe)
    whole = [at for at in opens if start <= at and at + timeframe <= end]
    assert bars_between(start, end, timeframe) == len(whole)


SHORT = [
    pytest.param("2024-01-01T00:00:00Z", "2024-01-01T23:59:00Z", "1d", id="a minute short"),
    pytest.param("2024-01-01T00:01:00Z", "2024-01-02T23:59:00Z", "1d", id="two cut days"),
    pytest.param("2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z", "1d", id="within one day"),
    pytest.param("2024-01-01T00:00:30Z", "2024-01-01T00:00:31Z", "1m", id="a second"),
]


@pytest.mark.parametrize(("start", "end", "timeframe"), SHORT)
def test_a_range_too_short_for_one_bar_is_refused_by_its_timeframe(
    start: str, end: str, timeframe: str
) -> None:
    with pytest.raises(RequestError, match=f"time_range: holds no whole {timeframe} bar") as caught:
        complete(daily(start, end, timeframe), DEFAULTS, LIMITS)
    assert start in str(caught.value)
    assert end in str(caught.value)


def test_a_range_of_exactly_one_bar_is_accepted() -> None:
    complete(daily("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), DEFAULTS, LIMITS)


def test_a_stored_request_without_a_bar_is_read_and_has_no_market_data() -> None:
    stored = complete(daily("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), DEFAULTS, LIMITS)
    stored["time_range"]["end"] = "2024-01-01T23:00:00Z"

    request = parse(stored)

    assert estimate(request).bytes > 0
    with pytest.raises(NoMarketData, match="no 1d bar lies between"):
        load(request, lambda *_: minutes(seed=1, start_ms=START, count=1))
