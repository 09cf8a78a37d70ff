"""Requests that name a saved strategy and what is to be different in it."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from engine.request.entries import TABLE
from engine.request.fields import Field, FieldError, RequestError
from engine.request.merge_patch import merge_patch
from engine.request.words import shown

SAVED = ("strategy_id", "overrides")

ID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class Saved(NamedTuple):
    """A saved strategy, and the patch on `{"template": …}` that makes a request of it."""

    strategy_id: UUID
    overrides: dict[str, Any]


def read_saved(document: Any) -> Saved | None:
    """Return what a document says of a saved strategy; None when it is a request of its own.

    Name and note were taken from it before. Raises RequestError with everything that is wrong.
    """
    if not isinstance(document, Mapping) or not any(key in document for key in SAVED):
        return None
    errors: list[FieldError] = []
    members = Field(document, "", errors).all_members()
    for key, member in members.items():
        if key not in SAVED:
            known = key in TABLE.keys("")
            member.refuse(
                "cannot stand beside strategy_id: the strategy brings a request of its own",
                hint=f"what is to be different belongs in overrides.{key}" if known else None,
            )
    strategy_id = _read_id(members, errors)
    overrides = members.get("overrides", Field({}, "overrides", errors))
    overrides.all_members()  # refused when it is no object
    if strategy_id is None or errors:
        raise RequestError(errors)
    return Saved(strategy_id, dict(overrides.value))


def saved_document(template: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that a saved template and its overrides (RFC 7396) make together."""
    patched: dict[str, Any] = merge_patch({"template": template}, overrides)
    return patched


def _read_id(members: Mapping[str, Field], errors: list[FieldError]) -> UUID | None:
    field = members.get("strategy_id")
    if field is None:
        message = "is missing: overrides change a saved strategy, so name it"
        errors.append(FieldError("strategy_id", message))
        return None
    if not isinstance(field.value, str) or not re.fullmatch(ID_PATTERN, field.value):
        field.refuse(f"must be the id of a saved strategy, a UUID, got {shown(field.value)}")
        return None
    return UUID(field.value)
