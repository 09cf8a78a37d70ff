"""Strict JSON: any bytes are a document that can be stored, or refused with a reason."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.request import FieldError, RequestError, canonical_json, read_json

NUL, HALF = "holds a NUL character", "holds half of a surrogate pair"


def refusals(text: str | bytes, **limits: int) -> tuple[FieldError, ...]:
    with pytest.raises(RequestError) as caught:
        read_json(text, **limits)
    return caught.value.errors


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)


@pytest.mark.parametrize("depth_max", [1, 3, 64])
def test_a_document_may_be_as_deep_as_the_limit_and_no_deeper(depth_max: int) -> None:
    assert read_json(nested(depth_max), depth_max=depth_max) is not None
    (error,) = refusals(nested(depth_max + 1), depth_max=depth_max)
    assert f"line 1: objects and arrays may be {depth_max} deep" in error.message


def test_the_usual_depth_is_64() -> None:
    assert read_json(nested(64)) is not None
    assert "may be 64 deep" in refusals(nested(65))[0].message


def test_the_line_of_what_is_too_deep_is_named() -> None:
    assert "line 3" in refusals('{"a":\n[\n[]]}', depth_max=2)[0].message


def test_brackets_in_strings_are_not_depth() -> None:
    text = json.dumps(['["[[[{{{\\', '"[[[', "{"])
    assert read_json(text, depth_max=1) == json.loads(text)


@pytest.mark.parametrize("deep", [b"[" * 10_000, b'{"a":' * 10_000, b"[" * 10**6])
def test_what_is_very_deep_is_refused_like_what_is_a_little_too_deep(deep: bytes) -> None:
    assert "nested too deeply" in refusals(deep)[0].message


WRONG_VALUES: dict[str, tuple[str, str, str]] = {
    "NUL": ('{"a": {"b": [1, "x\\u0000"]}}', "a.b[1]", NUL),
    "NUL alone": ('"\\u0000"', "request", NUL),
    "first half of a pair": ('["\\ud83d"]', "[0]", HALF),
    "second half of a pair": ('["\\ude00\\ud83d"]', "[0]", HALF),
    "half in raw text": ('["\ud800"]', "[0]", HALF),
    "key with NUL": ('{"a": {"b\\u0000": 1}}', "a.b\\x00", "has a key with a NUL character"),
    "key with half a pair": ('{"\\udfff": 1}', "\\udfff", "has a key with half of a surrogate"),
    "NaN": ('{"a": NaN}', "a", "is NaN"),
    "infinity": ('{"a": [-Infinity]}', "a[0]", "is -Infinity"),
    "beyond floats": ('{"a": 1e999}', "a", "is 1e999, more than a number can hold"),
    "beyond floats below": ('{"a": -1e999}', "a", "is -1e999"),
    "long integer": ('{"a": ' + "7" * 401 + "}", "a", "more digits than can be read"),
    "long fraction": ('{"a": 0.' + "7" * 401 + "}", "a", "more digits than can be read"),
    "long exponent": ('{"a": 1e' + "7" * 401 + "}", "a", "more digits than can be read"),
    "10^6 digits": ("[" + "7" * 10**6 + "]", "[0]", "1000000 characters, the limit is 400"),
    "key twice": ('{"a": {"b": 1, "c": 2, "b": 1}}', "a", 'gives the key "b" twice'),
    "key twice at the top": ('{"a": 1, "a": 1}', "request", 'gives the key "a" twice'),
    "key twice when unescaped": ('{"a": 1, "\\u0061": 1}', "request", 'the key "a" twice'),
}


@pytest.mark.parametrize(("text", "path", "part"), WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_a_value_that_cannot_be_kept_is_refused_with_its_path(
    text: str, path: str, part: str
) -> None:
    (error,) = refusals(text)
    assert error.path == path
    assert part in error.message
    assert f"{error.path}{error.message}".isprintable()
    assert len(error.message) < 200


def test_all_wrong_values_are_named_together() -> None:
    paths = [error.path for error in refusals('{"c": NaN, "a": "\\u0000", "b": [1e999]}')]
    assert paths == ["a", "b[0]", "c"]


def test_of_a_great_many_wrong_values_some_are_named() -> None:
    assert 1 <= len(refusals("[" + '"\\u0000",' * 100_000 + "1]")) <= 20


WRONG_TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": ("  \n", "is empty"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "byte order mark in text": ("\ufeff{}", "byte order mark"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text, byte 1"),
    "utf-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), "line 1, column 2"),
    "not utf-8": (b'{"a": "\xff"}', "byte 8"),
    "surrogate in utf-8": (b'"\xed\xa0\x80"', "is not UTF-8 text"),
    "trailing garbage": ("{}\n x", "line 2, column 2: Extra data"),
    "two documents": ("{} {}", "Extra data"),
    "raw NUL": ('{"a": "\0"}', "line 1, column 8: Invalid control character"),
    "string without an end": (b'"' + b'\\"' * 500_000, "Unterminated string"),
    "quotes": (b'"' * 10**6, "Extra data"),
    "closing first": ("]" * 100 + "[" * 100, "line 1, column 1"),
    "backslash": ('"\\', "Unterminated string"),
    "bytes": (b" " * (2**20 + 1), "has 1048577 bytes, the limit is 1048576"),
    "bytes of text": ("я" * (2**19 + 1), "has 1048578 bytes"),
}


@pytest.mark.parametrize(("text", "part"), WRONG_TEXTS.values(), ids=WRONG_TEXTS.keys())
def test_a_text_that_is_no_document_is_refused_with_the_reason(
    text: str | bytes, part: str
) -> None:
    (error,) = refusals(text)
    assert error.path == "request"
    assert part in error.message


def test_the_limit_of_bytes_can_be_given() -> None:
    assert read_json(b'{"a":1}', bytes_max=7) == {"a": 1}
    assert "has 7 bytes, the limit is 6" in refusals(b'{"a":1}', bytes_max=6)[0].message


def test_minus_zero_is_zero() -> None:
    assert [math.copysign(1, zero) for zero in read_json("[-0, -0.0, -0e5]")] == [1, 1, 1]


def test_whole_pairs_and_numbers_up_to_the_limits_are_read() -> None:
    assert read_json('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    assert read_json("9" * 400) == 10**400 - 1
    assert read_json("1.7976931348623157e308") == 1.7976931348623157e308
    assert read_json("1e-999") == 0.0


FRAGMENTS = st.sampled_from(
    [
        *('"', "\\", "\\u0000", "\\ud800", "\\udc00", "{", "}", "[", "]", ":", ",", " ", "\n"),
        *("NaN", "-Infinity", "1e999", "-0", "0.1", "9" * 5000, "null", "true", "\0", "\ufeff"),
        *('"a":', '{"a":1}', '"\\u0061"', "\N{GRINNING FACE}", "1e", "-", "[" * 70),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BYTES = (
    st.binary()
    | st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
)


@given(BYTES)
@example(b"[" * 2000 + b"]" * 2000)
@example(b'{"a":{"a":1,"a":1},"a":{}}')
def test_any_bytes_are_a_document_that_can_be_stored_or_refused(data: bytes) -> None:
    document, error = read(data)
    if error is not None:
        assert error.errors
        assert str(error).replace("\n", "").isprintable()
        return
    stored = canonical_json(document)  # raises for NaN and infinities
    assert json.loads(stored) == document == json.loads(data)
    for text in texts(document):
        assert "\0" not in text
        assert text.encode().decode() == text


def read(data: bytes) -> tuple[Any, RequestError | None]:
    try:
        return read_json(data), None
    except RequestError as error:
        return None, error


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []
