"""Whether a stage takes long is found out by computing it for a moment."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tasks import trial
from tasks.trial import TakesLong

SHARD = 5.0
GUESS = 1e6
"""Of no account where a part of a shard can be measured."""


class Batch(NamedTuple):
    processed: int
    total: int


class Stage:
    """Prepares planes, and then has a unit done each `pace` seconds of a clock of its own."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, units: int, pace: float, planes: float = 0.0
    ) -> None:
        self.now = 100.0
        self._units = units
        self._pace = pace
        self._planes = planes
        monkeypatch.setattr(trial.time, "monotonic", lambda: self.now)

    def batches(self) -> Iterator[Any]:
        for _ in range(4):
            self.now += self._planes / 4
            yield Batch(0, self._units)
        for done in range(1, self._units + 1):
            self.now += self._pace
            yield Batch(done, self._units)


def test_a_stage_of_a_shard_is_computed_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, units=50, pace=0.1)
    passed = list(trial.alone(stage.batches(), GUESS, SHARD))
    assert passed == [Batch(0, 50)] * 4 + [Batch(done, 50) for done in range(1, 51)]


@pytest.mark.parametrize("planes", [0.0, 7.0])
def test_a_longer_one_is_given_up_after_a_twentieth_of_a_shard(
    monkeypatch: pytest.MonkeyPatch, planes: float
) -> None:
    stage = Stage(monkeypatch, units=60, pace=0.1, planes=planes)
    with pytest.raises(TakesLong) as found:
        list(trial.alone(stage.batches(), GUESS, SHARD))
    assert stage.now == pytest.approx(100.0 + planes + 0.3)
    assert found.value.seconds == pytest.approx(6.0 + planes)


def test_how_long_planes_took_says_nothing_of_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, units=50, pace=0.09, planes=4.0)
    assert list(trial.alone(stage.batches(), GUESS, SHARD))[-1] == Batch(50, 50)


def test_it_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> Iterator[Any]:
        for done in range(1, 101):
            clock.now += 0.04 if done < 20 else 1.0
            yield Batch(done, 100)

    clock = Stage(monkeypatch, units=0, pace=0.0)
    assert list(trial.alone(batches(), GUESS, SHARD))[-1] == Batch(100, 100)


def test_of_a_shard_too_short_to_measure_the_guess_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, units=3, pace=1.0)
    assert list(trial.alone(stage.batches(), 0.9, 0.9))[-1] == Batch(3, 3)
    before = stage.now
    with pytest.raises(TakesLong) as found:
        list(trial.alone(stage.batches(), 0.91, 0.9))
    assert (stage.now, found.value.seconds) == (before, 0.91)
