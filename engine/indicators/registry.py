"""Every indicator by id: those declared here and those of installed packages. Free of numba."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from engine.indicators.declaration import (
    INPUTS,
    RULES,
    SOURCES,
    DeclarationError,
    Indicator,
    Output,
    Param,
    Rule,
    UnknownOutput,
)

__all__ = [
    "INPUTS",
    "RULES",
    "SOURCES",
    "DeclarationError",
    "Indicator",
    "Output",
    "Param",
    "Rule",
    "UnknownIndicator",
    "UnknownOutput",
    "catalogue",
    "get",
]

FAMILIES = ("ma", "momentum", "structure", "trend", "volatility", "volume")
ENTRY_POINT_GROUP = "backtest.indicators"


class UnknownIndicator(LookupError):
    """No indicator has this id; the message names the closest ones."""


def get(indicator_id: str) -> Indicator:
    """Return the indicator of this id. Raises `UnknownIndicator`."""
    known = _by_id()
    if indicator_id in known:
        return known[indicator_id]
    close = get_close_matches(indicator_id, known, n=3) or sorted(known)
    raise UnknownIndicator(f"unknown indicator {indicator_id!r}; known: {', '.join(close)}")


def catalogue() -> tuple[Indicator, ...]:
    """Return every indicator, sorted by id."""
    known = _by_id()
    return tuple(known[indicator_id] for indicator_id in sorted(known))


@lru_cache(maxsize=1)
def _by_id() -> dict[str, Indicator]:
    found: dict[str, Indicator] = {}
    for family in FAMILIES:
        _add(found, import_module(f"engine.indicators.{family}").INDICATORS, family)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        _add(found, _load(entry_point), f"entry point {entry_point.name} ({entry_point.value})")
    return found


def _load(entry_point: EntryPoint) -> Iterable[Indicator]:
    """Load what an entry point names: one `Indicator` or a collection of them."""
    origin = f"entry point {entry_point.name} ({entry_point.value})"
    try:
        loaded = entry_point.load()
    except (ImportError, AttributeError, DeclarationError) as error:
        raise DeclarationError(f"{origin} of {ENTRY_POINT_GROUP} does not load: {error}") from error
    indicators = (loaded,) if isinstance(loaded, Indicator) else tuple(loaded)
    if not all(isinstance(indicator, Indicator) for indicator in indicators):
        raise DeclarationError(f"{origin} holds something else than indicators")
    return indicators


def _add(found: dict[str, Indicator], indicators: Iterable[Indicator], origin: str) -> None:
    for indicator in indicators:
        if indicator.id in found:
            raise DeclarationError(f"{origin} declares {indicator.id} once more")
        found[indicator.id] = indicator
