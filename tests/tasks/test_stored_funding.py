"""Jobs that pay funding as it is stored: from the store, through a worker, into the rows."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.environment import CandlesFolder
from engine import synthetic
from storage import results
from storage.candles import Bars, FundingRates, open_store
from storage.records import FailureCode, Job, State
from tasks.worker import Worker
from tests.faults.conftest import START_MS, small_sweep
from tests.faults.harness import Stack
from tests.tasks.answering import failure, run

HOUR = 3_600_000
DAYS = 20
# Every four hours, with holes, and longs are paid at times.
TIMES = [START_MS + 4 * HOUR * number for number in range(6 * DAYS) if number % 7]
RATES = [0.02 * (number % 5 - 1.5) for number in range(len(TIMES))]


@pytest.fixture
def funded(worker: Worker, tmp_path: Path) -> Worker:
    """A worker whose candles have funding."""
    source = CandlesFolder(tmp_path / "candles")
    with open_store(source) as store:
        minutes = synthetic.minutes(seed=7, start_ms=START_MS, count=DAYS * 1440)
        store.append(1, "BTCUSDT", [Bars.of(minutes)])
    pay(source, RATES)
    return replace(worker, candle_source=source)


def pay(source: Any, rates: list[float]) -> None:
    with open_store(source) as store:
        store.append_funding(1, "BTCUSDT", FundingRates(np.array(TIMES), np.array(rates)))


def asking(funding: Any) -> dict[str, Any]:
    document = small_sweep()
    document["template"]["execution"] = {"funding_pct_per_8h": funding}
    return document


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def candles_hash(stack: Stack, job: Job) -> str:
    stored = results.shortlist(stack.connection, job.job_id)
    assert stored is not None
    return stored.shortlist.candles_hash


def test_each_trade_pays_what_was_due_while_it_was_held(stack: Stack, funded: Worker) -> None:
    job = run(stack, funded, asking("stored"))

    assert job.state is State.SUCCEEDED, job.last_error
    assert job.coverage_json is not None
    begin, end = (ms(job.coverage_json["traded"][name]) for name in ("start", "end"))
    held = [at for at in TIMES if begin < at <= end]
    assert job.coverage_json["funding"]["rates"] == len(held) > 50
    paid = 0
    for trade in [trade for row in stack.rows(job.job_id) for trade in row.trades_json or ()]:
        entry, exit_ = ms(trade["entry_time"]), ms(trade["exit_time"])
        due = [rate for at, rate in zip(TIMES, RATES, strict=True) if entry < at <= exit_]
        sign = 1 if trade["direction"] == "long" else -1
        assert trade["carry"] == pytest.approx(
            sign * trade["entry_quote"] * sum(due) / 100, rel=1e-9, abs=1e-9
        )
        paid += len(due)
    assert paid > 10


def test_another_series_is_another_computation(stack: Stack, funded: Worker) -> None:
    first, again = (run(stack, funded, asking("stored")) for _ in range(2))
    assert candles_hash(stack, again) == candles_hash(stack, first)
    free = candles_hash(stack, run(stack, funded, asking(0)))

    pay(funded.candle_source, [rate + 0.01 for rate in RATES])
    other = run(stack, funded, asking("stored"))

    assert candles_hash(stack, other) not in (candles_hash(stack, first), free)
    assert candles_hash(stack, run(stack, funded, asking(0))) == free
    assert stack.rows(other.job_id) != stack.rows(first.job_id)


def test_a_job_without_a_rate_fails_and_says_what_to_import(stack: Stack, worker: Worker) -> None:
    job = run(stack, worker, asking("stored"))
    assert failure(job) == FailureCode.INVALID_REQUEST
    assert "no funding rate of BTCUSDT (market 1) is stored from" in (job.last_error or "")
