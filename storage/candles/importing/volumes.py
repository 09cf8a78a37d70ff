"""Which of several volumes is the one in base units: the quote volume and the prices prove it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from storage.candles.importing.numbers import as_numbers
from storage.candles.records import Float64

# Contracts, where another column has the base volume.
CONTRACTS, BASE_OF_CONTRACTS = ("vol", "volume"), "volccy"


def best_volume(
    found: Sequence[int],
    names: Sequence[str],
    sample: Sequence[Any],
    *,
    close: int,
    quote: int | None,
) -> tuple[int, int | None, str | None]:
    """Choose among the columns at the positions `found`, the usual one first.

    Returns the position of the volume, that of one that was set aside because it was always 0, and
    what a user should know of the choice.
    """
    volumes = {i: as_numbers(sample[i]) for i in found}
    prices, first = as_numbers(sample[close]), found[0]
    if quote is not None:
        turnover = as_numbers(sample[quote])
        proven = [i for i in found if _is_base_volume(volumes[i], turnover, prices)]
        if proven:
            return proven[0], None, _note(names, first, proven[0], f"{names[quote]!r} proves")
    plain = [name.lower() for name in names]
    if plain[first] in CONTRACTS and BASE_OF_CONTRACTS in plain:
        base = plain.index(BASE_OF_CONTRACTS)
        if not _is_base_volume(volumes[first], as_numbers(sample[base]), prices):
            proof = "their ratio, which is no price, proves"
            return base, None, _note(names, first, base, proof)
    traded = [i for i in found if np.nansum(volumes[i]) > 0]
    if traded and traded[0] != first:
        note = (
            f"volume is that of column {names[traded[0]]!r}, because {names[first]!r} is always 0"
        )
        return traded[0], first, note
    return first, None, None


def count_base_volume(
    volume: Float64, turnover: Float64, low: Float64, high: Float64
) -> tuple[int, int]:
    """Count the rows where turnover / volume lies around low and high, and those with a volume."""
    traded = (volume > 0) & (turnover > 0)
    average = turnover[traded] / volume[traded]
    # Half and double: volumes are rounded, and a bar's average is not its close.
    near = (average > 0.5 * low[traded]) & (average < 2 * high[traded])
    return int(near.sum()), int(traded.sum())


def _is_base_volume(volume: Float64, turnover: Float64, close: Float64) -> bool:
    """Say whether turnover / volume is a price in most rows that have a volume."""
    proven, tried = count_base_volume(volume, turnover, close, close)
    return tried > 0 and 2 * proven > tried


def _note(names: Sequence[str], first: int, taken: int, proof: str) -> str | None:
    if taken == first:
        return None
    return (
        f"volume is that of column {names[taken]!r}, which is in base units as {proof}; "
        f"{names[first]!r} is not"
    )
