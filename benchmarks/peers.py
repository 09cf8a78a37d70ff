"""Other ways to trade the same signals, each as fast as its public interface allows.

All are long-only, all-in, filled at the close with the same fee and slippage; every function
returns the total return of each variant as a fraction, float64[V].
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.workload import FEE, INIT_CASH, SLIPPAGE, Crossings

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


def available(makers: Sequence[Callable[[], Peer | list[Peer]]]) -> list[Peer]:
    """Return the peers that the makers know; of those missing, a line that says what is missing."""
    found: list[Peer] = []
    skipped: dict[str, None] = {}
    for make in makers:
        try:
            made = make()
        except PeerMissing as missing:
            skipped[str(missing)] = None
        else:
            found.extend(made if isinstance(made, list) else [made])
    for reason in skipped:
        print(f"  skipped: {reason}")
    return found


def prove_parity(ours: Float64, peer: Peer) -> None:
    """Exit with a message where a return differs from ours by more than 1e-9."""
    theirs = peer.run()
    error = np.abs(ours[: len(theirs)] - theirs).max()
    if not error <= 1e-9:
        raise SystemExit(f"no parity with {peer.name}: returns differ by {error:.3g}")
    print(f"  same returns as {peer.name}: {len(theirs)} variants, largest difference {error:.1e}")


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
