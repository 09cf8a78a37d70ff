"""One variant of a sweep as a request of its own, or as a strategy to keep.

A row of a job keeps its report; every other variant of the grid is computed again when somebody
asks for it, by a request that has no other variant.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.grid import Variants
from engine.request import Request, canonical_json, parse, sha256_hex
from engine.request.model import FIRST_EXECUTION


class OneVariant(NamedTuple):
    """A variant of a parent: its values as rows store them, its key, and a request for it alone."""

    base_index: int
    payload: dict[str, Any]
    variant_key: str
    request: dict[str, Any]


def base_variant(parent: Mapping[str, Any], base_index: int) -> OneVariant:
    """Return a variant of stage A, which has no risk levels but a stop that sizes its trades.

    `parent` is an effective request of any version. Raises IndexError with the range there is.
    """
    wanted = parse(parent)
    return _alone(wanted, base_index, Variants.of(wanted).base_variant(base_index))


def variant_by_index(parent: Mapping[str, Any], variant_index: int) -> OneVariant:
    """Return a variant with its risk levels, by the index that rows store.

    `parent` is an effective request of any version. Raises IndexError with the range there is.
    """
    wanted = parse(parent)
    variants = Variants.of(wanted)
    return _alone(wanted, variants.split(variant_index)[0], variants.variant(variant_index))


def template_of(effective: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template of one variant: each axis of the request is reduced to its value.

    `payload` is what a row of the request's job stores as its parameters. A template holds neither
    the time range nor the warm-up, so it can be run on any other range.
    """
    return {
        **effective["template"],
        "indicator_grids": [_block(block) for block in payload["blocks"]],
        "exit_grids": [_block(block) for block in payload.get("exit_blocks", ())],
        "execution": _execution(effective["template"]["execution"], payload["execution"]),
        "risk_grid": {
            name: None if level is None else _only(level) for name, level in payload["risk"].items()
        },
    }


def _alone(parent: Request, base_index: int, payload: dict[str, Any]) -> OneVariant:
    document = parent.document
    request = {
        **document,
        "template": template_of(document, payload),
        "preselect": 1,
        "top_k": 1,
        "top_trades_n": 1,
    }
    # How much may be stored is a matter of the service that computes it, not of the variant.
    del request["result_bytes_max"]
    return OneVariant(base_index, payload, sha256_hex(canonical_json(payload)), request)


def _block(values: Mapping[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {name: values[name] for name in ("name", "indicator_id", "output")}
    if values["source"] is not None:
        block["source"] = _only(values["source"])
    if "timeframe" in values:
        block["timeframe"] = values["timeframe"]
    for part in ("params", "signals"):
        block[part] = {name: _only(value) for name, value in values[part].items()}
    return block


def _execution(asked: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return how all variants trade, with the percent of this one, which may be an axis."""
    if "percent" not in asked:  # of an earlier version
        return {**asked}
    return {**asked, "percent": values.get("percent", FIRST_EXECUTION["percent"])}


def _only(value: float | str) -> dict[str, Any]:
    return {"mode": "explicit", "values": [value]}
