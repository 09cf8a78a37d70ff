"""What a worker process and its computing child say to each other over their pipe."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.environment import CandlesFolder, ClickHouseServer
from engine.request import Limits
from storage.records import FailureCode, Stage

Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the child is to compute, from where, and on how much of the machine.

    `request` is as it is stored; the child reads it, within `limits`. `candle_retry_seconds` are
    the pauses after which it asks a silent candle source once more. A stage that takes one worker
    longer than `shard_seconds` is cut into parts of that length, for about so many `workers`.
    """

    request: Mapping[str, Any]
    limits: Limits
    candle_source: CandlesFolder | ClickHouseServer
    candle_retry_seconds: tuple[float, ...]
    threads: int
    memory_bytes: int
    shard_seconds: float
    workers: int


# Child to parent, in this order (Retrying, Progress and Snapshot any number of times). After
# `Divided` the child waits for orders, and answers them by `ShardFinished` and `Merged`.


@dataclass(frozen=True, slots=True)
class Retrying:
    """The candle source does not answer; the child will ask again."""

    reason: str


@dataclass(frozen=True, slots=True)
class CandlesLoaded:
    """The arrays are there; the child waits for `Begin`. Stage A has `base_variants` units.

    `coverage` says what of the request's range they cover, in JSON types.
    """

    candles_hash: str
    coverage: Mapping[str, Any]
    base_variants: int
    preloaded: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """`processed` of `total` units of the stage, or of its part that was ordered, are done."""

    stage: Stage
    processed: int
    total: int


@dataclass(frozen=True, slots=True)
class Divided:
    """The stage may be shared: `pieces` are its parts, each in JSON types and with its units.

    So many units of the stage were done `before`, and are in no part. The child computes and merges
    what is ordered, until `MergeEnd`.
    """

    stage: Stage
    pieces: Sequence[tuple[Mapping[str, Any], int]]
    before: int = 0


@dataclass(frozen=True, slots=True)
class ShardFinished:
    """Answer to `Compute`: what the part has found, as bytes that merge."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """Answer to `Merge`."""


@dataclass(frozen=True, slots=True)
class StageAFinished:
    """The shortlist, in rank order: base indexes, out of `total` base variants.

    `twins` says how many base variants each of them stands for, `outcomes` what became of all, in
    JSON types.
    """

    indexes: Indexes
    twins: Indexes
    outcomes: Mapping[str, Any]
    total: int
    risk_total: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Answer to `SnapshotWanted`: the best so far as `storage.result_texts.rows`.

    None when it would be the last one again.
    """

    document: str | None


@dataclass(frozen=True, slots=True)
class StageBFinished:
    """The top list is final: `reports` of its variants are to be written.

    With `validated` its search is asked about first, and `Validated` comes next.
    """

    reports: int
    validated: bool = False


@dataclass(frozen=True, slots=True)
class Validated:
    """All that was asked of the search is known; `Finished` brings it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The final rows with their reports, as `storage.result_texts.rows`; the last message.

    `answers` is what was asked of the search, as `storage.result_texts.answers`; None where nothing
    was. The child makes the texts, so that the worker process holds them once and nothing besides.
    """

    document: str
    answers: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The computation cannot be done. `message` is for the user, `trace` for the log."""

    code: FailureCode
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """`Stop` was obeyed."""


FromChild = (
    Retrying
    | CandlesLoaded
    | Progress
    | Divided
    | ShardFinished
    | Merged
    | StageAFinished
    | Snapshot
    | StageBFinished
    | Validated
    | Finished
    | Failed
    | Stopped
)


# Parent to child.


@dataclass(frozen=True, slots=True)
class Begin:
    """Compute; a `shortlist` of an earlier attempt, with its `twins`, spares stage A.

    Stages that are `planned` have a plan already: they are shared, however short they are. With
    `draws` nothing but the draws of the validation is computed, which need nothing that was found.
    """

    shortlist: Indexes | None = None
    twins: Indexes | None = None
    planned: Collection[Stage] = ()
    draws: bool = False


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute a part of the stage that was `Divided`."""

    part: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merge:
    """Take in what a part of the stage has found; in any order, each once."""

    result: bytes


@dataclass(frozen=True, slots=True)
class MergeEnd:
    """All parts are merged: go on as if the stage had been computed here."""


@dataclass(frozen=True, slots=True)
class SnapshotWanted:
    """Send a `Snapshot` at the next batch boundary of stage B, or of what is merged of it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop at the next batch boundary."""


ToChild = Begin | Compute | Merge | MergeEnd | SnapshotWanted | Stop
