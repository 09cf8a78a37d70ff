"""A worker that makes all statements of a job's life and computes nothing.

`python -m dramatiq benchmarks.noop_worker` is `tasks.backtest` but for the child: messages that are
made up take its place, so everything else is what runs in production. A job takes
`BENCHMARK_JOB_SECONDS`, by default none.
"""

import dataclasses
import os
import time
from collections import deque
from typing import Any, cast
from uuid import UUID

import dramatiq
import numpy as np

from engine.metric_names import METRICS
from storage import result_texts
from storage.records import TopVariant
from tasks import runner
from tasks.backtest import boot, broker
from tasks.messages import (
    Assignment,
    CandlesLoaded,
    Finished,
    FromChild,
    StageAFinished,
    StageBFinished,
    ToChild,
)
from tasks.process import ForkServer
from tasks.wake_up import ACTOR_NAME, QUEUE
from tasks.worker import Worker

JOB_SECONDS = "BENCHMARK_JOB_SECONDS"

COVERAGE: dict[str, Any] = {"bars_expected": 2880, "bars_present": 2880}
"""What the made-up candles cover; jobs that were submitted with it have it written already."""

_ROWS = [
    TopVariant(
        rank=rank,
        variant_key=f"{rank:064}",
        indicator_variant_key=f"{rank:064}",
        variant_index=rank,
        total_return_pct=12.5 / rank,
        metrics_json=dict.fromkeys(METRICS, 12.345678901234567),
        payload_json={"rank": rank},
        report_table_md="|Metric|Value|\n|---|---|\n",
        trades_json=None,
        equity_json=None,
    )
    for rank in range(1, 5)
]
_HISTOGRAM: dict[str, Any] = {"bins": [[65503, 8]], "undefined": 0, "infinite": 0}
_OUTCOMES: dict[str, Any] = {
    "tried": 8,
    "eligible": 8,
    "profitable": 4,
    "beat_benchmark": 2,
    "ruined": 0,
    "benchmark_return_pct": 1.5,
    "total_return_pct": _HISTOGRAM,
    "primary": _HISTOGRAM | {"metric": "total_return_pct"},
}
_FOUND = StageAFinished(
    indexes=np.arange(4), twins=np.ones(4, np.int64), outcomes=_OUTCOMES, total=8, risk_total=2
)
_SAYS: tuple[FromChild, ...] = (
    CandlesLoaded("0" * 64, COVERAGE, base_variants=8, preloaded=True),
    _FOUND,
    StageBFinished(reports=len(_ROWS)),
    Finished(result_texts.rows(_ROWS, reports=True)),
)


class NoChild:
    """Says what a child says, from memory."""

    def __init__(self, seconds: float) -> None:
        self._messages = deque(_SAYS)
        self._first_at = time.monotonic() + seconds

    def send(self, message: ToChild) -> None:
        """Hear nothing."""

    def receive(self, timeout: float) -> FromChild | None:
        """Next message; the job's seconds pass before the first."""
        if (left := self._first_at - time.monotonic()) > 0:
            time.sleep(min(left, timeout))
            return None
        return self._messages.popleft()

    def kill(self) -> None:
        """End."""

    def end(self) -> int:
        """End with this code."""
        return 0


class NoForkServer:
    """Has a child for each job at once."""

    loaded = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def fork(self, assignment: Assignment) -> NoChild:  # noqa: ARG002
        """Return the child of one job."""
        return NoChild(self._seconds)


def without_children(worker: Worker, seconds: float = 0.0) -> Worker:
    """Return the same worker whose jobs compute nothing for `seconds`."""
    return dataclasses.replace(worker, fork_server=cast(ForkServer, NoForkServer(seconds)))


# Importing tasks.backtest has declared its actor, whose place this one takes.
broker.actors.pop(ACTOR_NAME)


@dramatiq.actor(broker=broker, actor_name=ACTOR_NAME, queue_name=QUEUE)
def backtest(job_id: str) -> None:
    """Make all statements of one job's life."""
    seconds = float(os.environ.get(JOB_SECONDS, "0"))
    runner.run(UUID(job_id), without_children(boot.worker, seconds))
