"""Indicators of installed packages: found by entry point, each package loaded on its own.

A package that does not load is named and left out: a mistake of one must not take the indicators
of the others away.
"""

import logging
from collections.abc import Container, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from engine.indicators.declaration import DeclarationError, Indicator

ENTRY_POINT_GROUP = "backtest.indicators"
_MAX_ERROR = 300

log = logging.getLogger(__name__)


class PluginFault(Exception):
    """A kernel of a plugin did what it must not do; the message names both and says what."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point and what it brought: indicators, or the error for which it was left out."""

    name: str
    distribution: str
    indicators: tuple[Indicator, ...] = ()
    error: str | None = None

    def __str__(self) -> str:
        """Return the names by which it can be found and uninstalled."""
        return f"plugin {self.name} ({self.distribution})"


def installed() -> tuple[EntryPoint, ...]:
    """Return the entry points of all installed plugins, in an order of their own."""
    found = entry_points(group=ENTRY_POINT_GROUP)
    return tuple(sorted(found, key=lambda point: (point.name, point.value)))


def distribution_of(entry_point: EntryPoint) -> str:
    """Return name and version of what installed it, such as `acme-indicators-1.0.0`."""
    dist = entry_point.dist
    return entry_point.value if dist is None else f"{dist.name}-{dist.version}"


def load(entry_point: EntryPoint, taken: Container[str]) -> Plugin:
    """Return the plugin, left out with one warning when it raises or declares a `taken` id."""
    name, distribution = entry_point.name, distribution_of(entry_point)
    try:
        indicators = _indicators(entry_point.load())
        _refuse_taken(indicators, taken)
    except (Exception, SystemExit) as error:
        plugin = Plugin(name, distribution, error=one_line(error))
        log.warning("%s is left out, it could not be loaded: %s", plugin, plugin.error)
        return plugin
    return Plugin(name, distribution, indicators)


def one_line(error: BaseException) -> str:
    """Return kind and message of an error on one line, shortened to fit into a sentence."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_ERROR]


def _indicators(loaded: Indicator | Iterable[Indicator]) -> tuple[Indicator, ...]:
    indicators = (loaded,) if isinstance(loaded, Indicator) else tuple(loaded)
    if not all(isinstance(indicator, Indicator) for indicator in indicators):
        raise DeclarationError("the entry point holds something else than indicators")
    return indicators


def _refuse_taken(indicators: Iterable[Indicator], taken: Container[str]) -> None:
    own: set[str] = set()
    for indicator in indicators:
        if indicator.id in taken or indicator.id in own:
            raise DeclarationError(f"{indicator.id} is declared once more")
        own.add(indicator.id)
