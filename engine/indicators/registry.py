"""Every indicator by id: those declared here and those of installed packages. Free of numba."""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib import import_module

from engine.indicators import plugins
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
from engine.indicators.plugins import Plugin

__all__ = [
    "INPUTS",
    "RULES",
    "SOURCES",
    "DeclarationError",
    "Indicator",
    "Output",
    "Param",
    "Plugin",
    "Rule",
    "UnknownIndicator",
    "UnknownOutput",
    "catalogue",
    "get",
    "left_out",
    "left_out_with",
    "plugin_with",
]

FAMILIES = ("ma", "momentum", "structure", "trend", "volatility", "volume")


class UnknownIndicator(LookupError):
    """No indicator has this id; the hint names the closest ones and what was left out."""

    def __init__(self, message: str, search: Callable[[], str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.search = search

    @property
    def hint(self) -> str | None:
        """What to write instead, where that is known; looked for when it is asked."""
        return self.search() if self.search is not None else None

    def __str__(self) -> str:
        hint = self.hint
        return f"{self.message}; {hint}" if hint else self.message


def get(indicator_id: str) -> Indicator:
    """Return the indicator of this id. Raises `UnknownIndicator`."""
    known = _found()[0]
    if indicator_id in known:
        return known[indicator_id]
    plugin = left_out_with(indicator_id)
    if plugin is not None:
        raise UnknownIndicator(
            f"indicator {indicator_id!r} is not available: "
            f"{plugin} could not be loaded: {plugin.error}"
        )
    raise UnknownIndicator(
        f"unknown indicator {indicator_id!r}", partial(_hint, indicator_id, known)
    )


def _hint(indicator_id: str, known: Collection[str]) -> str:
    close = _alike(indicator_id, known)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"
    for plugin in left_out():
        hint += f"; {plugin} could not be loaded: {plugin.error}"
    return hint


def _alike(indicator_id: str, known: Collection[str]) -> list[str]:
    """Return the ids whose last part is that of this one, else the closest; case does not count."""
    by_last: dict[str, list[str]] = {}
    for name in known:
        by_last.setdefault(_last_part(name), []).append(name)
    last = _last_part(indicator_id)
    if last in by_last:
        return sorted(by_last[last])
    whole = get_close_matches(indicator_id.casefold(), known, n=3)
    parts = get_close_matches(last, by_last, n=3)
    return list(dict.fromkeys([*whole, *(name for part in parts for name in by_last[part])]))[:3]


def _last_part(indicator_id: str) -> str:
    return indicator_id.casefold().rpartition(".")[2]


def catalogue() -> tuple[Indicator, ...]:
    """Return every indicator, sorted by id."""
    known = _found()[0]
    return tuple(known[indicator_id] for indicator_id in sorted(known))


def left_out() -> tuple[Plugin, ...]:
    """Return the plugins that could not be loaded."""
    return tuple(plugin for plugin in _found()[1] if plugin.error is not None)


def left_out_with(indicator_id: str) -> Plugin | None:
    """Return the plugin that could not be loaded and whose name this unknown id begins with."""
    if indicator_id in _found()[0]:
        return None
    owner = indicator_id.partition(".")[0]
    return next((plugin for plugin in left_out() if plugin.name == owner), None)


def plugin_with(indicator_id: str) -> Plugin | None:
    """Return the plugin that brought this indicator; None for one of ours, or unknown."""
    return next(
        (
            plugin
            for plugin in _found()[1]
            if any(indicator.id == indicator_id for indicator in plugin.indicators)
        ),
        None,
    )


@lru_cache(maxsize=1)
def _found() -> tuple[dict[str, Indicator], tuple[Plugin, ...]]:
    """Return every indicator by id, and all installed plugins."""
    by_id: dict[str, Indicator] = {}
    for family in FAMILIES:
        for indicator in import_module(f"engine.indicators.{family}").INDICATORS:
            by_id[indicator.id] = indicator
    loaded = []
    for entry_point in plugins.installed():
        plugin = plugins.load(entry_point, taken=by_id)
        by_id |= {indicator.id: indicator for indicator in plugin.indicators}
        loaded.append(plugin)
    return by_id, tuple(loaded)
