"""Reading documents of older versions: each step turns one version into the next.

A step keeps what the document asked for, so what a new key means to it is what the program did
before there was the key. A new key thus never makes a stored job unreadable.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.request.entries import TABLE
from engine.request.fields import Field, RequestError
from engine.request.members import read_value
from engine.request.model import FIRST_EXECUTION, FIRST_POSITION, VERSION
from engine.request.words import shown

Document = Mapping[str, Any]

FIRST_RESULT_BYTES_MAX = 32 * 2**20
"""The budget of requests that were stored before they named one."""


def upgraded(document: Any, *, unnamed: int) -> Any:
    """Return a document in the newest version; one that names no version is of version `unnamed`.

    Raises RequestError when the version is not known. What is no object is left to the reader.
    """
    if not isinstance(document, Mapping):
        return document
    version = unnamed
    if "version" in document:
        field = Field(document["version"], "version", [])
        read = read_value(field, TABLE.at("version"))
        if read is not None and read > VERSION:
            field.refuse(
                f"is {shown(field.value)}, and this program reads versions up to {VERSION}: "
                "upgrade the program, or leave the version out"
            )
        if field.errors:
            raise RequestError(field.errors)
        version = read
    for step in STEPS[version - 1 :]:
        document = step(document)
    return {**_with_first_execution(document), "version": VERSION}


def _lists_of_distinct_outcomes(document: Document) -> Document:
    """From 1 to 2: lists held variants that trade alike, and no number of trades was asked for."""
    ranking = document.get("ranking", {})
    if isinstance(ranking, Mapping):
        ranking = {"min_trades": 0, "distinct": False, **ranking}
    return {
        "result_bytes_max": FIRST_RESULT_BYTES_MAX,
        "validation": None,
        **document,
        "ranking": ranking,
    }


def _flat_on_neutral_at_closes(document: Document) -> Document:
    """From 2 to 3: nothing was held without a signal, and all was filled and seen at closes.

    All blocks were on the timeframe of the template, and such a block names none.
    """
    template = document.get("template")
    if not isinstance(template, Mapping):
        return document
    first: Document = {"position": FIRST_POSITION, "exit_grids": []}
    return {**document, "template": {**first, **template}}


def _nothing_kept_aside(document: Document) -> Document:
    """From 3 to 4: every winner was chosen on all bars, and the member for it was null."""
    return {"validation": None, **document}


def _with_first_execution(document: Document) -> Document:
    """Name what an execution of any version may leave out, for keys and hashes leave it out too."""
    template = document.get("template")
    execution = template.get("execution") if isinstance(template, Mapping) else None
    if not isinstance(template, Mapping) or not isinstance(execution, Mapping):
        return document
    execution = {**FIRST_EXECUTION, **execution}
    return {**document, "template": {**template, "execution": execution}}


STEPS: tuple[Callable[[Document], Document], ...] = (
    _lists_of_distinct_outcomes,
    _flat_on_neutral_at_closes,
    _nothing_kept_aside,
)
"""At position n - 1 the step from version n to n + 1."""
