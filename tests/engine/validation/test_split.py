"""Each part of a split is what is loaded for a job over its bars alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candles import Candles, NoMarketData, utc
from engine.funding import Funding
from engine.loading import Ordinary, load
from engine.request import Request, complete, parse
from engine.validation.split import Split, border_of
from tests.engine.markets import DAY, HOUR, ms, priced, reading, stock_hours
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit

START, END = ms(2024, 1, 10), ms(2024, 1, 20)
HOURS = list(range(ms(2024, 1, 1), ms(2024, 2, 1), HOUR))
STOCK = Ordinary(timeframe_ms=HOUR, sessions=True)
EIGHTS = list(range(ms(2024, 1, 1), ms(2024, 2, 1), 8 * HOUR))


def asking(
    start_ms: int, end_ms: int, validation: dict[str, Any] | None = None, **execution: Any
) -> Request:
    whole = document() | {"warmup_bars": 30, "validation": validation}
    whole["time_range"] = {"start": utc(start_ms), "end": utc(end_ms)}
    whole["template"] |= {
        "timeframe": "1h",
        "indicator_grids": [{"indicator_id": "ma.sma", "params": {"window": explicit(2)}}],
        "execution": execution,
    }
    return parse(complete(whole, DEFAULTS, LIMITS))


def loaded(request: Request, opens: list[int], known: Ordinary | None = None) -> Candles:
    payments = Funding(np.array(EIGHTS, np.int64), np.arange(1.0, len(EIGHTS) + 1) / 100)

    def pay(_market: int, _symbol: str, from_ms: int, to_ms: int) -> Funding:
        return Funding.within(payments, from_ms - 1, to_ms - 1)

    return load(request, reading(priced(opens)), lambda *_: known or Ordinary(HOUR), pay)


def assert_exact(request: Request, opens: list[int], known: Ordinary | None = None) -> None:
    """Compare both parts with what is loaded for jobs over their bars."""
    candles = loaded(request, opens, known)
    split = Split.of(request, candles)
    assert split is not None
    assert request.validation is not None
    border_ms = int(candles.ts_open[border_of(request.validation, candles)])
    execution = {"funding_pct_per_8h": request.execution.funding_pct_per_8h}
    for part, start, end in (
        (split.train, request.start_ms, border_ms),
        (split.test, border_ms, request.end_ms),
    ):
        alone = loaded(asking(start, end, **execution), opens, known)
        assert part.content_hash() == alone.content_hash()
        assert part.filled.tolist() == alone.filled.tolist()
        assert (part.missing is None) == (alone.missing is None)


@pytest.mark.parametrize("validation", [{"train_pct": 70}, {"test_start": "2024-01-14T07:30:00Z"}])
def test_each_part_is_the_job_over_its_bars(validation: dict[str, Any]) -> None:
    assert_exact(asking(START, END, validation), HOURS)


def test_each_part_has_its_own_payments() -> None:
    request = asking(START, END, {"train_pct": 63}, funding_pct_per_8h="stored")
    assert_exact(request, HOURS)


@pytest.mark.parametrize("pct", [20, 55.5, 90])
def test_each_part_of_a_market_that_closes_is_the_job_over_its_bars(pct: float) -> None:
    opens = stock_hours((2023, 11, 1), (2024, 3, 1))
    assert_exact(asking(START, END + 20 * DAY, {"train_pct": pct}), opens, STOCK)


@given(
    holes=st.lists(st.tuples(st.integers(200, 470), st.integers(1, 60)), max_size=6),
    pct=st.floats(1, 99),
)
def test_holes_in_the_candles_change_nothing_of_this(
    holes: list[tuple[int, int]], pct: float
) -> None:
    lost = {at for begin, length in holes for at in range(begin, begin + length)}
    opens = [at for number, at in enumerate(HOURS) if number not in lost]
    request = asking(START, END, {"train_pct": pct})
    try:
        assert_exact(request, opens)
    except NoMarketData:  # the hole takes a part, or all
        candles = [at for at in opens if START <= at < END]
        border = len(range(START, END, HOUR)) * pct / 100 * HOUR + START
        before = sum(at < border for at in candles)
        assert not candles or min(before, len(candles) - before) <= len(lost)


@pytest.mark.parametrize(
    ("pct", "trained"), [(70, 168), (50, 120), (0.5, 1), (99.9, 239), (33.3, 79), (29, 69)]
)
def test_the_border_is_the_share_of_the_bars_as_it_is_written_rounded_down(
    pct: float, trained: int
) -> None:
    split = Split.of(request := asking(START, END, {"train_pct": pct}), loaded(request, HOURS))
    assert split is not None
    assert (split.train.traded_bars, split.test.traded_bars) == (trained, 240 - trained)


@pytest.mark.parametrize(("start", "first"), [("07:00", 7), ("07:00:00.001", 8), ("07:59", 8)])
def test_the_test_begins_with_the_first_bar_that_opens_at_its_time_or_later(
    start: str, first: int
) -> None:
    request = asking(
        START,
        END,
        {"test_start": f"2024-01-14T{start}Z"}
        if start.count(":") > 1
        else {"test_start": f"2024-01-14T{start}:00Z"},
    )
    split = Split.of(request, loaded(request, HOURS))
    assert split is not None
    test = split.test
    assert test.ts_open[test.first] == ms(2024, 1, 14, first)
    assert split.train.close_time()[-1] == ms(2024, 1, 14, first)


def test_without_validation_nothing_is_cut() -> None:
    request = asking(START, END)
    assert Split.of(request, loaded(request, HOURS)) is None


@pytest.mark.parametrize(
    ("there", "part"), [((START, START + DAY), "test"), ((END - DAY, END), "training")]
)
def test_a_part_without_candles_is_refused_and_named(there: tuple[int, int], part: str) -> None:
    request = asking(START, END, {"test_start": "2024-01-15"})
    candles = loaded(request, [at for at in HOURS if there[0] <= at < there[1]])
    with pytest.raises(NoMarketData, match=f"the {part} has no bar to trade"):
        Split.of(request, candles)


def test_what_each_part_traded_is_told() -> None:
    request = asking(START, END, {"train_pct": 70})
    candles = loaded(request, HOURS)
    split = Split.of(request, candles)
    assert split is not None
    train, test = split.document()["train"], split.document()["test"]
    closes = candles.close[candles.first :]
    assert (train["start"], train["end"], train["bars"]) == (utc(START), utc(START + 7 * DAY), 168)
    assert (test["start"], test["end"], test["bars"]) == (utc(START + 7 * DAY), utc(END), 72)
    assert train["benchmark_return_pct"] == pytest.approx(100 * (closes[167] / closes[0] - 1))
    assert test["benchmark_return_pct"] == pytest.approx(100 * (closes[239] / closes[168] - 1))
