"""Name and note of a job: beside its request, and outside all hashes of it."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from engine.request.fields import Field, FieldError, RequestError
from engine.request.words import shown

LABEL = ("name", "note")
MAX_NAME = 120
MAX_NOTE = 4_000

_LINES = "\n\r\t"
_JOINERS = "\u200c\u200d"  # in emoji, and in scripts that join letters


def read_label(document: Any) -> tuple[str | None, str | None, Any]:
    """Return name, note and the rest of a document; null and no name are both None.

    Raises RequestError with the paths `name` and `note`. What is no object is returned as it is.
    """
    if not isinstance(document, Mapping):
        return None, None, document
    errors: list[FieldError] = []
    given = {key: Field(document.get(key), key, errors) for key in LABEL}
    name = _read_text(given["name"], MAX_NAME, "")
    note = _read_text(given["note"], MAX_NOTE, _LINES)
    if name is not None and all(one.isspace() or one in _JOINERS for one in name):
        given["name"].refuse("is blank: give it letters or digits, or leave it out")
    if errors:
        raise RequestError(errors)
    return name, note, {key: value for key, value in document.items() if key not in LABEL}


def _read_text(field: Field, longest: int, allowed: str) -> str | None:
    text = field.value
    if text is None:
        return None
    if not isinstance(text, str):
        field.refuse(f"must be text, got {shown(text)}")
        return None
    if len(text) > longest:
        field.refuse(f"has {len(text)} characters, the limit is {longest}: shorten it")
        return None
    for position, character in enumerate(text):
        if not (character in allowed or printable_in_names(character)):
            lines = ", new lines and tabs" if allowed else ""
            field.refuse(
                f"has {shown(character)} as character {position + 1}: printable text{lines} "
                "may stand there; remove it"
            )
            return None
    return text


def printable_in_names(character: str) -> bool:
    """Whether a character may stand in a name: no control, no half of a pair, no override.

    Beyond what Python prints as it is, these are all spaces, and what joins the parts of an emoji.
    """
    spaces = unicodedata.category(character) == "Zs"
    return character.isprintable() or spaces or character in _JOINERS
