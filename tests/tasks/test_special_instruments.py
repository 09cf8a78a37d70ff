"""Children that compute with longer bars, with sessions, and without volume."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs.environment import CandlesFolder
from storage.candles import Bars, Known, open_store
from storage.candles.importing import Choices
from storage.candles.ingest import import_files
from storage.records import FailureCode
from tasks.messages import Begin, CandlesLoaded, Failed, Finished, StageAFinished, StageBFinished
from tasks.process import ForkServer
from tests.engine.markets import DAY, HOUR, ms, priced, stock_hours, working_days
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


HALF = HOUR // 2
HALF_PAST = [at - HALF for at in stock_hours((2023, 6, 1), (2024, 12, 31))]
EVENINGS = [at + 22 * HOUR for at in working_days(ms(2019, 12, 30), ms(2024, 12, 31))]


@pytest.mark.parametrize(
    ("opens", "timeframe", "step"),
    [(HALF_PAST, "1h", HOUR), (HALF_PAST, "4h", 4 * HOUR), (EVENINGS, "1d", DAY)],
)
def test_an_imported_file_of_a_market_that_closes_is_swept_without_a_bar_made_up(
    fork_server: ForkServer, tmp_path: Path, opens: list[int], timeframe: str, step: int
) -> None:
    bars = priced(opens)
    columns = (bars.ts_open, bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = [",".join(map(str, row)) for row in zip(*(c.tolist() for c in columns), strict=True)]
    file = tmp_path / "x.csv"
    file.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    folder = CandlesFolder(tmp_path / "store")
    with open_store(folder) as store:
        report = import_files(store, [file], 1, "aapl", Choices(sessions=True))
    assert report.bars == len(opens)

    child = fork_server.fork(assignment(folder, asking(timeframe)))
    loaded = expect(child, CandlesLoaded)
    child.send(Begin())
    expect(child, StageAFinished)
    expect(child, StageBFinished)
    rows = json.loads(expect(child, Finished).document)
    child.end()

    phase = opens[0] % min(step, DAY if timeframe == "1d" else HOUR)
    buckets = {(at - phase) // step * step + phase for at in opens}
    year = [at for at in buckets if at >= ms(2024, 1, 1) and at + step <= ms(2025, 1, 1)]
    assert loaded.coverage["bars_expected"] == loaded.coverage["bars_present"] == len(year)
    assert loaded.coverage["warmup_present"] == loaded.coverage["warmup_bars"] > 0
    assert loaded.coverage["longest_gap_bars"] == 0
    # The first point is the money at the beginning, all others are closes of bars.
    times = [at for at, _ in rows[0]["equity_json"]]
    assert set(times[1:]) <= {at + step for at in year}
    assert len(times) > 1


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
