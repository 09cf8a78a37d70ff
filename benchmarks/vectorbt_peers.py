"""vectorbt on the peers' signals, with either of its engines.

Its compiled simulators are called without a Portfolio, which is the fastest public way; then as its
manual shows it. Each engine gets arrays in the memory layout it is fastest with. Orders are turned
into returns by the numba engine for both, because that is the faster one at it.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import INSTALL, Peer, PeerMissing
from benchmarks.workload import FEE, INIT_CASH, SL_PCT, SLIPPAGE, TP_PCT, Crossings

Float64 = NDArray[np.float64]
Layout = Literal["C", "F"]

COLUMNS: Layout = "F"  # variant after variant, as the numba engine walks
ROWS: Layout = "C"


def functions(work: Crossings) -> list[Peer]:
    """Return the simulators that numba compiles."""
    nb = _vectorbt().portfolio.nb
    variants = work.variants
    signals, orders, close = _arguments(work, COLUMNS)

    def from_signals() -> Float64:
        return _returns(nb.simulate_from_signals_nb(use_stops=False, **signals), close, variants)

    def from_orders() -> Float64:
        return _returns(nb.simulate_from_orders_nb(**orders), close, variants)

    return [
        Peer("vectorbt simulate_from_signals_nb", variants, from_signals),
        Peer("vectorbt simulate_from_orders_nb", variants, from_orders),
    ]


def rust_functions(work: Crossings) -> list[Peer]:
    """Return the same simulators of its Rust engine."""
    dispatch = _with_rust().portfolio.dispatch
    variants = work.variants
    signals, orders, close = _arguments(work, ROWS)

    def from_signals() -> Float64:
        made = dispatch.simulate_from_signals(use_stops=False, engine="rust", **signals)
        return _returns(made, close, variants)

    def from_orders() -> Float64:
        made = dispatch.simulate_from_orders(engine="rust", **orders)
        return _returns(made, close, variants)

    return [
        Peer("vectorbt simulate_from_signals, Rust", variants, from_signals),
        Peer("vectorbt simulate_from_orders, Rust", variants, from_orders),
    ]


def portfolio(work: Crossings) -> Peer:
    """Return vectorbt as its manual shows it: `Portfolio.from_signals`."""
    return Peer(
        "vectorbt Portfolio.from_signals", work.variants, _portfolio(_vectorbt(), work, "numba")
    )


def rust_portfolio(work: Crossings) -> Peer:
    """Return the same with the Rust engine."""
    return Peer(
        "vectorbt Portfolio.from_signals, Rust",
        work.variants,
        _portfolio(_with_rust(), work, "rust"),
    )


def risk(work: Crossings) -> list[Peer]:
    """Return the first signal under every (SL, TP), by vectorbt's kernel and its dispatcher."""
    simulators = _vectorbt().portfolio
    return [
        _with_stops(
            work,
            "vectorbt simulate_from_signals_nb with stops",
            simulators.nb.simulate_from_signals_nb,
            COLUMNS,
        ),
        _with_stops(
            work,
            "vectorbt dispatch.simulate_from_signals with stops",
            simulators.dispatch.simulate_from_signals,
            COLUMNS,
            engine="numba",
        ),
    ]


def rust_risk(work: Crossings) -> Peer:
    """Return the same by the Rust engine."""
    return _with_stops(
        work,
        "vectorbt dispatch.simulate_from_signals, Rust",
        _with_rust().portfolio.dispatch.simulate_from_signals,
        ROWS,
        engine="rust",
    )


def next_opens(work: Crossings, opens: Float64) -> list[Peer]:
    """Return the simulators of signals that fill at the next open, opens float64[n]."""
    portfolio = _vectorbt().portfolio
    price = np.append(opens[1:], work.closes[-1])[:, None]
    found = []
    ways: list[tuple[str, Any, Layout, dict[str, str]]] = [
        ("simulate_from_signals_nb", portfolio.nb.simulate_from_signals_nb, COLUMNS, {})
    ]
    if _vectorbt()._engine.is_rust_available():
        rust = portfolio.dispatch.simulate_from_signals
        ways.append(("simulate_from_signals, Rust", rust, ROWS, {"engine": "rust"}))
    for name, simulate, layout, how in ways:
        signals = _arguments(work, layout)[0]

        def run(simulate: Any = simulate, signals: Any = signals, how: Any = how) -> Float64:
            made = simulate(use_stops=False, price=price, **signals, **how)
            return _returns(made, work.closes[:, None], work.variants)

        found.append(Peer(f"vectorbt {name}", work.variants, run))
    return found


def risk_inside(work: Crossings, prices: tuple[Float64, Float64, Float64]) -> list[Peer]:
    """Return the first signal under every (SL, TP) that is looked for inside bars.

    `prices` are open, high and low float64[n]. A target slips there, which it does not here.
    """
    portfolio = _vectorbt().portfolio
    columns = dict(zip(("open", "high", "low"), (p[:, None] for p in prices), strict=True))
    nb, dispatch = portfolio.nb.simulate_from_signals_nb, portfolio.dispatch.simulate_from_signals
    found = [_with_stops(work, "vectorbt simulate_from_signals_nb", nb, COLUMNS, columns)]
    if _vectorbt()._engine.is_rust_available():
        name = "vectorbt simulate_from_signals, Rust"
        found.append(_with_stops(work, name, dispatch, ROWS, columns, engine="rust"))
    return found


def _vectorbt() -> Any:
    try:
        logging.getLogger("vectorbt").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import vectorbt
    except ImportError as error:
        raise PeerMissing(f"vectorbt is not installed: {INSTALL}") from error
    return vectorbt


def _with_rust() -> Any:
    vectorbt = _vectorbt()
    if not vectorbt._engine.is_rust_available():
        raise PeerMissing(f"vectorbt's Rust engine is not installed: {INSTALL}")
    return vectorbt


def _arguments(work: Crossings, layout: Layout) -> tuple[dict[str, Any], dict[str, Any], Float64]:
    """Return the arguments that trade signals, those that fill orders, and closes [n, 1]."""
    close = work.closes[:, None]
    entries, exits = _laid_out(work.entries(), layout), _laid_out(work.exits(), layout)
    shared = _shared((len(work.closes), work.variants), close, layout)
    # Everything in at an entry, everything out at an exit; NaN is no order.
    size = np.where(entries, np.inf, np.where(exits, -np.inf, np.nan))
    long_only = np.asarray(_vectorbt().portfolio.enums.Direction.LongOnly)
    return (
        {"entries": entries, "exits": exits, **shared},
        {"size": np.asarray(size, order=layout), "direction": long_only, **shared},
        close,
    )


def _portfolio(vectorbt: Any, work: Crossings, engine: str) -> Callable[[], Float64]:
    pandas = __import__("pandas")
    layout = ROWS if engine == "rust" else COLUMNS
    index = pandas.date_range("2024-01-01", periods=len(work.closes), freq="15min")
    close = pandas.Series(work.closes, index=index)
    entries = pandas.DataFrame(_laid_out(work.entries(), layout), index=index)
    exits = pandas.DataFrame(_laid_out(work.exits(), layout), index=index)

    def run() -> Float64:
        made = vectorbt.Portfolio.from_signals(
            close,
            entries,
            exits,
            init_cash=INIT_CASH,
            fees=FEE,
            slippage=SLIPPAGE,
            freq="15min",
            engine=engine,
        )
        return np.asarray(made.total_return().to_numpy())

    return run


def _with_stops(
    work: Crossings,
    name: str,
    simulate: Any,
    layout: Layout,
    inside: dict[str, Float64] | None = None,
    **how: str,
) -> Peer:
    """Return a simulator under stops, which are seen at closes, or inside bars of such prices."""
    enums = _vectorbt().portfolio.enums
    ways = enums.StopExitPrice
    exit_price = ways.StopMarket if inside else ways.Price
    pairs = [(sl / 100, tp / 100) for sl in SL_PCT for tp in TP_PCT]
    close = work.closes[:, None]
    entries = _laid_out(work.entries()[:1], layout)
    exits = _laid_out(work.exits()[:1], layout)
    shared = _shared((len(work.closes), len(pairs)), close, layout)
    stops, goals = (np.array(column)[None, :] for column in zip(*pairs, strict=True))

    def run() -> Float64:
        made = simulate(
            entries=entries,
            exits=exits,
            sl_stop=stops,
            tp_stop=goals,
            stop_entry_price=np.asarray(enums.StopEntryPrice.FillPrice),
            stop_exit_price=np.asarray(exit_price),
            **(inside or {}),
            **shared,
            **how,
        )
        return _returns(made, close, len(pairs))

    return Peer(name, len(pairs), run)


def _returns(simulated: tuple[Any, Any], close: Float64, variants: int) -> Float64:
    """Return what the simulated orders of each variant gained, by closes float64[n, 1]."""
    vectorbt = _vectorbt()
    orders, _ = simulated
    shape = (len(close), variants)
    column_map = vectorbt.records.nb.col_map_nb(orders["col"], variants)
    whole = np.broadcast_to(close, shape)
    profit = vectorbt.portfolio.dispatch.total_profit(
        shape, whole, orders, column_map, engine="numba"
    )
    return np.asarray(profit / INIT_CASH)


def _laid_out(flags: NDArray[np.bool_], layout: Layout) -> NDArray[np.bool_]:
    """Return bool[n, V] of bool[V, n]."""
    return np.asarray(flags.T, order=layout)


def _shared(shape: tuple[int, int], close: Float64, layout: Layout) -> dict[str, Any]:
    """Return the arguments that all of vectorbt's simulators take here."""
    return {
        "target_shape": shape,
        "group_lens": np.ones(shape[1], np.int64),
        "init_cash": np.full(shape[1], INIT_CASH),
        "call_seq": np.zeros(shape, np.int64, order=layout),
        "fees": np.asarray(FEE),
        "slippage": np.asarray(SLIPPAGE),
        "close": close,
        "max_orders": shape[0] * shape[1] // 8,
    }
