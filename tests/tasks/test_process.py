"""The fork server and the children it forks: what they say, and how they end."""

import signal
from typing import Any, TypeVar

import psutil
import pytest

from configs import settings
from configs.environment import CandlesFolder
from engine.request import Limits, complete, read_defaults
from tasks.messages import (
    Assignment,
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
from tasks.process import Child, ChildEnded, ForkServer
from tests.faults.conftest import small_sweep, sweep
from tests.faults.harness import gone, wait_for

Message = TypeVar("Message")
PLENTY = 8 * 2**30


def assignment(
    candles: CandlesFolder, document: dict[str, Any], memory_bytes: int = PLENTY
) -> Assignment:
    loaded = settings.load(None, {"ROEHUB_ENV": "test"})
    unlimited = Limits(max_variants_per_compute=2**40, max_compute_bytes_total=2**50)
    request = complete(document, read_defaults(*loaded.request_defaults()), unlimited)
    return Assignment(
        request=request,
        candle_source=candles,
        candle_retry_seconds=(),
        threads=1,
        memory_bytes=memory_bytes,
    )


def heard(child: Child) -> Any:
    message = child.receive(60)
    assert message is not None, "the child is silent"
    return message


def expect(child: Child, kind: type[Message]) -> Message:
    """Skip progress until something else is said."""
    while isinstance(message := heard(child), Progress):
        pass
    assert isinstance(message, kind), message
    return message


def listen_to_the_end(child: Child) -> None:
    while True:
        heard(child)


def test_a_child_tells_the_whole_story_in_order(
    fork_server: ForkServer, candles: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(candles, small_sweep()))
    assert expect(child, CandlesLoaded).preloaded
    child.send(Begin())
    best = expect(child, StageAFinished)
    assert (best.total, best.risk_total) == (1560, 6)
    assert expect(child, StageBFinished).reports == 5
    assert len(expect(child, Finished).rows) == 5
    with pytest.raises(ChildEnded):
        listen_to_the_end(child)
    assert child.end() == 0


def test_a_shortlist_spares_stage_a(fork_server: ForkServer, candles: CandlesFolder) -> None:
    first = fork_server.fork(assignment(candles, small_sweep()))
    expect(first, CandlesLoaded)
    first.send(Begin())
    shortlist = expect(first, StageAFinished).indexes
    expect(first, StageBFinished)
    rows = expect(first, Finished).rows
    first.end()

    second = fork_server.fork(assignment(candles, small_sweep()))
    expect(second, CandlesLoaded)
    second.send(Begin(shortlist))
    expect(second, StageBFinished)
    assert expect(second, Finished).rows == rows
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
    rows = expect(child, Snapshot).rows
    assert rows is not None
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.report_table_md is None and row.trades_json is None for row in rows)
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
