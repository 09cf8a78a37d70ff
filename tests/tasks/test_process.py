"""The fork server and the children it forks: what they say, and how they end."""

import json
import signal

import psutil
import pytest

from configs.environment import CandlesFolder
from tasks.messages import (
    Begin,
    CandlesLoaded,
    Finished,
    Progress,
    Snapshot,
    SnapshotWanted,
    StageAFinished,
    StageBFinished,
    Stop,
    Stopped,
)
from tasks.process import ChildDied, ChildEnded, ForkServer
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import gone, wait_for
from tests.tasks.children import assignment, expect, heard, listen_to_the_end


def test_a_child_tells_the_whole_story_in_order(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, small_sweep()))
    assert expect(child, CandlesLoaded).preloaded
    child.send(Begin())
    best = expect(child, StageAFinished)
    assert (best.total, best.risk_total) == (1560, 6)
    assert len(best.twins) == len(best.indexes)
    assert expect(child, StageBFinished).reports == 5
    assert len(json.loads(expect(child, Finished).document)) == 5
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    assert child.end() == 0


def test_a_shortlist_spares_stage_a(fork_server: ForkServer, candles: CandlesFolder) -> None:
    first = fork_server.fork(assignment(candles, small_sweep()))
    expect(first, CandlesLoaded)
    first.send(Begin())
    stage_a = expect(first, StageAFinished)
    expect(first, StageBFinished)
    document = expect(first, Finished).document
    first.end()

    second = fork_server.fork(assignment(candles, small_sweep()))
    expect(second, CandlesLoaded)
    second.send(Begin(stage_a.indexes, stage_a.twins))
    expect(second, StageBFinished)
    assert expect(second, Finished).document == document
    second.end()


def test_a_child_obeys_at_the_next_batch_boundary(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    expect(child, CandlesLoaded)
    child.send(Begin())
    assert isinstance(heard(child), Progress)
    child.send(Stop())
    while not isinstance(heard(child), Stopped):
        pass
    assert child.exit_code(10) == 0
    child.end()


def test_a_snapshot_is_sent_when_asked_for_and_only_when_it_is_new(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    expect(child, CandlesLoaded)
    child.send(Begin())
    expect(child, StageAFinished)
    child.send(SnapshotWanted())
    document = expect(child, Snapshot).document
    assert document is not None
    rows = json.loads(document)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert not any("report_table_md" in row or "trades_json" in row for row in rows)
    child.end()


def test_a_killed_child_is_heard_of_with_its_signal(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    child.kill()
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    assert child.end() == -signal.SIGKILL
    child.send(Stop())  # nobody is there to mind


def test_stop_signals_do_not_reach_a_child(fork_server: ForkServer, candles: CandlesFolder) -> None:
    child = fork_server.fork(assignment(candles, small_sweep()))
    expect(child, CandlesLoaded)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        psutil.Process(child.pid).send_signal(number)
    child.send(Begin())
    expect(child, StageAFinished)
    child.end()


def test_a_new_server_takes_the_place_of_a_killed_one_and_its_children(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    process = psutil.Process(child.pid)
    server = process.parent()
    assert server is not None

    server.kill()

    gone([process])
    wait_for(lambda: fork_server.died, "the end of the server to be noticed")
    child.end()
    fork_server.wait()
    assert not fork_server.died
    after = fork_server.fork(assignment(candles, small_sweep()))
    assert expect(after, CandlesLoaded).preloaded
    after.end()


def test_the_end_of_the_fork_server_is_no_end_of_the_job(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, sweep()))
    server = psutil.Process(child.pid).parent()
    assert server is not None
    server.kill()
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    child.end()
    with pytest.raises(ChildDied) as died:
        child.failure()
    assert died.value.failure.details == {"signal": "SIGKILL", "process": "fork server"}

    wait_for(lambda: not fork_server.loaded, "the end of the server to be noticed")
    with pytest.raises(ChildDied):
        fork_server.fork(assignment(candles, sweep()))
    fork_server.wait()  # there is one server for all tests
