"""How the stage of a job is shared, as whoever looks at the job is told: in bounded space.

It is read with the job itself, by the statement of `storage.watching`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from storage.plan_records import ShardState
from storage.records import Stage


class Run(NamedTuple):
    """So many neighbouring shards that are alike; `owner` computes them where they are running."""

    state: ShardState
    owner: str | None
    length: int


class Share(NamedTuple):
    """How many shards of the plan an owner computes now, and how many it has done."""

    owner: str
    running: int
    done: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """The plan of a stage at one moment.

    `strip` is all its shards in their order, and `shares` those of everybody who has computed one
    or does, in no order. Nobody computes a shard whose lease has run out: here it is open.
    """

    stage: Stage
    strip: Sequence[Run]
    shares: Sequence[Share]
    processed_units: int
    total_units: int

    @classmethod
    def of(cls, stage: Stage, found: Mapping[str, Any]) -> "Sharing":
        """Make it of what the part `sharing_source` has found."""
        return cls(
            stage,
            [Run(ShardState(state), owner, length) for state, owner, length in found["strip"]],
            [Share(*share) for share in found["shares"] or ()],
            found["processed_units"],
            found["total_units"],
        )

    @property
    def states(self) -> dict[ShardState, int]:
        """How many shards are in each state."""
        return {
            state: sum(run.length for run in self.strip if run.state is state)
            for state in ShardState
        }
