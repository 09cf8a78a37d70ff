"""Pauses between tries."""

from itertools import islice

from storage.retry import backoff


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(backoff(0.1, 1.0), 6)) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_nobody_waits_longer_than_five_seconds_unless_told() -> None:
    pauses = list(islice(backoff(), 20))
    assert pauses[0] == 0.1
    assert max(pauses) == pauses[-1] == 5.0
