"""Finding out whether a stage takes long, by computing it for a moment.

How often positions change decides how fast a sweep goes, as much as how many variants there are,
and nobody knows that before: what is known of the machine is a guess to within a factor of ten.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from engine.divided import Step

StepT = TypeVar("StepT", bound="Step")

SHARE = 0.05
"""The part of a shard that is computed before it is decided."""

LEAST_SECONDS = 0.05
"""What takes less is no measurement."""


class TakesLong(Exception):
    """A stage takes one worker `seconds`: too long for one."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the stage takes {seconds:.1f} s")
        self.seconds = seconds


def alone(steps: Iterator[StepT], guess: float, shard_seconds: float) -> Iterator[StepT]:
    """Pass on the steps of a stage; raises TakesLong if more is left than a shard.

    That is decided once, after a part of a shard: so what is computed in vain is small beside the
    stage. Where a shard is too short to measure a part of it, the guess is believed.
    """
    if shard_seconds * SHARE >= LEAST_SECONDS:
        return _tried(steps, shard_seconds)
    if guess > shard_seconds:
        raise TakesLong(guess)
    return steps


def _tried(steps: Iterator[StepT], shard_seconds: float) -> Iterator[StepT]:
    begin = first = time.monotonic()
    for step in steps:
        now = time.monotonic()
        if step.processed == 0:  # planes are prepared, which goes at a speed of its own
            first = now
        elif now - first >= SHARE * shard_seconds:
            left = (now - first) / step.processed * (step.total - step.processed)
            if left > shard_seconds:
                raise TakesLong(now - begin + left)
            yield step
            break
        yield step
    yield from steps
