"""Being asked to stop reaches the program wherever the signal finds it."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from cli.signals import NUMBERS, Stopped, shielded, stoppable

SECONDS = 10


class Finalized:
    """Is asked to stop while Python finalizes it, where exceptions are swallowed."""

    def __del__(self) -> None:
        ask()


def ask(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)
    for _ in range(1000):  # Python runs the handler between two of its instructions
        pass


def wait() -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_stop_signal_becomes_stopped(number: signal.Signals) -> None:
    with pytest.raises(Stopped), stoppable():
        ask(number)


def test_a_second_signal_does_not_disturb_the_stopping() -> None:
    with stoppable():
        with pytest.raises(Stopped):
            ask()
        ask()


def test_a_signal_that_hits_a_finalizer_is_not_lost() -> None:
    with pytest.raises(Stopped), stoppable():
        finalize_and_wait()


def test_a_shielded_block_ends_before_stopped_is_raised() -> None:
    ended: list[str] = []
    with pytest.raises(Stopped), stoppable():
        shield(ask, ended)
    assert ended == ["shielded block"]


def test_a_shielded_block_is_not_interrupted_by_a_signal_that_hits_a_finalizer() -> None:
    ended: list[str] = []
    with pytest.raises(Stopped), stoppable():
        shield(finalize, ended)
    assert ended == ["shielded block"]


def finalize() -> None:
    item = Finalized()
    del item


def finalize_and_wait() -> None:
    finalize()
    wait()


def shield(action: Callable[[], None], ended: list[str]) -> None:
    with shielded():
        action()
        ended.append("shielded block")


def test_the_handlers_before_are_restored() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with stoppable():
        pass
    assert [signal.getsignal(number) for number in NUMBERS] == before
