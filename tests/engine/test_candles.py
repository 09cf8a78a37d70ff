"""The gapless timeline and its traded slice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.candles import Candles, NoMarketData, load_range, timeline
from engine.loading import load
from engine.request import complete, parse
from engine.synthetic import Minutes
from engine.timeframes import TIMEFRAMES
from tests.engine import requests

STEP = 900_000
DAY = 86_400_000
START = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def rows(buckets: list[int], step: int = STEP) -> Minutes:
    """Buckets of which every price tells which one it is."""
    number = np.array(buckets, dtype=np.int64)
    price = number.astype(np.float64)
    return Minutes(number * step, price + 0.1, price + 0.4, price - 0.1, price + 0.2, price + 0.3)


def traded(start: int, end: int, buckets: list[int], step: int = STEP) -> list[int]:
    """Numbers of the traded bars."""
    candles = timeline(rows(buckets, step), start_ms=start, end_ms=end, timeframe_ms=step)
    return (candles.ts_open[candles.first :] // step).tolist()


buckets_strategy = st.lists(
    st.integers(min_value=100, max_value=160), min_size=1, max_size=40, unique=True
).map(sorted)


@settings(max_examples=200)
@given(
    buckets=buckets_strategy,
    start=st.integers(min_value=95 * 4, max_value=165 * 4),
    length=st.integers(min_value=1, max_value=200),
)
def test_the_timeline_is_what_a_loop_over_bars_makes(
    buckets: list[int], start: int, length: int
) -> None:
    start_ms, end_ms = start * STEP // 4, (start + length) * STEP // 4
    expected: list[tuple[float, ...]] = []
    for bucket in range(buckets[0], buckets[-1] + 1):
        if bucket in buckets:
            price = float(bucket)
            bar = (price + 0.1, price + 0.4, price - 0.1, price + 0.2, price + 0.3)
        else:
            close = expected[-1][4]
            bar = (close, close, close, close, 0.0)
        expected.append((bucket * STEP, *bar))
    expected = [bar for bar in expected if bar[0] + STEP <= end_ms]
    has_data = any(start_ms <= bar * STEP and (bar + 1) * STEP <= end_ms for bar in buckets)

    if not has_data:
        with pytest.raises(NoMarketData):
            timeline(rows(buckets), start_ms=start_ms, end_ms=end_ms, timeframe_ms=STEP)
        return
    candles = timeline(rows(buckets), start_ms=start_ms, end_ms=end_ms, timeframe_ms=STEP)

    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    bars = zip(candles.ts_open.tolist(), *(column.tolist() for column in columns), strict=True)
    assert list(bars) == expected
    after_warmup = [bar for bar in expected if bar[0] >= start_ms]
    assert candles.traded_bars == len(after_warmup)
    assert candles.first == len(expected) - len(after_warmup)


def test_the_first_week_of_january_trades_the_daily_candles_of_its_seven_days() -> None:
    first = START // DAY

    days = traded(START, START + 7 * DAY, list(range(first - 5, first + 20)), DAY)

    assert days == list(range(first, first + 7))


def test_a_bar_that_opens_at_the_start_is_traded() -> None:
    assert traded(100 * STEP, 200 * STEP, [99, 100, 101]) == [100, 101]


def test_a_bar_that_opens_a_millisecond_before_the_start_warms_up() -> None:
    assert traded(100 * STEP + 1, 200 * STEP, [99, 100, 101]) == [101]


def test_a_bar_that_closes_at_the_end_is_traded() -> None:
    assert traded(0, 102 * STEP, [99, 100, 101]) == [99, 100, 101]


def test_a_bar_that_closes_a_millisecond_after_the_end_is_not_there() -> None:
    assert traded(0, 102 * STEP - 1, [99, 100, 101]) == [99, 100]


def test_a_range_shorter_than_a_bar_is_no_market_data() -> None:
    with pytest.raises(NoMarketData, match="no 15m bar lies between"):
        traded(100 * STEP + 1, 102 * STEP - 1, [99, 100, 101, 102])


def test_no_bucket_at_all_is_no_market_data() -> None:
    with pytest.raises(NoMarketData, match="no 15m bar lies between 2024-01-01T00:00:00Z and"):
        timeline(rows([]), start_ms=START, end_ms=START + DAY, timeframe_ms=STEP)


def test_a_bucket_that_reaches_into_the_range_is_no_market_data_of_it() -> None:
    with pytest.raises(NoMarketData):
        traded(START + 1, START + DAY, [START // STEP])


def test_warm_up_alone_is_no_market_data_and_says_what_there_is() -> None:
    with pytest.raises(NoMarketData, match=r"from 2023-12-31T00:00:00Z to 2023-12-31T00:30:00Z"):
        timeline(
            rows([(START - DAY) // STEP, (START - DAY) // STEP + 2]),
            start_ms=START,
            end_ms=START + DAY,
            timeframe_ms=STEP,
        )


@pytest.mark.parametrize("buckets", [[3, 2], [2, 2]])
def test_unsorted_buckets_are_refused(buckets: list[int]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        timeline(rows(buckets), start_ms=0, end_ms=DAY, timeframe_ms=STEP)


def test_unaligned_buckets_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples"):
        timeline(rows([3], step=STEP + 1), start_ms=0, end_ms=DAY, timeframe_ms=STEP)


@given(
    start=st.integers(min_value=0, max_value=4 * DAY),
    timeframe=st.sampled_from(list(TIMEFRAMES.values())),
    warmup=st.integers(min_value=0, max_value=50),
)
def test_the_load_range_holds_exactly_the_warm_up_before_the_first_traded_bar(
    start: int, timeframe: int, warmup: int
) -> None:
    from_ms, to_ms = load_range(start, start + 3 * timeframe, timeframe, warmup)
    count = -(-(to_ms - from_ms) // timeframe)
    everything = rows(list(range(from_ms // timeframe, from_ms // timeframe + count)), timeframe)

    candles = timeline(everything, start_ms=start, end_ms=to_ms, timeframe_ms=timeframe)

    assert from_ms % timeframe == 0
    assert candles.first == warmup
    assert start <= candles.ts_open[warmup] < start + timeframe


def test_a_load_reads_the_instrument_and_the_range_of_the_request_once() -> None:
    document = requests.with_value("warmup_bars", 3)
    request = parse(complete(document, requests.DEFAULTS, requests.LIMITS))
    everything = rows(list(range(START // STEP - 10, START // STEP + 200)))
    asked = []

    def read(*arguments: object) -> Minutes:
        asked.append(arguments)
        return everything

    candles = load(request, read)

    assert request.warmup_bars == 3
    wanted = load_range(request.start_ms, request.end_ms, STEP, 3)
    assert asked == [(1, "BTCUSDT", *wanted, STEP)]
    expected = timeline(
        everything, start_ms=request.start_ms, end_ms=request.end_ms, timeframe_ms=STEP
    )
    assert candles.content_hash() == expected.content_hash()


def test_the_content_hash_tells_any_difference() -> None:
    candles = timeline(rows([1, 2, 4]), start_ms=0, end_ms=DAY, timeframe_ms=STEP)
    price = candles.close.copy()
    price[1] = np.nextafter(price[1], 10)
    variants = [
        candles,
        replace(candles, close=price),
        replace(candles, first=1),
        replace(candles, timeframe_ms=2 * STEP),
        replace(candles, open=candles.close, close=candles.open),
        replace(candles, ts_open=candles.ts_open + STEP),
        *(
            replace(candles, **{column: np.nextafter(getattr(candles, column), 1e9)})
            for column in ("open", "high", "low", "close", "volume")
        ),
    ]

    assert len({variant.content_hash() for variant in variants}) == len(variants)


def test_the_content_hash_does_not_depend_on_memory_layout() -> None:
    candles = timeline(rows([1, 2, 4]), start_ms=0, end_ms=DAY, timeframe_ms=STEP)
    strided = np.repeat(candles.close, 2)[::2]

    assert replace(candles, close=strided).content_hash() == candles.content_hash()


def test_all_columns_are_contiguous_for_the_kernels() -> None:
    candles: Candles = timeline(rows([1, 4, 9]), start_ms=0, end_ms=8 * STEP, timeframe_ms=STEP)

    for column in (candles.ts_open, candles.open, candles.high, candles.volume):
        assert column.flags.c_contiguous
