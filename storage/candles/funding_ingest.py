"""Files of funding rates into a candle store: read whole, compared, and then published."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from storage.candles.funding import compare_funding
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.funding import read_funding
from storage.candles.known import normalised
from storage.candles.minutes import check_instrument
from storage.candles.records import utc
from storage.candles.store import CandleStore


@dataclass(frozen=True, slots=True)
class FundingReport:
    """What an import has found: rates, their first and last time, and what of them was new."""

    market_id: int
    symbol: str
    rates: int
    new: int
    changed: int
    first: datetime
    last: datetime
    least_pct: float
    most_pct: float


def import_funding(
    store: CandleStore,
    paths: Sequence[Path],
    market_id: int,
    symbol: str,
    unit: str | None = None,
    *,
    replace: bool = False,
) -> FundingReport:
    """Store the rates in files under an instrument's name, spelled as its candles are.

    Raises `CandleFileError` for files that cannot be used, and for rates that are stored with other
    values unless `replace` is given; nothing is stored then.
    """
    symbol = normalised(symbol)
    check_instrument(market_id, symbol)
    rates = read_funding(paths, unit)
    first, last = int(rates.times[0]), int(rates.times[-1])
    found = compare_funding(rates, store.funding(market_id, symbol, first, last + 1))
    if found.changed and not replace:
        raise CandleFileError(
            f"{found.changed:,} of {len(rates):,} rates are stored with other values, the first at "
            f"{utc(found.first_ms):%Y-%m-%d %H:%M} UTC: type --replace to change them"
        )
    store.append_funding(market_id, symbol, rates)
    return FundingReport(
        market_id=market_id,
        symbol=symbol,
        rates=len(rates),
        new=found.new,
        changed=found.changed,
        first=utc(first),
        last=utc(last),
        least_pct=float(rates.rates.min()),
        most_pct=float(rates.rates.max()),
    )
