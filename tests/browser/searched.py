"""A job of whose search everything was asked: its answers are stored, nobody computed them."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg

from engine.request import complete
from storage import result_texts, results
from storage.records import Claimed, State, TopVariant
from tests.api.running import Caller
from tests.browser.job_page import lean
from tests.browser.stack import Stack
from tests.engine.requests import DEFAULTS, LIMITS
from tests.storage.making import claim, submitted

WINDOWS, RSI, LONG = [10, 20, 30, 40, 50, 60], [7, 14], [50, 55]
"""The axes of `stack.SWEEP`, the slowest first."""

NO_VARIANT, TOO_FEW = (5, 0), (0, 1)
"""Cells of the first surface without a variant, and without one that counts."""

BLOCKS, FOLDS, SPLITS = 16, 4, 200
SEARCH = {"p": 0.6, "draws": 39, "as_good": 23, "metric": "total_return_pct", "best": 9.0}
OVERFITTING = {
    "pbo": 0.52,
    "loss_share": 0.91,
    "median_in_sample_pct": 8.1,
    "median_out_of_sample_pct": -2.3,
    "splits": SPLITS,
    "variants": 20,
    "blocks": BLOCKS,
}
DEFLATED = {
    "probability": 0.07,
    "expected_highest_sharpe": 0.112,
    "sharpe": 0.053,
    "skewness": 0.4,
    "kurtosis": 5.1,
    "days": 32,
    "variants": 20,
    "variance_of_sharpes": 0.002,
}
NEIGHBOURS = {
    "number": 6,
    "ruined": 0,
    "twins": 2,
    "median_return": -0.9,
    "worst_return": -67.0,
    "defined": 6,
    "median_primary": -0.9,
    "worst_primary": -67.0,
}
REPLAYS = {
    "runs": 1000,
    "trades": 40,
    "return_pct": -18.0,
    "drawdown_at_trades_pct": 19.5,
    "shuffles": {"drawdown_at_trades_pct": {"p50": 20.0, "p95": 26.4}},
    "bootstraps": {"return_pct": {"p5": -31.0, "p50": -18.0, "p95": 2.5}, "loss_share": 0.93},
    "random_entries": {
        "return_pct": {"p5": -30.0, "p50": -20.0, "p95": -9.0},
        "as_good": 412,
        "naive_p": 0.4126,
    },
}
WALKED = {
    "mode": "anchored",
    "folds": FOLDS,
    "blocks": BLOCKS,
    "return_pct": -3.1,
    "hindsight_return_pct": 25.0,
    "benchmark_return_pct": 12.0,
}


def figures(**changes: Any) -> dict[str, Any]:
    """What lists and judges jobs; a part that is None is left out."""
    found = {
        "stride": 1,
        "search": SEARCH,
        "overfitting": OVERFITTING,
        "deflated_sharpe": DEFLATED,
        "neighbours": NEIGHBOURS,
        "walk_forward": WALKED,
    } | changes
    return {name: part for name, part in found.items() if part is not None}


def pictures(payload: dict[str, Any]) -> dict[str, Any]:
    """What is drawn; every fold but the last has chosen the variant of this payload."""
    drawing = random.Random(7)
    draws = sorted(drawing.gauss(10, 4) for _ in range(38))
    bins = [(number - 30) * 0.1 for number in range(61)]
    counts = [round(40 * math.exp(-(((number - 28) / 12) ** 2))) for number in range(60)]
    inside = [drawing.gauss(8, 2) for _ in range(SPLITS)]
    return {
        "search": {"draws_best": [*draws, None], "best": 9.0},
        "overfitting": {
            "logits": {"edges": bins, "counts": counts},
            "pairs_pct": [[value, drawing.gauss(-3, 2) - 0.2 * value] for value in inside],
        },
        "walk_forward": walked(payload),
    }


def walked(payload: dict[str, Any]) -> dict[str, Any]:
    """The walk through four folds, the last of which stays in cash."""
    tests = range(BLOCKS - FOLDS, BLOCKS)
    chosen = [{"base_index": number, "payload": payload} for number in range(FOLDS - 1)]
    return {
        "mode": "anchored",
        "blocks": BLOCKS,
        "min_trades": 5,
        "times": [f"2024-01-{15 + 2 * block:02}T00:00:00Z" for block in range(8)]
        + [f"2024-02-{2 * block - 15:02}T00:00:00Z" for block in range(8, BLOCKS + 1)],
        "folds": [
            {
                "train_blocks": [0, test - 1],
                "test_block": test,
                "eligible": 20,
                "train_return_pct": 7.5,
                "train_entries": 40,
                "test_return_pct": made,
                "test_entries": 9,
                **which,
            }
            for test, made, which in zip(
                tests,
                (-4.0, 2.5, -1.5, 0.0),
                [*chosen, {"base_index": None, "payload": None}],
                strict=True,
            )
        ],
        "return_pct": -3.1,
        "curve_pct": [-4.0, -1.6, -3.1, -3.1],
        "hindsight": {
            "base_index": 5,
            "payload": payload,
            "return_pct": 25.0,
            "curve_pct": [9.0, 7.0, 18.0, 25.0],
        },
        "benchmark": {"return_pct": 12.0, "curve_pct": [3.0, 8.0, None, 12.0]},
    }


def surfaces() -> list[dict[str, Any]]:
    """One for each pair of axes; the first has a cell without variants and one without trades."""
    sma, rsi = ("ma.sma", "window", "params"), ("momentum.rsi", "window", "params")
    long = ("momentum.rsi", "long_threshold", "signals")
    return [
        surface(side(*sma, WINDOWS), side(*rsi, RSI), strides=(4, 2), holes=(NO_VARIANT, TOO_FEW)),
        surface(side(*sma, WINDOWS), side(*long, LONG), strides=(4, 1)),
        surface(side(*rsi, RSI), side(*long, LONG), strides=(2, 1)),
    ]


def side(block: str, parameter: str, part: str, values: Sequence[float]) -> dict[str, Any]:
    """One side of a surface."""
    named = {"block": block, "part": part, "parameter": parameter}
    return {"axis": f"{block} {parameter}", **named, "values": list(values)}


def surface(
    x: dict[str, Any],
    y: dict[str, Any],
    *,
    strides: tuple[int, int] = (0, 0),
    holes: tuple[tuple[int, int], ...] = (),
    metric: str = "total_return_pct",
) -> dict[str, Any]:
    """A surface with a hill and losses around it; `holes`: no variant, and too few trades."""
    cells = [(i, j) for i in range(len(x["values"])) for j in range(len(y["values"]))]
    gone = {cell: (None, None) if at == 0 else (2, 0) for at, cell in enumerate(holes)}
    made = {cell: _height(cell, len(x["values"]), len(y["values"])) for cell in cells}
    there = [cell not in gone for cell in cells]
    return {
        "metric": metric,
        "x": x,
        "y": y,
        "stride": 1,
        "variants": [gone.get(cell, (2, 2))[0] for cell in cells],
        "eligible": [gone.get(cell, (2, 2))[1] for cell in cells],
        "profitable_pct": list(_where(there, (100.0 * (made[cell] > 0) for cell in cells))),
        "best": list(_where(there, (made[cell] + 2.5 for cell in cells))),
        "median": list(_where(there, (made[cell] for cell in cells))),
        "best_index": list(_where(there, (i * strides[0] + j * strides[1] for i, j in cells))),
    }


def _height(cell: tuple[int, int], across: int, up: int) -> float:
    at = [place / max(1, size - 1) for place, size in zip(cell, (across, up), strict=True)]
    return round(14 * math.exp(-6 * ((at[0] - 0.3) ** 2 + (at[1] - 0.6) ** 2)) - 6, 6)


def _where(there: list[bool], values: Iterator[Any]) -> Iterator[Any]:
    for known, value in zip(there, values, strict=True):
        yield value if known else None


def searched(stack: Stack, owner: Caller, job_id: str, **changes: Any) -> str:
    """Store a job that is another one's, and was asked everything; returns its id.

    `changes` are those of its figures. Nothing of it is computed, and no worker sees it.
    """
    request = owner.get(f"/backtests/jobs/{job_id}").json()["request"]
    found = lean(owner, job_id)
    best = owner.get(f"/backtests/jobs/{job_id}/variants/{found[0]['variant_key']}").json()
    rows = [_tested(row) for row in (best, *found[1:])]
    answers = result_texts.answers(
        figures=figures(**changes), pictures=pictures(found[0]["payload_json"]), surfaces=surfaces()
    )
    validated = complete(request | {"validation": {"train_pct": 70}}, DEFAULTS, LIMITS)
    with psycopg.connect(stack.api.dsn, autocommit=True) as conn, conn.transaction():
        stored: UUID = submitted(conn, user_id=owner.user_id, request_json=validated).job_id
        taken = claim(conn, stored)
        assert isinstance(taken, Claimed)
        document = result_texts.rows(rows, reports=True)
        assert results.succeed(conn, taken.lease, document, answers) is State.SUCCEEDED
    return str(stored)


def _tested(row: dict[str, Any]) -> TopVariant:
    """A row that made less where it was not chosen."""
    made, rank = row["total_return_pct"], row["rank"]
    test = {"total_return_pct": 0.5 * made - 1 + rank % 5, "num_trades": 12}
    return TopVariant(
        rank=rank,
        variant_key=row["variant_key"],
        indicator_variant_key="i" * 64,
        variant_index=row["variant_index"],
        total_return_pct=made,
        metrics_json=row["metrics_json"],
        payload_json=row["payload_json"],
        report_table_md="| Metric | Training | Test |\n|---|---|---|\n| Num. Trades | 40 | 12 |\n",
        twins=row["twins"],
        trades_json=row.get("trades"),
        equity_json=row.get("equity"),
        trades_omitted=False,
        test_metrics_json=test,
        test_trades_json=None,
        test_equity_json=None,
        beside_json=NEIGHBOURS | ({"replays": REPLAYS} if rank == 1 else {}),
    )
