"""Children that compute with longer bars, with sessions, and without volume."""

import json
from typing import Any

import pytest

from configs.environment import CandlesFolder
from storage.candles import Bars, Known, open_store
from storage.records import FailureCode
from tasks.messages import Begin, CandlesLoaded, Failed, Finished, StageAFinished, StageBFinished
from tasks.process import ForkServer
from tests.engine.markets import HOUR, priced, stock_hours
from tests.tasks.children import assignment, expect

OPENS = stock_hours((2023, 6, 1), (2024, 12, 31))
OBV = {
    "indicator_id": "volume.obv",
    "signals": {"long_delta_periods": 1, "short_delta_periods": 1},
}
SMA = {"indicator_id": "ma.sma", "params": {"window": [5, 9, 20]}}


def asking(timeframe: str = "1h", grid: dict[str, Any] = SMA) -> dict[str, Any]:
    return {
        "time_range": {"start": "2024-01-01", "end": "2025-01-01"},
        "template": {
            "instrument_id": {"market_id": 1, "symbol": "AAPL"},
            "timeframe": timeframe,
            "indicator_grids": [grid],
        },
        "ranking": {"min_trades": 0},
        "top_k": 3,
    }


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> CandlesFolder:
    folder = CandlesFolder(tmp_path_factory.mktemp("stock"))
    with open_store(folder) as store:
        known = Known(timeframe_ms=HOUR, sessions=True, has_volume=False)
        store.append(1, "AAPL", [Bars.of(priced(OPENS))], known=known)
    return folder


def test_a_child_trades_the_bars_there_are_and_no_others(
    fork_server: ForkServer, stock: CandlesFolder
) -> None:
    child = fork_server.fork(assignment(stock, asking()))

    loaded = expect(child, CandlesLoaded)

    year = [at for at in OPENS if at >= 1_704_067_200_000]
    assert loaded.coverage["bars_expected"] == loaded.coverage["bars_present"] == len(year)
    assert loaded.coverage["warmup_present"] == loaded.coverage["warmup_bars"] > 0
    child.send(Begin())
    expect(child, StageAFinished)
    expect(child, StageBFinished)
    rows = json.loads(expect(child, Finished).document)
    child.end()
    times = {at // 1000 for at, _ in rows[0]["equity_json"]}
    assert times <= {at // 1000 + 3600 for at in year}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (asking("15m"), "template.timeframe"),
        (asking(grid=OBV), "template.indicator_grids"),
    ],
)
def test_a_child_refuses_what_the_instrument_cannot_give(
    fork_server: ForkServer, stock: CandlesFolder, document: dict[str, Any], path: str
) -> None:
    child = fork_server.fork(assignment(stock, document))

    failed = expect(child, Failed)

    child.end()
    assert failed.code is FailureCode.INVALID_REQUEST
    assert failed.details is not None
    assert [one["path"] for one in failed.details["errors"]] == [path]
    assert "AAPL" in failed.message
