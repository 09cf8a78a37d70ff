"""What is done to the stack and when: made from the seed before anything runs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A fault: how often it is chosen, and for how long it lasts, in leases."""

    weight: float
    shortest: float = 0.0
    longest: float = 0.0


KINDS: dict[str, Kind] = {
    "kill worker": Kind(6),
    "kill master": Kind(3),
    "kill child": Kind(4),
    "kill child twice": Kind(1),
    "kill fork server": Kind(2),
    "kill scheduler": Kind(3),
    "kill owner of the unluckiest": Kind(4),
    "pause worker": Kind(5, 1.1, 2.5),
    "pause master and all": Kind(2, 1.1, 2.5),
    "pause briefly": Kind(3, 0.1, 0.7),
    "pause child past the stall limit": Kind(1, 0.0, 0.0),
    "pause scheduler": Kind(2, 0.5, 3.0),
    "terminate worker": Kind(4),
    "terminate group twice": Kind(2),
    "interrupt group": Kind(2),
    "terminate scheduler": Kind(2),
    "restart Postgres": Kind(2, 0.0, 0.5),
    "crash Postgres": Kind(2, 0.0, 0.5),
    "Postgres away for longer than the lease": Kind(0.5, 1.2, 1.6),
    "end sessions": Kind(4),
    "restart Redis": Kind(3, 0.0, 0.7),
    "empty Redis": Kind(5),
    "cut Postgres": Kind(4),
    "cut Redis": Kind(4),
    "blackhole Postgres": Kind(4, 0.3, 2.0),
    "blackhole Redis": Kind(3, 0.3, 2.0),
    "refuse Postgres": Kind(3, 0.2, 1.6),
    "refuse Redis": Kind(3, 0.2, 1.6),
    "swallow first statements": Kind(2, 0.3, 1.6),
    "lose the answer of a claim": Kind(4, 2.0, 2.0),
    "lose the answer of an end": Kind(4, 2.0, 2.0),
    "candles away": Kind(2, 0.2, 1.0),
    "repeat messages": Kind(4),
    "forge messages": Kind(3),
    "garbage messages": Kind(3),
    "cancel": Kind(6),
    "cancel repeatedly": Kind(2),
}


@dataclass(frozen=True)
class Planned:
    """One fault: when, which, which of the possible victims, and for how long, in seconds."""

    at: float
    kind: str
    rank: int
    seconds: float


def plan(seed: int, seconds: float, lease_seconds: float, pause: float) -> Iterator[Planned]:
    """Faults in order for `seconds`, on average one every `pause` seconds."""
    chance = random.Random(seed)
    names = list(KINDS)
    weights = [KINDS[name].weight for name in names]
    at = chance.expovariate(1 / pause)
    while at < seconds:
        (name,) = chance.choices(names, weights)
        kind = KINDS[name]
        lasts = chance.uniform(kind.shortest, kind.longest) * lease_seconds
        yield Planned(at, name, chance.randrange(1000), lasts)
        at += chance.expovariate(1 / pause)
