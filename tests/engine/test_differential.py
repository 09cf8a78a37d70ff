"""Trades of the engine equal those of two published backtesters, vectorbt and backtesting.py.

Signals are given to them as plain formulas make them (`rederive`), so that the engine shares
neither indicators nor account with what it is compared with. Everything is filled at the close.
Three things differ by design, and are left out where they do:

- backtesting.py takes its spread at entries only and checks stops inside the bar: it is compared
  without slippage and without risk levels. It trades whole units, so prices are made so small (by
  a power of two, which rounds nothing) that a unit is less than 1e-13 of a position.
- vectorbt acts once per bar, so that nothing reopens on the bar of a stop: levels are compared
  long-only, where the engine never does either. Its trailing stop stands in the stop loss's place.
- Neither closes the last position at the last close by itself: both are told to.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine import synthetic
from engine.candles import Candles
from engine.report import VariantReport, reports
from engine.request import complete, parse
from engine.sweep import Sweep
from tests.engine.rederive import Signals, traded_closes
from tests.engine.simulator import LONG, SHORT, allowed
from tests.engine.test_report_real_data import real_candles
from tests.engine.worlds import DEFAULTS, LIMITS, explicit, iso

WHY_MISSING = "is not installed; it comes with pip install 'backtest-jobs[benchmarks]'"
CASH, FIXED, PERCENT = 10_000.0, 750.0, 37.5
UNITS_OF_A_POSITION = 2.0**46  # of backtesting.py, which counts them exactly


@dataclass(frozen=True, slots=True)
class Deal:
    """A trade as every backtester tells it; bars are traded-bar numbers."""

    entry_bar: int
    exit_bar: int
    direction: int
    entry_price: float
    exit_price: float
    quantity: float
    fees: float
    net: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How signals are traded: percents as in a request, None is off."""

    direction: str
    sizing: str
    fee_pct: float = 0.0
    slippage_pct: float = 0.0
    sl: float | None = None
    tp: float | None = None
    tsl: float | None = None
    entry_fill: str = "close"
    stop_fill: str = "close"


@dataclass(frozen=True, slots=True)
class Left:
    """A trade that both backtesters have, and whether a stop or target ended it."""

    deal: Deal
    stopped: bool


Outcome = tuple[list[Deal], float]  # in time order, and the final money as a multiple of the cash
Peer = Callable[[list[int], list[float], Rules], Outcome]

SMA_CROSS = {
    "indicator_id": "ma.cross",
    "output": "diff",
    "source": explicit("close"),
    "params": {"ma": explicit("sma"), "fast": explicit(4, 11), "slow": explicit(23, 57)},
}
RSI_THRESHOLDS = {
    "indicator_id": "momentum.rsi",
    "output": "rsi",
    "source": explicit("close"),
    "params": {"window": explicit(5, 14)},
    "signals": {
        "long_threshold": explicit(31.7, 54.3),  # mean reversion, and one of momentum
        "short_threshold": explicit(66.9, 45.1),
    },
}
STRATEGIES = {
    "sma cross, long-only, all in": (SMA_CROSS, "long-only", "all_in"),
    "rsi thresholds, long-short, fixed quote": (RSI_THRESHOLDS, "long-short", "fixed_quote"),
    "rsi thresholds, long-short, all in": (RSI_THRESHOLDS, "long-short", "all_in"),
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


# --- the candles -----------------------------------------------------------------------------

REAL = {
    "real 15m": ("btc-perp-1m-2022-01.csv", "timestamp", "15m"),
    "real 5m with gaps": ("unittest-btc-1m-gappy.csv.gz", "date", "5m"),
}


@pytest.fixture(scope="module", params=["synthetic 15m", *REAL])
def candles(request: pytest.FixtureRequest) -> Candles:
    if request.param in REAL:
        name, time_column, timeframe = REAL[request.param]
        folder: Path = request.getfixturevalue("market_data")
        return real_candles(folder / name, time_column, timeframe)
    return synthetic.bars(3, 2500, 900_000, warmup_bars=100)


# --- the engine ------------------------------------------------------------------------------


def engine_outcomes(
    candles: Candles, block: dict[str, Any], rules: Rules
) -> Iterator[tuple[VariantReport, Outcome]]:
    """Sweep a block and yield the report of every variant with its trades.

    A fill at an open has the time of the close before: its bar is that of the decision.
    """
    closes_at = candles.close_time()[candles.first :]
    template = {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": f"{candles.timeframe_ms // 60_000}m",
        "indicator_grids": [block],
        "direction_mode": rules.direction,
        "sizing_mode": rules.sizing,
        "execution": {
            "init_cash_quote": CASH,
            "fixed_quote": FIXED,
            "percent": PERCENT,
            "fee_pct": rules.fee_pct,
            "slippage_pct": rules.slippage_pct,
            "entry_fill": rules.entry_fill,
            "stop_fill": rules.stop_fill,
        },
        "risk_grid": {level: explicit(getattr(rules, level)) for level in ("sl", "tp", "tsl")},
    }
    opens_at = candles.ts_open[candles.first :]
    time_range = {"start": iso(int(opens_at[0])), "end": iso(int(closes_at[-1]))}
    document = {"time_range": time_range, "template": template, "preselect": 100, "top_k": 10}
    sweep = Sweep(parse(complete(document, DEFAULTS, LIMITS)), candles)
    *_, stage_a = sweep.stage_a()
    *_, stage_b = sweep.stage_b(stage_a.top.indexes())
    bar_at = {pd.Timestamp(time, unit="ms", tz="UTC"): bar for bar, time in enumerate(closes_at)}
    for report in reports(
        sweep, stage_b.top.indexes().tolist(), top_trades_n=100, result_bytes=2**40
    ):
        assert report.trades is not None
        deals = [
            Deal(
                entry_bar=bar_at[pd.Timestamp(trade["entry_time"])],
                exit_bar=bar_at[pd.Timestamp(trade["exit_time"])],
                direction={"long": LONG, "short": SHORT}[trade["direction"]],
                entry_price=trade["entry_price"],
                exit_price=trade["exit_price"],
                quantity=trade["quantity"],
                fees=trade["entry_fee"] + trade["exit_fee"],
                net=trade["net_pnl"],
            )
            for trade in report.trades
        ]
        yield report, (deals, 1 + report.total_return_pct / 100)


# --- the peers -------------------------------------------------------------------------------


def wanted_positions(signals: Sequence[int], direction: str) -> list[int]:
    """Return the position to be in after each bar; after the last one, none."""
    return [*(allowed(signal, direction) for signal in signals[:-1]), 0]


@pytest.fixture(scope="module")
def vectorbt() -> Peer:
    logging.getLogger("vectorbt").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("vectorbt", reason=f"vectorbt {WHY_MISSING}")

    def trade(signals: list[int], closes: list[float], rules: Rules) -> Outcome:
        wanted = np.array(wanted_positions(signals, rules.direction))
        before = np.concatenate(([0], wanted[:-1]))
        close, slippage = np.array(closes), rules.slippage_pct / 100
        enters_long, enters_short = ((wanted == way) & (before != way) for way in (LONG, SHORT))
        fills = close * np.where(enters_short, 1 - slippage, 1 + slippage)
        money: dict[str, Any] = {"size": np.inf, "lock_cash": True}  # shorts no more than it has
        if rules.sizing == "fixed_quote":
            money = {"size": FIXED, "size_type": "value", "val_price": fills}
        stops: dict[str, Any] = {}
        if rules.sl or rules.tp or rules.tsl:
            stops = {
                "sl_stop": (rules.sl or rules.tsl or np.nan) / 100,
                "sl_trail": rules.tsl is not None,
                "tp_stop": (rules.tp or np.nan) / 100,
                "stop_entry_price": "close" if rules.tsl else "fillprice",
                "stop_exit_price": "close",
            }
        portfolio = library.Portfolio.from_signals(
            pd.Series(close),
            entries=enters_long,
            exits=(before == LONG) & (wanted != LONG),
            short_entries=enters_short,
            short_exits=(before == SHORT) & (wanted != SHORT),
            init_cash=CASH,
            fees=rules.fee_pct / 100,
            slippage=slippage,
            upon_opposite_entry="reverse",
            **money,
            **stops,
        )
        deals = [
            Deal(
                entry_bar=int(row["entry_idx"]),
                exit_bar=int(row["exit_idx"]),
                direction=(LONG, SHORT)[int(row["direction"])],
                entry_price=row["entry_price"],
                exit_price=row["exit_price"],
                quantity=row["size"],
                fees=row["entry_fees"] + row["exit_fees"],
                net=row["pnl"],
            )
            for _, row in portfolio.trades.records.sort_values("entry_idx").iterrows()
        ]
        return deals, 1 + float(portfolio.total_return())

    return trade


@pytest.fixture(scope="module")
def backtesting_py() -> Peer:
    library = pytest.importorskip("backtesting", reason=f"backtesting.py {WHY_MISSING}")

    def trade(signals: list[int], closes: list[float], rules: Rules) -> Outcome:
        wanted = wanted_positions(signals, rules.direction)
        money = FIXED if rules.sizing == "fixed_quote" else CASH
        scale = 2.0 ** np.round(np.log2(money / max(closes) / UNITS_OF_A_POSITION))
        # It first looks at bar 1, and fills what the last bar asks for on the next one.
        close = np.array([closes[0], *closes, closes[-1]]) * scale
        frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), close))

        class Follow(library.Strategy):  # type: ignore[misc, name-defined]
            def init(self) -> None:
                pass

            def next(self) -> None:
                bar = len(self.data) - 2
                now = wanted[bar] if bar < len(wanted) else 0
                held = int(np.sign(self.position.size))
                if now == held:
                    return
                self.position.close()
                if now:
                    size = {"size": FIXED // close[bar + 1]} if rules.sizing != "all_in" else {}
                    (self.buy if now == LONG else self.sell)(**size)

        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            stats = library.Backtest(
                frame, Follow, cash=CASH, commission=rules.fee_pct / 100, trade_on_close=True
            ).run()
        deals = [
            Deal(
                entry_bar=int(row["EntryBar"]) - 1,
                exit_bar=int(row["ExitBar"]) - 1,
                direction=int(np.sign(row["Size"])),
                entry_price=row["EntryPrice"] / scale,
                exit_price=row["ExitPrice"] / scale,
                quantity=abs(row["Size"]) * scale,
                fees=row["Commission"],
                net=row["PnL"],
            )
            for row in stats["_trades"].sort_values("EntryBar").to_dict("records")
        ]
        return deals, stats["Equity Final [$]"] / CASH

    return trade


# --- the comparison --------------------------------------------------------------------------


def assert_same_trades(candles: Candles, block: dict[str, Any], rules: Rules, peer: Peer) -> int:
    """Compare every variant of a block, and return the number of trades that were compared."""
    plain, closes = Signals(candles), traded_closes(candles)
    compared = 0
    for report, (deals, final) in engine_outcomes(candles, block, rules):
        signals, doubtful = plain.of(report.payload["blocks"])
        assert not doubtful, "choose other parameters: a signal hangs on rounding"
        expected, expected_final = peer(signals, closes, rules)
        for ours, theirs in zip(deals, expected, strict=False):
            assert unequal(ours, theirs) == [], f"\nours   {ours}\ntheirs {theirs}"
        assert len(deals) == len(expected)
        assert final == pytest.approx(expected_final, rel=1e-9, abs=0)
        compared += len(deals)
    return compared


def unequal(ours: Deal, theirs: Deal) -> list[str]:
    """Name what differs by more than 1e-9; a profit is compared in terms of what was paid."""
    paid = theirs.quantity * theirs.entry_price
    size = {"entry_bar": 0, "exit_bar": 0, "direction": 0, "net": paid}
    return [
        name
        for name in Deal.__slots__
        for mine, other in [(getattr(ours, name), getattr(theirs, name))]
        if not abs(mine - other) <= 1e-9 * size.get(name, abs(other))
    ]


@every_strategy
@pytest.mark.parametrize("costs", [(0.0, 0.0), (0.075, 0.0), (0.075, 0.02)], ids=str)
def test_trades_equal_those_of_vectorbt(
    candles: Candles, strategy: str, costs: tuple[float, float], vectorbt: Peer
) -> None:
    block, direction, sizing = STRATEGIES[strategy]
    assert assert_same_trades(candles, block, Rules(direction, sizing, *costs), vectorbt) > 100


@every_strategy
@pytest.mark.parametrize("fee_pct", [0.0, 0.075])
def test_trades_equal_those_of_backtesting_py(
    candles: Candles, strategy: str, fee_pct: float, backtesting_py: Peer
) -> None:
    block, direction, sizing = STRATEGIES[strategy]
    assert (
        assert_same_trades(candles, block, Rules(direction, sizing, fee_pct), backtesting_py) > 100
    )


@pytest.mark.parametrize(
    "levels",
    [{"sl": 0.4}, {"tp": 0.7}, {"sl": 0.4, "tp": 0.7}, {"tsl": 0.5}],
    ids=lambda levels: " ".join(levels),
)
def test_risk_exits_of_long_positions_equal_those_of_vectorbt(
    candles: Candles, levels: dict[str, float], vectorbt: Peer
) -> None:
    rules = Rules("long-only", "all_in", 0.075, 0.02, **levels)
    assert assert_same_trades(candles, SMA_CROSS, rules, vectorbt) > 100
