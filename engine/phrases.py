"""Numbers in sentences: counts, shares and returns in the few figures that people read."""

import math
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_LARGEST_PERCENT = 1e6
_MINUS = "\N{MINUS SIGN}"


def made(total_return: float | None) -> str:
    """Say what a variant made."""
    if total_return is None:
        return "has no return that could be stated: its money overflowed"
    if total_return <= -100.0:
        return "was ruined: it lost all its money"
    if total_return < 0.0:
        return f"lost money: {percent(total_return)}"
    if total_return == 0.0:
        return "neither made nor lost money"
    return f"made {percent(total_return)}"


def moved(total_return: float | None) -> str:
    """Say the same in few words, for a sentence that has to say it twice."""
    if total_return is None:
        return "overflowed"
    return f"{'lost' if total_return < 0.0 else 'made'} {percent(abs(total_return))}"


def whole(number: int) -> str:
    """Return `601 328`."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, noun: str) -> str:
    """Return `1 variant`, `601 328 variants`."""
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return a share as a percentage that says neither 0 nor 100 where it is only near."""
    if 0 < part < whole:
        if part / whole > 0.99:
            return "more than 99 %"
        return percent(100.0 * part / whole)
    return "0 %" if part == 0 else "100 %"


def percent(value: float) -> str:
    """Return `−97 %`, `1.5 %`, `0.02 %`; never 0 for what is not."""
    size = abs(value)
    if size > _LARGEST_PERCENT:
        return f"more than {whole(int(_LARGEST_PERCENT))} %"
    if 0.0 < size < 0.01:
        return "less than 0.01 %"
    places = 0 if size >= 10.0 else 1 if size >= 1.0 else 2
    digits = f"{size:,.{places}f}".replace(",", " ")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return f"{_MINUS if value < 0.0 else ''}{digits} %"


def object_of(part: Any) -> Json:
    """Return what is an object, and one without members in place of anything else."""
    return part if isinstance(part, Mapping) else {}


def number_of(value: Any) -> float | None:
    """Return what is a finite number; None in place of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def count_of(value: Any) -> int | None:
    """Return what is a whole number from 0 on; None in place of anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
