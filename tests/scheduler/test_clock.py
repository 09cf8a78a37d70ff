"""Somebody sets the time of day while the program runs."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

import apscheduler.schedulers.base
import pytest
import structlog

from scheduler import clock as module
from scheduler.clock import Clock

HOUR = 3600.0
YEARS = 56 * 365 * 24 * HOUR


class TimeOfDay:
    """What every clock of APScheduler and of ours shows, and may be set."""

    def __init__(self) -> None:
        self.shift = 0.0

    def time(self) -> float:
        return time.time() + self.shift

    def datetime(self) -> type[datetime]:
        outer = self

        class Shifted(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:
                return datetime.now(tz) + timedelta(seconds=outer.shift)

        return Shifted


@pytest.fixture
def time_of_day(monkeypatch: pytest.MonkeyPatch) -> TimeOfDay:
    time_of_day = TimeOfDay()
    shifted = time_of_day.datetime()
    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", shifted)
    monkeypatch.setattr(module, "datetime", shifted)
    monkeypatch.setattr(module, "wall", time_of_day.time)
    return time_of_day


class Calls:
    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def more(self, count: int) -> bool:
        """Wait for `count` calls from now on."""
        return self.reach(self.count + count)

    def reach(self, count: int) -> bool:
        """Wait for `count` calls since the beginning."""
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, timeout=10)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def clock(time_of_day: TimeOfDay, calls: Calls) -> Iterator[Clock]:
    clock = Clock([calls], 0.05)
    clock.start()
    assert calls.more(1)
    yield clock
    clock.stop()


@pytest.mark.parametrize("shift", [-HOUR, HOUR, -YEARS, YEARS])
def test_the_duties_go_on_when_the_time_of_day_is_set(
    clock: Clock, calls: Calls, time_of_day: TimeOfDay, shift: float
) -> None:
    time_of_day.shift = shift
    clock.check()
    assert calls.more(3)


def test_a_jump_is_met_again_after_another_one(
    clock: Clock, calls: Calls, time_of_day: TimeOfDay
) -> None:
    for shift in (-HOUR, 0.0, -HOUR, -2 * HOUR):
        time_of_day.shift = shift
        clock.check()
        assert calls.more(2)


def test_a_leap_forward_owes_no_run_for_each_second_in_between(
    clock: Clock, calls: Calls, time_of_day: TimeOfDay
) -> None:
    time_of_day.shift = YEARS
    assert calls.more(3)


def test_a_jump_is_told_once(clock: Clock, time_of_day: TimeOfDay) -> None:
    time_of_day.shift = -HOUR
    with structlog.testing.capture_logs() as lines:
        clock.check()
        clock.check()
    assert [(line["event"], line["seconds"]) for line in lines] == [("clock_jumped", -HOUR)]


@pytest.mark.parametrize(("shift", "planned_anew"), [(0.9, False), (-0.9, False), (-1.1, True)])
def test_what_is_a_jump(
    time_of_day: TimeOfDay, calls: Calls, shift: float, planned_anew: bool
) -> None:
    clock = Clock([calls], HOUR)
    clock.start()
    assert calls.reach(1)
    time_of_day.shift = shift
    clock.check()
    if planned_anew:
        assert calls.reach(2)
    else:
        (job,) = clock._scheduler.get_jobs()
        assert job.next_run_time > datetime.now(job.next_run_time.tzinfo) + timedelta(minutes=50)
    clock.stop()
