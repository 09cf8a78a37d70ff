"""A child that serves orders about a stage: its answers merge to what it would compute alone."""

import json
from typing import Any

import pytest

from configs.environment import CandlesFolder
from storage.records import FailureCode, Stage
from tasks.messages import (
    Begin,
    CandlesLoaded,
    Compute,
    Divided,
    Failed,
    Finished,
    FromChild,
    Merge,
    Merged,
    MergeEnd,
    Progress,
    ShardFinished,
    Snapshot,
    SnapshotWanted,
    StageAFinished,
    StageBFinished,
    Stop,
    Stopped,
)
from tasks.process import Child, ForkServer
from tests.faults.conftest import small_sweep
from tests.tasks.children import assignment, expect, heard
from tests.tasks.sharing import SHORT, shared_in, shared_sweep


def begun(
    fork_server: ForkServer, candles: CandlesFolder, begin: Begin, shard_seconds: float = SHORT
) -> Child:
    child = fork_server.fork(assignment(candles, shared_sweep(), shard_seconds=shard_seconds))
    expect(child, CandlesLoaded)
    child.send(begin)
    return child


def told(child: Child, order: Any) -> FromChild:
    child.send(order)
    while isinstance(message := heard(child), Progress):
        pass
    return message


def served(child: Child, stage: Stage) -> list[bytes]:
    """Have the child compute all parts of a stage, the last one first; then it merges them."""
    divided = expect(child, Divided)
    assert divided.stage is stage
    results = []
    for part, _ in reversed(divided.pieces):
        finished = told(child, Compute(json.loads(json.dumps(part))))
        assert isinstance(finished, ShardFinished)
        results.append(finished.result)
    for result in results:
        assert told(child, Merge(result)) == Merged()
    child.send(MergeEnd())
    return results


def test_parts_that_were_ordered_merge_to_what_a_child_finds_alone(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    alone = begun(fork_server, candles, Begin(), shard_seconds=1e9)
    shortlist = expect(alone, StageAFinished)
    expect(alone, StageBFinished)
    document = expect(alone, Finished).document
    alone.end()

    child = begun(fork_server, candles, Begin())
    assert len(served(child, Stage.STAGE_A)) > 4
    found = expect(child, StageAFinished)
    assert found.indexes.tolist() == shortlist.indexes.tolist()
    assert found.twins.tolist() == shortlist.twins.tolist()
    assert (found.outcomes, found.total) == (shortlist.outcomes, shortlist.total)
    assert len(served(child, Stage.STAGE_B)) > 4
    assert expect(child, StageBFinished) == StageBFinished(reports=60)
    assert expect(child, Finished).document == document
    child.end()


def test_draws_are_searched_without_what_was_found(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    document = shared_in(Stage.VALIDATION)
    child = fork_server.fork(assignment(candles, document, shard_seconds=SHORT))
    expect(child, CandlesLoaded)
    child.send(Begin(planned=[Stage.VALIDATION], draws=True))
    divided = expect(child, Divided)
    assert (divided.stage, divided.before) == (Stage.VALIDATION, 0)
    part, units = divided.pieces[-1]
    assert part.keys() == {"draws", "streamed", "second"}
    child.send(Compute(json.loads(json.dumps(part))))
    said = []
    while not isinstance(message := heard(child), ShardFinished):
        said.append(message)
    assert said[-1] == Progress(Stage.VALIDATION, units, units)
    child.end()


def test_progress_is_of_the_part(fork_server: ForkServer, candles: CandlesFolder) -> None:
    child = begun(fork_server, candles, Begin())
    part, units = expect(child, Divided).pieces[0]
    child.send(Compute(part))
    last = heard(child)
    while isinstance(message := heard(child), Progress):
        last = message
    assert isinstance(message, ShardFinished)
    assert last == Progress(Stage.STAGE_A, units, units)
    child.end()


def test_a_stage_that_is_short_is_shared_where_it_was_planned_before(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = begun(fork_server, candles, Begin(planned=[Stage.STAGE_A]), shard_seconds=1e9)
    assert len(served(child, Stage.STAGE_A)) == 1
    expect(child, StageAFinished)
    expect(child, StageBFinished)  # only the first stage was
    child.end()


def test_snapshots_are_of_what_was_merged(fork_server: ForkServer, candles: CandlesFolder) -> None:
    child = begun(fork_server, candles, Begin())
    served(child, Stage.STAGE_A)
    expect(child, StageAFinished)
    divided = expect(child, Divided)
    assert told(child, SnapshotWanted()) == Snapshot(None)  # there is nothing to show
    shown = []
    for part, _ in (divided.pieces[-1], divided.pieces[0]):  # the best come first
        finished = told(child, Compute(part))
        assert isinstance(finished, ShardFinished)
        told(child, Merge(finished.result))
        for _ in range(2):
            snapshot = told(child, SnapshotWanted())
            assert isinstance(snapshot, Snapshot)
            shown.append(snapshot.document)
    assert (shown[1], shown[3]) == (None, None)
    first, both = (json.loads(shown[at] or "") for at in (0, 2))
    assert [row["rank"] for row in both] == list(range(1, len(both) + 1))
    assert first != both
    child.end()


def test_a_child_stops_in_a_part_and_between_parts(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = begun(fork_server, candles, Begin())
    divided = expect(child, Divided)
    child.send(Compute(divided.pieces[0][0]))
    assert isinstance(told(child, Stop()), ShardFinished | Stopped)
    assert child.exit_code(10) == 0
    child.end()


@pytest.mark.parametrize(
    "order", [Compute({"streamed": [0, 10**9], "second": [0, 1]}), Merge(b"what is this"), Begin()]
)
def test_an_order_that_makes_no_sense_fails(
    fork_server: ForkServer, candles: CandlesFolder, order: Any
) -> None:
    child = begun(fork_server, candles, Begin())
    expect(child, Divided)
    failed = told(child, order)
    assert isinstance(failed, Failed)
    assert failed.code is FailureCode.UNEXPECTED_ERROR
    child.end()


def test_a_small_job_is_offered_to_nobody(fork_server: ForkServer, candles: CandlesFolder) -> None:
    child = fork_server.fork(assignment(candles, small_sweep(), shard_seconds=5.0))
    expect(child, CandlesLoaded)
    child.send(Begin())
    expect(child, StageAFinished)
    expect(child, StageBFinished)
    child.end()
