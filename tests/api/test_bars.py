"""The prices of a job, few enough to draw."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from api.charts import drawn
from configs.environment import CandlesFolder
from engine import synthetic
from engine.candles import Candles
from engine.loading import load
from engine.request import parse
from storage.candles import Bars, open_store
from tests.api.running import Api, Caller, running
from tests.making_jobs import REQUEST, START_MS, finish, store_candles

JOBS = "/backtests/jobs"
STEP = 900_000


@pytest.fixture(scope="module")
def owner(shared_api: Api) -> Caller:
    return shared_api.new_user()


@pytest.fixture(scope="module")
def job(owner: Caller) -> dict[str, Any]:
    answer = owner.post(JOBS, json=REQUEST)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def traded(candles: Path, job: dict[str, Any]) -> Candles:
    """The bars that the job trades, without those of the warm-up."""
    with open_store(CandlesFolder(candles)) as store:
        return load(parse(job["request"]), store.bars)


def bars(owner: Caller, job: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = owner.get(f"{JOBS}/{job['job_id']}/bars", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_all_traded_bars_come_with_their_close_times(
    owner: Caller, job: dict[str, Any], traded: Candles
) -> None:
    found = bars(owner, job)
    assert found["every"] == 1
    assert found["times"] == [START_MS + STEP * number for number in range(1, 193)]
    for name in ("open", "high", "low", "close", "volume"):
        assert found[name] == getattr(traded, name)[traded.first :].tolist()


def test_fewer_points_keep_the_extremes_in_their_place(
    owner: Caller, job: dict[str, Any], traded: Candles
) -> None:
    found = bars(owner, job, points=50)
    assert found["every"] == 4
    at = slice(traded.first, None)
    groups = np.arange(192) // 4
    for number in range(48):
        inside = groups == number
        assert found["high"][number] == traded.high[at][inside].max()
        assert found["low"][number] == traded.low[at][inside].min()
        assert found["open"][number] == traded.open[at][inside][0]
        assert found["close"][number] == traded.close[at][inside][-1]
        assert math.isclose(found["volume"][number], traded.volume[at][inside].sum())


@pytest.mark.parametrize("points", [1, 2, 7, 191, 192, 4000])
def test_there_are_never_more_points_than_asked_for(
    owner: Caller, job: dict[str, Any], traded: Candles, points: int
) -> None:
    found = bars(owner, job, points=points)
    assert len(found["times"]) == len(found["high"]) <= points
    assert found["times"][-1] == START_MS + 192 * STEP
    assert max(found["high"]) == traded.high[traded.first :].max()


def test_a_part_of_the_range_is_chosen_by_time_or_by_milliseconds(
    owner: Caller, job: dict[str, Any]
) -> None:
    query = {"from": "2024-01-01T06:00:00Z", "to": "2024-01-01T07:00:00Z"}
    found = bars(owner, job, **query)
    begin = START_MS + 6 * 3_600_000
    assert found["times"] == [begin + STEP * number for number in range(1, 5)]
    assert bars(owner, job, **{"from": begin, "to": begin + 4 * STEP}) == found


def test_a_part_without_bars_is_empty(owner: Caller, job: dict[str, Any]) -> None:
    found = bars(owner, job, **{"from": "2025-01-01"})
    assert (found["times"], found["high"], found["every"]) == ([], [], 1)


def test_a_range_that_ends_before_it_begins_is_refused(owner: Caller, job: dict[str, Any]) -> None:
    answer = owner.get(f"{JOBS}/{job['job_id']}/bars", params={"from": 2, "to": 1})
    assert answer.json()["error"]["details"][0]["path"] == "to"


def test_other_candles_than_the_jobs_are_not_shown(
    owner: Caller, stored: psycopg.Connection[Any], traded: Candles
) -> None:
    job_id = owner.post(JOBS, json=REQUEST).json()["job_id"]
    finish(stored, job_id)
    change = "UPDATE backtest_job_stage_a_shortlist SET candles_hash = %s WHERE job_id = %s"
    stored.execute(change, ["0" * 64, job_id])
    answer = owner.get(f"{JOBS}/{job_id}/bars")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "candles_changed")
    stored.execute(change, [traded.content_hash(), job_id])
    assert owner.get(f"{JOBS}/{job_id}/bars").status_code == 200


def test_candles_of_a_job_before_are_not_taken_for_those_of_a_later_job(
    own_database: str, tmp_path: Path
) -> None:
    folder = store_candles(tmp_path / "candles")
    conn = psycopg.connect(own_database, autocommit=True)
    with conn, running(own_database, folder, tmp_path / "api") as api:
        first = api.post(JOBS, json=REQUEST).json()
        finish(conn, first["job_id"], folder)
        assert api.get(f"{JOBS}/{first['job_id']}/bars").status_code == 200
        minutes = synthetic.minutes(seed=8, start_ms=START_MS, count=1440)
        with open_store(CandlesFolder(folder)) as store:
            store.append(1, "TESTUSDT", [Bars.of(minutes)])
        second = api.post(JOBS, json=REQUEST).json()
        finish(conn, second["job_id"], folder)
        assert api.get(f"{JOBS}/{second['job_id']}/bars").status_code == 200
        answer = api.get(f"{JOBS}/{first['job_id']}/bars")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "candles_changed")


def test_drawing_takes_no_more_than_the_traded_bars(traded: Candles) -> None:
    assert len(drawn(traded, None, None, 4000).times) == traded.traded_bars
