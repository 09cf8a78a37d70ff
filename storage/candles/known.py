"""What is known of an instrument beside its bars, and which files they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from storage.candles.records import MINUTE_MS

DAY_MS = 1440 * MINUTE_MS
SEPARATORS = str.maketrans("", "", "/-_ ")


@dataclass(frozen=True, slots=True)
class Known:
    """What an import said. Without one, bars are minutes with volume of a market that never closes.

    `timeframe_ms` is the length of its stored bars. `sessions` means that the market closes daily
    or weekly: bars that are not there are not made up. `original` is the symbol as it was first
    written.
    """

    timeframe_ms: int = MINUTE_MS
    sessions: bool = False
    has_volume: bool = True
    original: str = ""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that was imported whole: its name, and the sha256 of its bytes as hex digits.

    `rows` is how many it had, 0 where nobody said it. `imported_ms` is said by the store.
    """

    name: str
    sha256: str
    rows: int = 0
    imported_ms: int = 0


class OtherTimeframe(ValueError):
    """Bars of another length than those that an instrument is stored with."""


@dataclass(frozen=True, slots=True)
class Register:
    """What one instrument's imports have said together; `files` are by sha256."""

    known: Known | None
    files: Mapping[str, ImportedFile]

    @classmethod
    def empty(cls) -> Self:
        """Return that of an instrument that nothing is known of."""
        return cls(None, {})


def together(before: Known | None, said: Known) -> Known:
    """Join what is known with what another import says.

    Once said, sessions stay; an instrument has volume if all of its files have. The first spelling
    of the symbol is kept. `check_timeframe` comes before.
    """
    if before is None:
        return said
    return replace(
        before,
        sessions=before.sessions or said.sessions,
        has_volume=before.has_volume and said.has_volume,
        original=before.original or said.original,
    )


def check_timeframe(symbol: str, stored_ms: int | None, timeframe_ms: int) -> None:
    """Raise `OtherTimeframe` unless bars of `timeframe_ms` may be added to the stored ones.

    `stored_ms` is None where nothing is stored. Raises `ValueError` for a length that is none.
    """
    if timeframe_ms < MINUTE_MS or timeframe_ms % MINUTE_MS or DAY_MS % timeframe_ms:
        raise ValueError(f"bars are whole minutes long and fill a day, got {timeframe_ms} ms")
    if stored_ms is None or stored_ms == timeframe_ms:
        return
    raise OtherTimeframe(
        f"{symbol} is stored as {length(stored_ms)} bars, and these are {length(timeframe_ms)} "
        "bars: an instrument has bars of one length; delete it first, or import under another "
        "symbol"
    )


def length(timeframe_ms: int) -> str:
    """Write a length of bars as `1m`, `4h` or `1d`."""
    minutes = timeframe_ms // MINUTE_MS
    for unit, of_minutes in (("d", 1440), ("h", 60)):
        if minutes % of_minutes == 0:
            return f"{minutes // of_minutes}{unit}"
    return f"{minutes}m"


def normalised(symbol: str) -> str:
    """Return the one spelling of a symbol: `BTC/USDT`, `btc-usdt` and `btcusdt` are `BTCUSDT`.

    What is no separator stays: `BTC/USDT:USDT`, a perpetual, is another instrument.
    """
    spelled = symbol.translate(SEPARATORS).upper()
    return spelled or symbol
