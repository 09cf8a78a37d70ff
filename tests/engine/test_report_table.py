"""How numbers and lengths of time are written in a report."""

import pytest

from engine.report.table import decimal, duration


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
