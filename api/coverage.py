"""What the candle store says of a request before it becomes a job."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from api.candles import Candles
from configs.one_line import one_line
from engine.coverage import Coverage
from engine.request import FieldError, Request, RequestError
from engine.request.warnings import coverage_unknown, of_coverage, of_levels
from storage.candles import CandleSourceUnavailable, CandleStore

NAMED = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found; the document is None when the candle source could not be asked."""

    coverage: dict[str, Any] | None = None
    warnings: list[dict[str, str]] = field(default_factory=list)


def check(request: Request, candles: Candles) -> Checked:
    """Ask the candle store about a request.

    Raises RequestError for an unknown instrument, for a range without candles, or without funding
    that is wanted, and what asking raises while the source is away.
    """
    found = candles.presence(request)
    coverage = Coverage.of(request, found)
    if coverage is None:
        raise RequestError([candles.ask(lambda store: _refusal(request, store))])
    if request.wants_stored_funding:
        coverage = coverage.funded(candles.funding(request, coverage))
    warnings = [*of_coverage(request, coverage), *of_levels(request, found)]
    return Checked(coverage.document(), warnings)


def check_if_possible(request: Request, candles: Candles) -> Checked:
    """Do the same; that the source is away is a warning then: a job may wait for it."""
    try:
        return check(request, candles)
    except (CandleSourceUnavailable, MemoryError) as error:
        return Checked(warnings=[coverage_unknown(one_line(error))])


def _refusal(request: Request, store: CandleStore) -> FieldError:
    extent = store.extent(request.market_id, request.symbol)
    if extent is None:
        message = _what_exists(request.market_id, request.symbol, store.names())
        return FieldError("template.instrument_id", message)
    first, last = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in extent)
    message = (
        f"holds no {request.timeframe} bar with candles: those of {request.symbol} go from {first} "
        f"to {last}"
    )
    return FieldError("time_range", message)


def _what_exists(market_id: int, symbol: str, names: Sequence[tuple[int, str]]) -> str:
    """Say which instruments there are, those like the wanted one first."""
    here = [name for market, name in names if market == market_id]
    elsewhere = [market for market, name in names if _key(name) == _key(symbol)]
    elsewhere = [market for market in dict.fromkeys(elsewhere) if market != market_id]
    if not names:
        return f"{symbol}: there are no candles at all; `backtest candles import` brings some"
    if here:
        said = f"{symbol}: market {market_id} has {_listed(_by_likeness(symbol, here))}"
    else:
        markets = dict.fromkeys(market for market, _ in names)
        said = f"{symbol}: market {market_id} has no candles"
        said += "" if elsewhere else f", only {_markets(markets)}"
    return f"{said}; it is in {_markets(elsewhere)}" if elsewhere else said


def _by_likeness(symbol: str, names: Sequence[str]) -> list[str]:
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    close = get_close_matches(_key(symbol), by_key, n=NAMED, cutoff=0.6)
    return list(dict.fromkeys([*(name for key in close for name in by_key[key]), *names]))


def _key(symbol: str) -> str:
    """Return what spellings of a symbol share: `BTC-USDT`, `btc/usdt` and `BTCUSDT`."""
    return re.sub(r"[\W_]", "", symbol).upper()


def _markets(markets: Iterable[int]) -> str:
    numbers = [str(market) for market in markets]
    return f"market{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
