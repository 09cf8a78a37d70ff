"""How figures, infinite ones and lengths of time are written in a report."""

import pytest

from engine.report import summaries
from engine.report.table import decimal, duration
from tests.engine.test_report import ONE_LOSS, World, rows


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (10000.0, 2, "10000"),
        (1234.5, 2, "1234.5"),
        (1234.567, 2, "1234.57"),
        (-0.001, 2, "0"),
        (-0.0, 4, "0"),
        (0.00004, 4, "0"),
        (-0.00006, 4, "-0.0001"),
        (12.34567, 4, "12.3457"),
        (100.0, 4, "100"),
        (1.5, 5, "1.5"),
        (0.000004, 5, "0"),
        (1e20, 2, "100000000000000000000"),
        (12, 0, "12"),
        (100, 0, "100"),
        (0, 0, "0"),
        (None, 2, "N/A"),
        (float("nan"), 2, "N/A"),
        (float("-inf"), 5, "N/A"),
        (float("inf"), 5, "∞"),
    ],
)
def test_numbers_have_fixed_places_without_trailing_zeros(
    value: float | None, places: int, text: str
) -> None:
    assert decimal(value, places) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 days 00:00:00"),
        (900_000, "0 days 00:15:00"),
        (86_400_000, "1 days 00:00:00"),
        (366 * 86_400_000 + 3_661_000, "366 days 01:01:01"),
        (1_500_000.4, "0 days 00:25:00"),
        (None, "N/A"),
    ],
)
def test_lengths_of_time_are_days_and_a_clock(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text


def test_a_ratio_without_a_denominator_prints_as_infinite() -> None:
    winning = World([100, 110, 121, 121, 133.1, 146.41], ["LLL.LL"], timeframe="1d")
    report = winning.report()
    values = rows(report.table_md)
    infinite = ["Profit Factor", "Sortino", "Calmar"]
    assert [values[label] for label in infinite] == ["∞"] * 3
    names = ["return_over_max_drawdown", "profit_factor", "sortino", "calmar"]
    assert report.metrics["infinite"] == names
    assert [report.metrics[name] for name in names] == [None] * 4
    (summary,) = summaries(winning, [0])
    assert summary.metrics["infinite"] == names


def test_without_an_infinite_figure_none_is_listed() -> None:
    assert "infinite" not in ONE_LOSS.report().metrics


def test_the_table_names_the_time_that_was_traded_not_the_one_asked_for() -> None:
    # The request asks for 2024; the candles are those of its first six hours.
    values = rows(ONE_LOSS.report().table_md)
    assert (values["Start"], values["End"]) == ("2024-01-01T00:00:00Z", "2024-01-01T06:00:00Z")
    assert values["Duration"] == "0 days 06:00:00"
