"""Values and counts as they stand in a sentence: on one line, and short."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FILLS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "entry_fill": MappingProxyType({"next_open": "entries at the next open"}),
        "stop_fill": MappingProxyType({"intrabar": "stops inside bars"}),
    }
)
"""What is said of a request's fills where they are not the default, by field and choice."""


def shown(value: Any) -> str:
    """Return a value as JSON, shortened to fit into a sentence."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(key: object) -> str:
    """Return a key as it may stand in a path: on one line, and short."""
    return repr(str(key)[:60])[1:-1]


def plain(number: float) -> str:
    """Return a bound without a trailing `.0`."""
    whole = isinstance(number, int) or float(number).is_integer()
    return str(int(number)) if whole else repr(number)


def fills_text(execution: Mapping[str, Any]) -> str:
    """Say what is not filled at closes; nothing where all is, as in requests that name no fills.

    `execution` is that of a request of any version, or of a variant.
    """
    return ", ".join(
        words[execution[name]] for name, words in FILLS.items() if execution.get(name) in words
    )


def exit_title(name: str) -> str:
    """Return what people call an exit block. No block is named so: names hold no spaces."""
    return f"exit {name}"


def counted(count: int) -> str:
    """Return a count in digits, or its order of magnitude when nobody would read them."""
    return str(count) if count < 10**24 else f"about 10^{int(count.bit_length() * 0.30103)}"
