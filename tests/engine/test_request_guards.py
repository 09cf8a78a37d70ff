"""Requests that are well-formed and only too large: refused by arithmetic, with the numbers."""

from typing import Any

import pytest

from engine.request import Limits, RequestError, complete, parse
from tests.engine.requests import (
    DEFAULTS,
    LIMITS,
    RSI,
    SMA,
    WINDOW,
    document,
    explicit,
    ranged,
    refused,
    swapped,
    with_value,
)

GUARDED = {
    "axis of a billion": (
        with_value(f"{RSI}.signals.long_threshold", ranged(0, 1, 1e-9)),
        f"{RSI}.signals.long_threshold",
        ["1000000001", "600000"],
    ),
    "total of 10^15": (
        with_value(
            "template.indicator_grids",
            [
                {"indicator_id": "ma.sma", "params": {"window": ranged(1, 100_000, 1)}},
                {
                    "indicator_id": "momentum.rsi",
                    "params": {"window": ranged(2, 100_001, 1)},
                    "signals": {
                        "long_threshold": ranged(1, 100_000, 1),
                        "short_threshold": explicit(1),
                    },
                },
            ],
        ),
        "template.indicator_grids",
        ["1000000000000000", "600000"],
    ),
    "more pairs than the guard": (
        swapped(
            0,
            indicator_id="ma.cross",
            params={"fast": ranged(1, 1000, 1), "slow": ranged(1, 1000, 1)},
        ),
        f"{SMA}.params",
        ["1000000", "fast < slow", "600000"],
    ),
    "stage B": (
        {
            **with_value("template.risk_grid.sl", ranged(0.1, 100, 0.1)),
            "preselect": 1000,
        },
        "template.risk_grid",
        ["1000 preselected x 1000 risk = 1000000", "600000"],
    ),
    "risk axis of a billion": (
        with_value("template.risk_grid.sl", ranged(1, 10**9, 1)),
        "template.risk_grid.sl",
        ["1000000000", "600000"],
    ),
}


@pytest.mark.parametrize(("wrong", "path", "parts"), GUARDED.values(), ids=GUARDED.keys())
def test_a_request_that_is_only_too_large_is_guarded_with_its_numbers(
    wrong: Any, path: str, parts: list[str]
) -> None:
    error = refused(wrong)
    messages = [found.message for found in error.errors if found.path == path]
    assert messages, f"no error at {path}: {error}"
    assert all(part in messages[0] for part in parts), messages[0]
    assert error.code == "guard_exceeded"


def test_too_many_bytes_are_guarded_with_both_numbers() -> None:
    error = refused(document(), Limits(600_000, 1_000_000))
    (only,) = error.errors
    assert "1000000" in only.message
    assert "max_compute_bytes_total" in only.message
    assert error.code == "guard_exceeded"


def test_indexes_that_do_not_fit_63_bits_are_refused_even_without_a_guard() -> None:
    wrong = with_value(f"{RSI}.signals.long_threshold", ranged(0, 0.999999, 1e-7))
    wrong["template"]["indicator_grids"][1] |= {"params": {"window": ranged(2, 1_000_000, 1)}}
    wrong["template"]["indicator_grids"][0] |= {"params": {"window": ranged(1, 1_000_000, 1)}}
    error = refused(wrong, Limits(10**30, 10**30))
    assert "2^63" in str(error)
    assert error.code == "guard_exceeded"


def test_what_no_memory_could_hold_is_refused_by_arithmetic() -> None:
    wrong = with_value(f"{RSI}.signals.long_threshold", ranged(0, 1, 1e-15))
    wrong["template"]["risk_grid"] = {"sl": ranged(1e-15, 1, 1e-15)}
    assert "1000000000000001" in str(refused(wrong))


def test_a_mistake_outweighs_the_guard() -> None:
    wrong = with_value(WINDOW, ranged(1, 10**6, 1))
    wrong["top_k"] = 0
    assert refused(wrong).code == "invalid_request"


def test_a_forged_effective_request_meets_the_guard() -> None:
    effective = complete(document(), DEFAULTS, LIMITS)
    with pytest.raises(RequestError) as caught:
        parse(effective, Limits(max_variants_per_compute=10, max_compute_bytes_total=10**9))
    assert caught.value.code == "guard_exceeded"
