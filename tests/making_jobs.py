"""Jobs as a worker leaves them, and the request and candles that they are made of."""

import copy
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from configs.environment import CandlesFolder
from engine import synthetic
from storage import leases, result_texts, results
from storage.candles import Bars, open_store
from storage.records import Claimed, Shortlist, Stage, TopVariant
from tests.storage.making import claim, save_shortlist

REQUEST: dict[str, Any] = {
    "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-03T00:00:00Z"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "TESTUSDT"},
        "timeframe": "15m",
        "indicator_grids": [
            {
                "indicator_id": "ma.cross",
                "params": {
                    "ma": {"mode": "explicit", "values": ["sma"]},
                    "fast": {"mode": "range", "start": 5, "stop_incl": 8, "step": 1},
                    "slow": {"mode": "explicit", "values": [20, 40]},
                },
            }
        ],
        "risk_grid": {"sl": {"mode": "explicit", "values": [None, 2]}},
    },
    "preselect": 8,
    "top_k": 4,
    "top_trades_n": 1,
}

TABLE = "|Metric|Value|\n|---|---|\n|Total Return [%]|12.5|\n|Num. Trades|2|\n"
TRADES = [
    {
        "id": 1,
        "direction": "long",
        "entry_time": "2024-01-01T06:00:00Z",
        "exit_time": "2024-01-01T12:00:00Z",
        "entry_price": 100.5,
        "exit_price": 104.25,
        "quantity": 99.0,
        "entry_quote": 9949.5,
        "exit_quote": 10320.75,
        "entry_fee": 7.5,
        "exit_fee": 7.7,
        "gross_pnl": 371.25,
        "net_pnl": 356.05,
        "return_pct": 3.58,
        "exit_reason": "signal_exit",
    }
]
BESIDE: dict[str, Any] = {
    "number": 1,
    "ruined": 0,
    "twins": 2,
    "median_return": -0.9,
    "worst_return": -67.25,
    "variants": [{"axis": "ma.cross fast", "step": "lower", "value": 5, "variant_index": 0}],
}
START_MS = 1_704_067_200_000
DAY_MS = 86_400_000
EQUITY = [
    [START_MS + hour * 3_600_000, 10_000.0 + 26 * hour - 400 * (hour == 20)] for hour in range(48)
]


def store_candles(folder: Path) -> Path:
    """Fill a folder with the candles of the request and of five days before."""
    minutes = synthetic.minutes(seed=7, start_ms=START_MS - 5 * DAY_MS, count=7 * 1440)
    with open_store(CandlesFolder(folder)) as store:
        store.append(1, "TESTUSDT", [Bars.of(minutes)])
    return folder


def changed(**changes: Any) -> dict[str, Any]:
    """The request with some values replaced, by their path joined with double underscores."""
    document = copy.deepcopy(REQUEST)
    for path, value in changes.items():
        *parents, name = path.split("__")
        target: Any = document
        for parent in parents:
            target = target[int(parent) if parent.isdigit() else parent]
        target[name] = value
    return document


def finish(
    connection: psycopg.Connection[Any],
    job_id: str,
    candles: Path | None = None,
    answers: str | None = None,
) -> None:
    """End the job as a worker does, with four variants of which the best has its trades.

    `candles` is the folder of those it is said to have been computed with; without it, its bars
    count as changed. `answers` is what was asked of its search; with it rows have neighbours.
    """
    from engine.grid import Grid
    from engine.loading import load
    from engine.request import parse

    lease = claim(connection, UUID(job_id))
    assert isinstance(lease, Claimed)
    request = parse(lease.job.request_json)
    grid, candles_hash = Grid.of(request), "0" * 64
    if candles is not None:
        with open_store(CandlesFolder(candles)) as store:
            candles_hash = load(request, store.bars, store.known).content_hash()
    leases.start_stage(connection, lease.lease, Stage.STAGE_B, 16)
    shortlist = Shortlist(range(8), [1] * 8, 8, 2, 8, "engine-1", candles_hash)
    save_shortlist(connection, lease.lease, shortlist)
    rows = [
        TopVariant(
            rank=rank,
            variant_key=grid.variant_key(2 * rank),
            indicator_variant_key=grid.indicator_variant_key(2 * rank),
            variant_index=2 * rank,
            total_return_pct=12.5 / rank,
            metrics_json={"total_return_pct": 12.5 / rank, "num_trades": 2, "sharpe": None},
            payload_json=grid.variant(2 * rank),
            report_table_md=TABLE,
            trades_json=TRADES if rank == 1 else None,
            equity_json=EQUITY if rank == 1 else None,
            beside_json=None if answers is None else BESIDE | {"number": rank},
        )
        for rank in range(1, 5)
    ]
    document = result_texts.rows(rows, reports=True)
    assert results.succeed(connection, lease.lease, document, answers) == "succeeded"
