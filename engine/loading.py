"""The candles that a request trades, read from whatever holds them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from engine.candles import Bars, Candles, load_range, session_timeline, timeline, utc
from engine.funding import Funding, Payments
from engine.request import FieldError, Request, RequestError
from engine.sessions import EVIDENCE_MS
from engine.timeframes import MINUTE_MS, TIMEFRAMES

FURTHER = 8
"""How much further back is looked for the warm-up of a market that closes, each time."""


class Known(Protocol):
    """What is known of an instrument; the candle store's own type fits."""

    @property
    def timeframe_ms(self) -> int:
        """Length of its stored bars."""

    @property
    def phase_ms(self) -> int:
        """How long after multiples of their length its bars open."""

    @property
    def sessions(self) -> bool:
        """Whether its market closes daily or weekly."""

    @property
    def has_volume(self) -> bool:
        """Whether the volumes of its bars mean anything."""


@dataclass(frozen=True, slots=True)
class Ordinary:
    """An instrument of which nothing special is known."""

    timeframe_ms: int = MINUTE_MS
    sessions: bool = False
    has_volume: bool = True
    phase_ms: int = 0


ReadBars = Callable[[int, str, int, int, int], Bars]
"""(market_id, symbol, from_ms, to_ms, timeframe_ms) → the buckets of `[from_ms, to_ms)`."""

Ask = Callable[[int, str], Known]
"""(market_id, symbol) → what is known of the instrument."""

ReadFunding = Callable[[int, str, int, int], Payments]
"""(market_id, symbol, from_ms, to_ms) → the stored payments of `[from_ms, to_ms)`."""


def nothing_is_known(_market_id: int, _symbol: str) -> Known:
    """Tell of any instrument that it is an ordinary one."""
    return Ordinary()


def nothing_is_paid(_market_id: int, _symbol: str, _from_ms: int, _to_ms: int) -> Payments:
    """Tell of any instrument that no funding of it is stored."""
    return Funding(np.empty(0, np.int64), np.empty(0))


def load(
    request: Request,
    read: ReadBars,
    ask: Ask = nothing_is_known,
    pay: ReadFunding = nothing_is_paid,
) -> Candles:
    """Candles that a request trades, warm-up included, with the funding that it wants.

    `read` and `ask` are used as `load_bars` says, `pay` where funding is wanted as it is stored.

    Raises `NoMarketData`, `RequestError` for what the instrument cannot give, and whatever the
    others raise.
    """
    candles = load_bars(request, read, ask)
    if not request.wants_stored_funding:
        return candles
    traded = int(candles.ts_open[candles.first]), int(candles.close_time()[-1])
    return replace(candles, funding=load_funding(request, pay, *traded))


def load_funding(request: Request, pay: ReadFunding, start_ms: int, end_ms: int) -> Funding:
    """Return the payments that a position can meet which is held in `[start_ms, end_ms]`.

    Raises `RequestError` where there are none, and what `pay` raises.
    """
    payments = pay(request.market_id, request.symbol, start_ms, end_ms + 1)
    funding = Funding.within(payments, start_ms, end_ms)
    if not len(funding):
        raise RequestError([_unfunded(request, start_ms, end_ms)])
    return funding


def _unfunded(request: Request, start_ms: int, end_ms: int) -> FieldError:
    market_id, symbol = request.market_id, request.symbol
    message = (
        f'is "stored", but no funding rate of {symbol} (market {market_id}) is stored from '
        f"{utc(start_ms)} to {utc(end_ms)}: import some (backtest funding import FILE --market-id "
        f"{market_id} --symbol {symbol}), or give a number"
    )
    return FieldError("template.execution.funding_pct_per_8h", message)


def load_bars(request: Request, read: ReadBars, ask: Ask) -> Candles:
    """Return the candles that a request trades, warm-up included.

    `read` is called once and `ask` not at all where every bar of an instrument is there and no
    volume is looked at, for both cost time. Bars with a phase are never taken for all bars.

    Raises `NoMarketData`, `RequestError` for what the instrument cannot give, and whatever `read`
    and `ask` raise.
    """
    start_ms, end_ms, step = request.start_ms, request.end_ms, request.timeframe_ms
    name = request.market_id, request.symbol
    if volume_readers(request):
        refuse(request, ask(*name))
    from_ms, to_ms = load_range(start_ms, end_ms, step, request.warmup_bars)
    bars = read(*name, from_ms, to_ms, step)
    phase_ms = 0
    if not _complete(bars, from_ms, step):
        known = ask(*name)
        refuse(request, known)
        phase_ms = known.phase_ms
        if known.sessions:
            return _load_sessions(request, read, phase_ms)
        if phase_ms:
            from_ms, to_ms = load_range(start_ms, end_ms, step, request.warmup_bars, phase_ms)
            bars = read(*name, from_ms, to_ms, step)
    return timeline(bars, start_ms=start_ms, end_ms=end_ms, timeframe_ms=step, phase_ms=phase_ms)


def refuse(request: Request, known: Known) -> None:
    """Raise `RequestError` for what an instrument cannot give: shorter bars, volume."""
    found = []
    base_ms, symbol = known.timeframe_ms, request.symbol
    if request.timeframe_ms % base_ms:
        possible = [name for name, ms in TIMEFRAMES.items() if ms % base_ms == 0]
        base = possible[0] if possible else f"{base_ms} ms"
        message = (
            f"is {request.timeframe}, but {symbol} is stored as {base} bars: choose one of "
            f"{', '.join(possible)}"
        )
        found.append(FieldError("template.timeframe", message))
    readers = volume_readers(request)
    if readers and not known.has_volume:
        message = (
            f"{', '.join(readers)} read volume, and {symbol} was imported without: leave them out "
            "or choose another instrument"
        )
        opens = any(block.title in readers for block in request.blocks)
        grids = "indicator_grids" if opens else "exit_grids"
        found.append(FieldError(f"template.{grids}", message))
    if found:
        raise RequestError(found)


def volume_readers(request: Request) -> tuple[str, ...]:
    """Return the names of blocks whose indicator or rule reads volume."""
    return tuple(
        title
        for title, block in request.titled_blocks.items()
        if "volume" in block.indicator.inputs or block.output.rule == "volume_vs_output"
    )


def _complete(bars: Bars, from_ms: int, step: int) -> bool:
    """Whether no bar is missing before the last one."""
    opens = bars.ts_open
    return len(opens) > 0 and int(opens[-1]) - from_ms == (len(opens) - 1) * step


def _load_sessions(request: Request, read: ReadBars, phase_ms: int) -> Candles:
    """Read as far back as the warm-up needs, and what tells when the market is closed."""
    start_ms, end_ms, step = request.start_ms, request.end_ms, request.timeframe_ms
    warmup, back = request.warmup_bars, FURTHER * request.warmup_bars * step
    first_open, _ = load_range(start_ms, end_ms, step, 0, phase_ms)
    while True:
        from_ms = max(phase_ms, first_open - max(back, EVIDENCE_MS))
        to_ms = end_ms + EVIDENCE_MS
        bars = read(request.market_id, request.symbol, from_ms, to_ms, step)
        if from_ms == phase_ms or int((bars.ts_open < first_open).sum()) >= warmup:
            break
        back = FURTHER * max(back, EVIDENCE_MS)
    return session_timeline(
        bars,
        start_ms=start_ms,
        end_ms=end_ms,
        timeframe_ms=step,
        warmup_bars=warmup,
        phase_ms=phase_ms,
    )
