"""What is known of an instrument beside its bars, and which files they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from storage.candles.records import MINUTE_MS

DAY_MS = 1440 * MINUTE_MS
SEPARATORS = str.maketrans("", "", "/-_ ")


@dataclass(frozen=True, slots=True)
class Known:
    """What an import said. Without one, bars are minutes with volume of a market that never closes.

    `timeframe_ms` is the length of its stored bars. Each opens `phase_ms` after a multiple of it:
    hours of an exchange that begins at half past, days that begin at 22:00 UTC. `sessions` means
    that the market closes daily or weekly: bars that are not there are not made up. `original` is
    the symbol as it was first written.
    """

    timeframe_ms: int = MINUTE_MS
    sessions: bool = False
    has_volume: bool = True
    original: str = ""
    phase_ms: int = 0


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that was imported whole: its name, and the sha256 of its bytes as hex digits.

    `rows` is how many candles it holds. `imported_at` (UTC) is said by the store.
    """

    name: str
    sha256: str
    rows: int = 0
    imported_at: datetime | None = None


class OtherTimeframe(ValueError):
    """Bars of another length, or with other opens, than those an instrument is stored with."""


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
    of the symbol is kept. `check_form` comes before.
    """
    if before is None:
        return said
    return replace(
        before,
        sessions=before.sessions or said.sessions,
        has_volume=before.has_volume and said.has_volume,
        original=before.original or said.original,
    )


def check_form(symbol: str, stored: Known | None, said: Known) -> None:
    """Raise `OtherTimeframe` unless bars as `said` describes them may be added to the stored ones.

    `stored` is None where nothing is stored. Raises `ValueError` for a length or a phase that is
    none.
    """
    step, phase = said.timeframe_ms, said.phase_ms
    if step < MINUTE_MS or step % MINUTE_MS or DAY_MS % step:
        raise ValueError(f"bars are whole minutes long and fill a day, got {step} ms")
    if not 0 <= phase < step or phase % MINUTE_MS:
        raise ValueError(f"bars of {length(step)} open at whole minutes, got a phase of {phase} ms")
    if stored is None:
        return
    if stored.timeframe_ms != step:
        raise OtherTimeframe(
            f"{symbol} is stored as {length(stored.timeframe_ms)} bars, and these are "
            f"{length(step)} bars: an instrument has bars of one length; delete it first, or "
            "import under another symbol"
        )
    if stored.phase_ms != phase:
        raise OtherTimeframe(
            f"{symbol} is stored as bars that open {opening(stored)}, and these open "
            f"{opening(said)}: check the zone of their times (--tz), type --align-opens if a "
            "change of the clock is the reason, or delete it first"
        )


def opening(known: Known) -> str:
    """Say when bars open: `at 22:00 UTC`, `30 minutes after each 1h`."""
    hours, minutes = divmod(known.phase_ms // MINUTE_MS, 60)
    if known.timeframe_ms == DAY_MS:
        return f"at {hours:02d}:{minutes:02d} UTC"
    return f"{known.phase_ms // MINUTE_MS} minutes after each {length(known.timeframe_ms)}"


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
