"""Values and counts as they stand in a sentence: on one line, and short."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

FILLS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "entry_fill": MappingProxyType({"next_open": "entries at the next open"}),
        "stop_fill": MappingProxyType({"intrabar": "stops inside bars"}),
    }
)
"""What is said of a request's fills where they are not the default, by field and choice."""

HELD = "positions held until a signal against them"
PAUSE = "no entry for {bars} after a stop or target"
LEVERAGE = "leverage {times}"
CARRY: Mapping[str, str] = MappingProxyType(
    {
        "funding_pct_per_8h": "funding {percent} % every 8 hours",
        "borrow_pct_per_year": "borrowing {percent} % a year",
    }
)
"""What is said of the costs of holding where there are any, by field."""
STORED_CARRY: Mapping[str, str] = MappingProxyType({"funding_pct_per_8h": "funding as stored"})
"""What is said of one that the candle store tells."""

EXIT = "exit "
"""What the names of exit blocks begin with where people read them. Other names hold no spaces."""


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


def position_text(template: Mapping[str, Any]) -> str:
    """Say what positions are beyond their signals; nothing where they end with them.

    `template` is that of a request of any version, or a variant.
    """
    said = [HELD] if template.get("position") == "hold" else []
    if bars := template["execution"].get("reentry_after_bars"):
        said.append(PAUSE.format(bars=f"{bars:,} bar{'' if bars == 1 else 's'}"))
    return ", ".join(said)


def sizing_text(template: Mapping[str, Any]) -> str:
    """Say how positions are sized, of a template or a variant; a percent is an axis of its own."""
    mode: str = template["sizing_mode"]
    if mode == "risk_per_trade":
        # Where it is 1, keys and rows of variants leave it out.
        return f"risk per trade {plain(template['execution'].get('risk_per_trade_pct', 1))} %"
    return mode.replace("_", " ")


def leverage_text(execution: Mapping[str, Any]) -> str:
    """Say how many times its margin a position is; nothing without leverage."""
    times = execution.get("leverage")
    return "" if times is None else LEVERAGE.format(times=plain(times))


def carry_text(execution: Mapping[str, Any]) -> str:
    """Say what it costs to hold a position; nothing where that is free."""
    return ", ".join(
        STORED_CARRY[name] if cost == "stored" else words.format(percent=plain(cost))
        for name, words in CARRY.items()
        if (cost := execution.get(name))
    )


def modes_text(template: Mapping[str, Any]) -> str:
    """Say everything that is not the default of how signals become trades; or nothing."""
    execution = template["execution"]
    said = position_text(template), fills_text(execution), leverage_text(execution)
    return ", ".join(filter(None, (*said, carry_text(execution))))


def titled(
    entries: Iterable[Mapping[str, Any]], exits: Iterable[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return blocks, of a template or a variant, by what people call them."""
    return {
        prefix + block_title(block["name"], block.get("timeframe")): block
        for prefix, blocks in (("", entries), (EXIT, exits))
        for block in blocks
    }


def block_title(name: str, timeframe: str | None) -> str:
    """Return what a block is called; `timeframe` is its own, None where that is the template's."""
    return name if timeframe is None else f"{name} {timeframe}"


def counted(count: int) -> str:
    """Return a count in digits, or its order of magnitude when nobody would read them."""
    return str(count) if count < 10**24 else f"about 10^{int(count.bit_length() * 0.30103)}"
