"""Bounds of what a job stores."""

from dataclasses import replace
from typing import Any

import pytest

from engine.request import Defaults, RequestError, complete, parse, request_hash
from tests.engine.requests import DEFAULTS, LIMITS, document, with_value

MIB = 2**20


def refused(wrong: dict[str, Any], **defaults: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        complete(wrong, changed(**defaults), LIMITS)
    return caught.value


def changed(**defaults: Any) -> Defaults:
    return replace(DEFAULTS, **defaults)


def test_the_budget_is_part_of_the_effective_request_and_of_its_hash() -> None:
    one = complete(document(), changed(result_bytes_max=5 * MIB), LIMITS)
    two = complete(document(), changed(result_bytes_max=6 * MIB), LIMITS)
    assert (one["result_bytes_max"], two["result_bytes_max"]) == (5 * MIB, 6 * MIB)
    assert request_hash(one) != request_hash(two)
    assert parse(one).result_bytes_max == 5 * MIB


def test_a_request_may_lower_the_budget_to_any_size() -> None:
    for size in (1, 5 * MIB, 32 * MIB):
        wanted = with_value("result_bytes_max", size)
        assert complete(wanted, DEFAULTS, LIMITS)["result_bytes_max"] == size


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (32 * MIB + 1, "must be at most 33554432 (jobs.result_bytes_max), got 33554433"),
        (0, "at least 1"),
        (-1, "at least 1"),
        (2.5, "integer"),
        ("1", "integer"),
        (None, "integer"),
        (True, "integer"),
    ],
)
def test_a_budget_out_of_bounds_is_refused(size: Any, part: str) -> None:
    (error,) = refused(with_value("result_bytes_max", size)).errors
    assert error.path == "result_bytes_max"
    assert part in error.message


def test_a_stored_request_keeps_its_budget_when_the_configured_one_is_lowered() -> None:
    effective = complete(document(), changed(result_bytes_max=99 * MIB), LIMITS)
    assert parse(effective).result_bytes_max == 99 * MIB


def test_a_stored_request_that_keeps_more_is_still_read() -> None:
    effective = complete(document(), DEFAULTS, LIMITS) | {"top_k": 5000}
    assert parse(effective).top_k == 5000
