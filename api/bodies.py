"""The body of a call: JSON within limits of size, depth and time."""

import asyncio
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from api.context import of
from api.errors import ApiError
from engine.request import RequestError, read_json

MEDIA_TYPE = "application/json"

SHORT_BYTES = 2**14
"""A longer text is read beside the event loop: the longest takes most of a second."""


async def json_body(request: Request) -> Any:
    """Return the document that a call brings.

    Raises 415 for another type, 413 for too many bytes, 408 for too slow ones and 400 for what is
    no JSON.
    """
    _check_type(request)
    settings = of(request).api
    try:
        async with asyncio.timeout(settings.body_seconds):
            text = await _read(request, settings.body_bytes_max)
    except TimeoutError:
        raise ApiError(
            408,
            "request_timeout",
            f"the body took longer than {settings.body_seconds:g} s",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise ApiError(400, "malformed", "the body ended too early") from None
    if not text:
        raise ApiError(400, "malformed", "the body is empty: send a JSON document")
    read = partial(
        read_json, text, depth_max=settings.json_depth_max, bytes_max=settings.body_bytes_max
    )
    try:
        return read() if len(text) <= SHORT_BYTES else await to_thread.run_sync(read)
    except RequestError as error:
        raise ApiError(400, "malformed", "; ".join(one.message for one in error.errors)) from None


def _check_type(request: Request) -> None:
    if "content-encoding" in request.headers:
        raise ApiError(415, "unsupported_media_type", "send the body without Content-Encoding")
    given = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in given.split(";"))
    charsets = [part for part in parameters if part.startswith("charset=")]
    utf8 = all(part.removeprefix("charset=").strip('"') == "utf-8" for part in charsets)
    if kind != MEDIA_TYPE or not utf8:
        raise ApiError(
            415, "unsupported_media_type", f"send `Content-Type: {MEDIA_TYPE}`, in UTF-8"
        )


async def _read(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> ApiError:
    # Nobody reads the rest: the connection cannot be used again.
    return ApiError(
        413, "too_large", f"a body may have {limit} bytes", headers={"Connection": "close"}
    )
