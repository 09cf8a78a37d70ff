"""Other ways to trade the same signals, each as fast as its public interface allows.

All are long-only, all-in, filled at the close with the same fee and slippage; every function
returns the total return of each variant as a fraction, float64[V].
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.workload import FEE, INIT_CASH, SL_PCT, SLIPPAGE, TP_PCT, Crossings

Float64 = NDArray[np.float64]

INSTALL = "pip install 'backtest-jobs[benchmarks]'"


class PeerMissing(Exception):
    """A peer is not installed; the message says how to install it."""


@dataclass(frozen=True)
class Peer:
    """`run()` trades `variants` variants and returns their total returns."""

    name: str
    variants: int
    run: Callable[[], Float64]


def bar_loop(work: Crossings) -> Peer:
    """Return a plain compiled loop over bars: what one writes first."""
    return Peer(
        "plain numba bar loop",
        work.variants,
        lambda: _bar_loop(work.closes, work.long, INIT_CASH, FEE, SLIPPAGE),
    )


@njit(nogil=True, cache=True)
def _bar_loop(
    closes: Float64, long: NDArray[np.bool_], init_cash: float, fee: float, slippage: float
) -> Float64:
    returns = np.empty(long.shape[0])
    for variant in range(long.shape[0]):
        cash = init_cash
        quantity = 0.0
        wanted = False
        for bar in range(closes.shape[0]):
            signal = long[variant, bar]
            if quantity > 0.0 and not signal:
                value = quantity * closes[bar] * (1.0 - slippage)
                cash += value - value * fee
                quantity = 0.0
            if signal and not wanted and cash > 1e-9 * init_cash:
                quote = cash / (1.0 + fee)
                quantity = quote / (closes[bar] * (1.0 + slippage))
                cash = 0.0
            wanted = signal
        returns[variant] = cash / init_cash - 1.0
    return returns


def vectorbt_functions(work: Crossings) -> list[Peer]:
    """Return vectorbt's compiled simulators called without a Portfolio, the fastest public way."""
    vectorbt = _vectorbt()
    nb, dispatch = vectorbt.portfolio.nb, vectorbt.portfolio.dispatch
    shape = (len(work.closes), work.variants)
    close = work.closes[:, None]
    entries, exits = _columns(work.entries()), _columns(work.exits())
    shared = _shared(shape, close)

    def returns(orders: Any) -> Float64:
        column_map = vectorbt.records.nb.col_map_nb(orders["col"], work.variants)
        whole = np.broadcast_to(close, shape)
        profit = dispatch.total_profit(shape, whole, orders, column_map)
        return np.asarray(profit / INIT_CASH)

    def from_signals() -> Float64:
        orders, _ = nb.simulate_from_signals_nb(
            entries=entries, exits=exits, use_stops=False, **shared
        )
        return returns(orders)

    # Everything in at an entry, everything out at an exit; NaN is no order.
    size = np.where(entries, np.inf, np.where(exits, -np.inf, np.nan))

    def from_orders() -> Float64:
        orders, _ = nb.simulate_from_orders_nb(
            size=size, direction=np.asarray(vectorbt.portfolio.enums.Direction.LongOnly), **shared
        )
        return returns(orders)

    return [
        Peer("vectorbt simulate_from_signals_nb", work.variants, from_signals),
        Peer("vectorbt simulate_from_orders_nb", work.variants, from_orders),
    ]


def vectorbt_portfolio(work: Crossings) -> Peer:
    """Return vectorbt as its manual shows it: `Portfolio.from_signals`."""
    vectorbt = _vectorbt()
    pandas = __import__("pandas")
    index = pandas.date_range("2024-01-01", periods=len(work.closes), freq="15min")
    close = pandas.Series(work.closes, index=index)
    entries = pandas.DataFrame(_columns(work.entries()), index=index)
    exits = pandas.DataFrame(_columns(work.exits()), index=index)

    def run() -> Float64:
        portfolio = vectorbt.Portfolio.from_signals(
            close, entries, exits, init_cash=INIT_CASH, fees=FEE, slippage=SLIPPAGE, freq="15min"
        )
        return np.asarray(portfolio.total_return().to_numpy())

    return Peer("vectorbt Portfolio.from_signals", work.variants, run)


def vectorbt_risk(work: Crossings) -> list[Peer]:
    """Return the first signal under every (SL, TP), by vectorbt's kernel and its dispatcher."""
    vectorbt = _vectorbt()
    dispatch, enums = vectorbt.portfolio.dispatch, vectorbt.portfolio.enums
    pairs = [(sl / 100, tp / 100) for sl in SL_PCT for tp in TP_PCT]
    shape = (len(work.closes), len(pairs))
    close = work.closes[:, None]
    entries, exits = _columns(work.entries()[:1]), _columns(work.exits()[:1])
    shared = _shared(shape, close)
    stops, goals = (np.array(column)[None, :] for column in zip(*pairs, strict=True))

    def run_with(simulate: Any) -> Float64:
        orders, _ = simulate(
            entries=entries,
            exits=exits,
            sl_stop=stops,
            tp_stop=goals,
            stop_entry_price=np.asarray(enums.StopEntryPrice.FillPrice),
            stop_exit_price=np.asarray(enums.StopExitPrice.Price),
            **shared,
        )
        column_map = vectorbt.records.nb.col_map_nb(orders["col"], len(pairs))
        profit = dispatch.total_profit(shape, np.broadcast_to(close, shape), orders, column_map)
        return np.asarray(profit / INIT_CASH)

    return [
        Peer(f"vectorbt {name}", len(pairs), partial(run_with, simulate))
        for name, simulate in (
            ("simulate_from_signals_nb with stops", vectorbt.portfolio.nb.simulate_from_signals_nb),
            ("dispatch.simulate_from_signals with stops", dispatch.simulate_from_signals),
        )
    ]


def backtesting_py(work: Crossings) -> Peer:
    """Return one run of backtesting.py, for its first variant."""
    try:
        from backtesting import Backtest, Strategy
    except ImportError as error:
        raise PeerMissing(f"backtesting.py is not installed: {INSTALL}") from error
    pandas = __import__("pandas")
    long = work.long[0]
    frame = pandas.DataFrame(
        dict.fromkeys(("Open", "High", "Low", "Close"), work.closes),
        index=pandas.date_range("2024-01-01", periods=len(work.closes), freq="15min"),
    )

    class Follow(Strategy):  # type: ignore[misc]
        """Long while the signal says so."""

        def init(self) -> None:
            self.bar = 0

        def next(self) -> None:
            wanted = long[len(self.data) - 1]
            if wanted and not self.position:
                self.buy(size=0.9999)
            elif not wanted and self.position:
                self.position.close()

    def run() -> Float64:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            stats = Backtest(
                frame,
                Follow,
                cash=1e9,  # it trades whole units only
                commission=FEE,
                spread=SLIPPAGE,
                trade_on_close=True,
                finalize_trades=True,
            ).run()
        return np.array([stats["Return [%]"] / 100])

    return Peer("backtesting.py, single run", 1, run)


def _vectorbt() -> Any:
    try:
        logging.getLogger("vectorbt").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import vectorbt
    except ImportError as error:
        raise PeerMissing(f"vectorbt is not installed: {INSTALL}") from error
    return vectorbt


def _columns(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return bool[n, V] in the layout vectorbt walks: column after column."""
    return np.asfortranarray(flags.T)


def _shared(shape: tuple[int, int], close: Float64) -> dict[str, Any]:
    """Return the arguments that all of vectorbt's simulators take here."""
    return {
        "target_shape": shape,
        "group_lens": np.ones(shape[1], np.int64),
        "init_cash": np.full(shape[1], INIT_CASH),
        "call_seq": np.zeros(shape, np.int64, order="F"),
        "fees": np.asarray(FEE),
        "slippage": np.asarray(SLIPPAGE),
        "close": close,
        "max_orders": shape[0] * shape[1] // 8,
    }
