"""Answers as bytes: the same document always becomes the same ones."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

JSON = "application/json"


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document of JSON types as an answer. Raises ValueError for NaN and infinity."""
    return Response(encoded(document), status, headers, JSON)


def encoded(document: Any) -> bytes:
    """Return a document as JSON in UTF-8, without spaces, in its own order of keys."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a surrogate pair is no UTF-8; its escape is JSON like any other character's.
    return text.encode("utf-8", errors="backslashreplace")


def nothing(headers: Mapping[str, str] | None = None) -> Response:
    """Return 204."""
    return Response(status_code=204, headers=headers)
