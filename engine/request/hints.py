"""Hints for what nobody knows: the key that was meant, or the place where it belongs."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from engine.indicators import registry
from engine.request.block_entries import AXES, EXIT_GRIDS, GRIDS
from engine.request.entries import TABLE
from engine.request.label import LABEL
from engine.request.saved import SAVED
from engine.request.table import ANY

TOP = "the top of the request"


def misplaced(key: object, parent: str, known: Sequence[str], path: str) -> str:
    """Return what to do about a key that the object at `parent` of the table does not have.

    `path` is where the object stands in the document.
    """
    grids = EXIT_GRIDS if path.startswith(EXIT_GRIDS) else GRIDS
    places = [place.replace(GRIDS, grids) for place in _places(str(key)) if place != parent]
    if places:
        return f"it belongs in {' or '.join(place or TOP for place in places)}"
    if alike(key, known):
        return suggestion(key, known)
    elsewhere = alike(key, [entry.name for entry in TABLE.entries])
    if elsewhere:
        paths = [
            f"{place.replace(GRIDS, grids)}.{name}".lstrip(".")
            for name in elsewhere
            for place in _places(name)
        ]
        return f"did you mean {' or '.join(dict.fromkeys(paths))}?"
    return suggestion(key, known)


def suggestion(text: object, known: Sequence[str]) -> str:
    """Return "did you mean …" when something known is close, else what is known."""
    close = alike(text, known)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}"


def alike(text: object, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that are close, whatever their case."""
    folded = {name.casefold(): name for name in known}
    return [folded[name] for name in get_close_matches(str(text)[:100].casefold(), folded, n=3)]


def _places(key: str) -> list[str]:
    """Return the paths of all objects that have this key."""
    places = [entry.parent for entry in TABLE.entries if entry.name == key != ANY]
    places += [""] if key in (*LABEL, *SAVED) else []
    params, signals = AXES
    for indicator in registry.catalogue():
        if any(param.name == key for param in indicator.params):
            places.append(params)
        if key in indicator.signal_params:
            places.append(signals)
    return list(dict.fromkeys(places))
