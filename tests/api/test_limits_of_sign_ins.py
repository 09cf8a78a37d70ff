"""Failed sign-ins are counted before they have failed, and memory of them has a bound."""

import pytest

from api.auth import SignIns
from api.errors import ApiError


def test_the_addresses_that_failed_longest_ago_are_forgotten() -> None:
    sign_ins = SignIns(1)
    for number in range(SignIns.ADDRESSES + 1):
        sign_ins.tries(f"10.{number}")
    sign_ins.tries("10.0")
    with pytest.raises(ApiError):
        sign_ins.tries(f"10.{SignIns.ADDRESSES}")


def test_tries_that_are_still_being_looked_at_count() -> None:
    sign_ins = SignIns(2)
    sign_ins.tries("10.0")
    sign_ins.tries("10.0")
    with pytest.raises(ApiError):
        sign_ins.tries("10.0")


def test_a_try_that_passed_does_not_count() -> None:
    sign_ins = SignIns(1)
    for _ in range(3):
        sign_ins.tries("10.0")
        sign_ins.passed("10.0")
