"""Memory of failed sign-ins has a bound."""

import pytest

from api.auth import SignIns
from api.errors import ApiError


def test_the_addresses_that_failed_longest_ago_are_forgotten() -> None:
    sign_ins = SignIns(1)
    for number in range(SignIns.ADDRESSES + 1):
        sign_ins.failed(f"10.{number}")
    sign_ins.check("10.0")
    with pytest.raises(ApiError):
        sign_ins.check(f"10.{SignIns.ADDRESSES}")
