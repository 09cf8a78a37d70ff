"""What a whole file proves about itself: columns, instruments, the unit of its volume."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from storage.candles.importing.choices import Choices
from storage.candles.importing.errors import CandleFileError
from storage.candles.importing.layout import EXAMPLE, INSTRUMENT
from storage.candles.importing.pieces import MOST_NAMES
from storage.candles.importing.spool import Overlaps
from storage.candles.importing.volumes import count_base_volume
from storage.candles.records import PRICES, Float64, Int64

# Where so many rows are replaced by others of the same time with other values, they are not one
# instrument's.
REPLACED = 0.05


@dataclass(slots=True)
class Evidence:
    """Counts over the rows of one file."""

    file: str
    choices: Choices
    kept: int = 0
    unsorted: int = 0
    inconsistent: int = 0
    first_inconsistent: str = ""
    traded: bool = False
    proven_volume: int = 0
    tried_volume: int = 0
    average: float = 0.0
    _highest: Float64 = field(default_factory=lambda: np.zeros(4))
    _latest: int = -1

    def add(self, times: Int64, values: Float64, turnover: Float64 | None) -> None:
        """Take the usable rows of a piece as they stand in the file."""
        if len(times) == 0:
            return
        self.kept += len(times)
        latest = np.maximum.accumulate(np.concatenate(([self._latest], times)))
        self.unsorted += int((times < latest[:-1]).sum())
        self._latest = int(latest[-1])
        self.traded = self.traded or bool(values[:, 4].any())
        opened, high, low, close = (values[:, i] for i in range(4))
        wrong = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
        if wrong.any():
            if not self.first_inconsistent:
                numbers = values[np.argmax(wrong), :4]
                self.first_inconsistent = ", ".join(
                    f"{name} {number:g}" for name, number in zip(PRICES, numbers, strict=True)
                )
            self.inconsistent += int(wrong.sum())
            self._highest += np.bincount(values[wrong, :4].argmax(axis=1), minlength=4)
        if turnover is not None:
            proven, tried = count_base_volume(values[:, 4], turnover, low, high)
            self.proven_volume += proven
            self.tried_volume += tried
            if tried and not proven and not self.average:
                at = int(np.argmax((values[:, 4] > 0) & (turnover > 0)))
                self.average = float(turnover[at] / values[at, 4])

    def check_columns(self, names: tuple[str, str] | None) -> None:
        """Raise if prices or volume contradict their names; `names` are of volume and turnover."""
        if 2 * self.inconsistent > self.kept:
            highest = PRICES[int(np.argmax(self._highest))]
            raise CandleFileError(
                f"{self.file}: high >= open, close >= low does not hold in {self.inconsistent} of "
                f"{self.kept} rows (the first: {self.first_inconsistent}), and the highest price "
                f"is mostly in column {highest!r}: the columns are named wrongly. Name them from "
                f"left to right with --columns {EXAMPLE}"
            )
        if names is not None and 2 * self.proven_volume < self.tried_volume:
            volume, turnover = names
            raise CandleFileError(
                f"{self.file}: column {volume!r} is no volume in base units: {turnover!r} divided "
                f"by it is no price in {self.tried_volume - self.proven_volume} of "
                f"{self.tried_volume} rows ({self.average:g} in the first). Name the columns from "
                f"left to right with --columns {EXAMPLE}, and - for the volume that is not meant"
            )

    def check_instruments(
        self, labels: Mapping[str, set[str]], symbol: str, market_id: int, own: str | None
    ) -> str | None:
        """Return what the file calls the instrument; raise if that is another one, or several."""
        original = own
        conditions = {name.lower(): value for name, value in self.choices.where.items()}
        if own is not None and not _same(own, symbol):
            raise self._other_symbol(own, symbol, None)
        for name, values in labels.items():
            plain = name.strip("\"'<>").lower()
            is_instrument = INSTRUMENT.fullmatch(plain.replace(" ", "_")) is not None
            if plain in conditions:
                original = conditions[plain] if is_instrument else original
                continue
            if not values:
                continue
            some = sorted(values)
            if plain == "s" and not all(re.search("[A-Z]", value) for value in some):
                # A spread or a status, for so short a name says little.
                continue
            if plain == "market_id":
                if some != [str(market_id)]:
                    raise CandleFileError(
                        f"{self.file}: column {name!r} says {' and '.join(some[:2])}, but "
                        f"--market-id says {market_id}. If this is meant, type "
                        f"--where {name}={some[0]}"
                    )
            elif is_instrument and len(some) > 1:
                raise CandleFileError(
                    f"{self.file}: the file mixes instruments ({some[0]} and {some[1]}, column "
                    f"{name!r}); import one after the other with --where {name}={some[0]}"
                )
            elif is_instrument and plain != "market":
                if not _same(some[0], symbol):
                    raise self._other_symbol(some[0], symbol, name)
                original = some[0]
        return original

    def check_overlaps(self, overlaps: Overlaps, labels: Mapping[str, set[str]]) -> None:
        """Raise if one time often has several bars with different values."""
        allowed = max(2, REPLACED * self.kept, self.choices.max_bad_rows or 0)
        if overlaps.conflicts <= allowed:
            return
        several = {n: sorted(v) for n, v in labels.items() if 1 < len(v) <= MOST_NAMES}
        what = (
            "it holds several instruments or timeframes"
            if not several
            else " and ".join(
                f"column {name!r} has {len(values)} values ({', '.join(values[:3])})"
                for name, values in several.items()
            )
        )
        name, value = next(((n, v[0]) for n, v in several.items()), ("COLUMN", "VALUE"))
        raise CandleFileError(
            f"{self.file}: {overlaps.conflicts} of {self.kept} rows have the time of another row "
            f"and other values: {what}. Import one after the other with --where {name}={value}, "
            f"or type --max-bad-rows {overlaps.conflicts} to keep the last row of each time"
        )

    def _other_symbol(self, own: str, symbol: str, column: str | None) -> CandleFileError:
        meant = "rename the file" if column is None else f"type --where {column}={own}"
        where = "its name" if column is None else f"column {column!r}"
        return CandleFileError(
            f"{self.file}: {where} says {own}, but --symbol says {symbol}. If this is "
            f"meant, {meant}"
        )


def _same(own: str, symbol: str) -> bool:
    """Say whether two spellings can mean one instrument, such as BTC/USDT, BTC and BTCUSDT."""
    ours = _letters(symbol)
    # Exchanges stand before a colon, what a contract is settled in behind it.
    spellings = [letters for letters in map(_letters, own.split(":")) if len(letters) > 1]
    return any(_begins(ours, theirs) or _begins(theirs, ours) for theirs in spellings)


def _begins(whole: str, start: str) -> bool:
    """Say whether a spelling goes on to another one, and not to another currency: USD to USDT."""
    rest = whole.removeprefix(start)
    coin = start.endswith(("USD", "EUR")) and rest.startswith(("T", "C"))
    return whole.startswith(start) and not coin


def _letters(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())
