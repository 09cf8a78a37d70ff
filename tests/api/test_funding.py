"""Funding as it is stored, at the door: how many rates there are is said, and none is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from api.candles import Candles
from api.coverage import check
from configs.environment import CandlesFolder
from engine.loading import load
from engine.request import RequestError, complete, parse
from storage.candles import Bars, FundingRates, Known, open_store
from tests.api.running import Api, running
from tests.engine.markets import priced, stock_hours
from tests.engine.requests import DEFAULTS, LIMITS
from tests.making_jobs import START_MS, changed, finish, store_candles

FIELD = "template.execution.funding_pct_per_8h"
STORED: dict[str, Any] = {"template__execution": {"funding_pct_per_8h": "stored"}}
JOBS = "/backtests/jobs"
HOUR = 3_600_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_candles(tmp_path_factory.mktemp("funded") / "candles")


@pytest.fixture(scope="module")
def shared_api(
    own_database: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    with running(own_database, folder, tmp_path_factory.mktemp("api")) as api:
        yield api


def pay(folder: Path, hours: list[int], percent: float = 0.01) -> None:
    times = np.array([START_MS + hour * HOUR for hour in hours])
    with open_store(CandlesFolder(folder)) as store:
        store.append_funding(1, "TESTUSDT", FundingRates(times, np.full(len(times), percent)))


def test_it_is_refused_without_a_rate_and_counted_with_some(
    api: Api, folder: Path, stored: psycopg.Connection[Any]
) -> None:
    user, asked = api.new_user(), changed(**STORED)
    estimate = user.post("/backtests/estimate", json=asked).json()
    refused = user.post(JOBS, json=asked)
    assert (estimate["accepted"], refused.status_code) == (False, 422)
    for (error,) in (estimate["errors"], refused.json()["error"]["details"]):
        assert error["path"] == FIELD
        assert "no funding rate of TESTUSDT (market 1) is stored from" in error["message"]

    pay(folder, [0, 8, 16])
    estimate = user.post("/backtests/estimate", json=asked).json()
    assert estimate["accepted"]
    assert estimate["request"]["template"]["execution"]["funding_pct_per_8h"] == "stored"
    assert estimate["coverage"]["funding"] == {
        "rates": 2,  # that of the first moment is due before any entry
        "first": "2024-01-01T08:00:00Z",
        "last": "2024-01-01T16:00:00Z",
        "longest_gap_start": "2024-01-01T16:00:00Z",
        "longest_gap_end": "2024-01-03T00:00:00Z",
    }
    (gap,) = [one for one in estimate["warnings"] if one["code"] == "funding_gap"]
    assert "from 2024-01-01T16:00:00Z to 2024-01-03T00:00:00Z" in gap["message"]
    job = user.post(JOBS, json=asked).json()
    assert job["coverage"]["funding"]["rates"] == 2
    assert gap in job["warnings"]
    assert "funding" not in user.post(JOBS, json=changed()).json()["coverage"]

    # What a worker has loaded are the candles that are shown, until the series changes.
    with open_store(CandlesFolder(folder)) as store:
        candles = load(parse(job["request"]), store.bars, store.known, store.funding)
    change = "UPDATE backtest_job_stage_a_shortlist SET candles_hash = %s WHERE job_id = %s"
    finish(stored, job["job_id"])
    stored.execute(change, [candles.content_hash(), job["job_id"]])
    assert user.get(f"{JOBS}/{job['job_id']}/bars").status_code == 200
    pay(folder, [8], percent=0.5)
    stored.execute(change, ["0" * 64, job["job_id"]])  # so that they are loaded again
    assert user.get(f"{JOBS}/{job['job_id']}/bars").status_code == 409
    stored.execute(change, [candles.content_hash(), job["job_id"]])
    assert user.get(f"{JOBS}/{job['job_id']}/bars").status_code == 409


def test_a_market_that_closes_has_funding_too(tmp_path: Path) -> None:
    """Its bars are loaded for an answer, before anybody asks for rates."""
    source = CandlesFolder(tmp_path)
    with open_store(source) as store:
        known = Known(timeframe_ms=HOUR, sessions=True)
        opens = stock_hours((2023, 12, 1), (2024, 2, 1))
        store.append(1, "TESTUSDT", [Bars.of(priced(opens))], known=known)
    asked = changed(**STORED, template__timeframe="1h")
    asked["time_range"]["end"] = "2024-01-05T00:00:00Z"
    request = parse(complete(asked, DEFAULTS, LIMITS))
    candles = Candles(source, cache_seconds=60)
    with pytest.raises(RequestError, match="no funding rate of TESTUSDT"):
        check(request, candles)
    pay(tmp_path, list(range(0, 96, 8)))
    found = check(request, candles).coverage
    candles.close()
    assert found is not None
    assert found["funding"]["rates"] == 10  # after the first open, 2024-01-01T15:00
