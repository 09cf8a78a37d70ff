"""Answers as bytes: the same document always becomes the same ones."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document as an answer, see `encoded`."""
    return Response(encoded(document), status, headers, JSON)


def encoded(document: Any) -> bytes:
    """Return a document as JSON in UTF-8, without spaces, in its own order of keys.

    Beside the types of JSON it may hold times, which become `2024-01-01T00:00:00Z` with
    microseconds where there are some, and UUIDs.
    """
    try:
        return orjson.dumps(document, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:
        # Half a surrogate pair is no UTF-8, a number of more than 64 bits is not for orjson.
        return _slowly(document)


def _slowly(document: Any) -> bytes:
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )
    # The escape of half a surrogate pair is JSON like any other character's.
    return text.encode("utf-8", errors="backslashreplace")


def _plain(value: Any) -> Any:
    plain = orjson.dumps(value, option=orjson.OPT_UTC_Z)  # times, UUIDs
    return orjson.loads(plain)


def nothing(headers: Mapping[str, str] | None = None) -> Response:
    """Return 204."""
    return Response(status_code=204, headers=headers)
