"""Text of users: nothing reaches the database that it cannot hold."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.request import RequestError, complete, read_idempotency_key, read_json
from tests.engine.requests import DEFAULTS, LIMITS, document, explicit, with_value

SMA = "template.indicator_grids[0]"
UNSTORABLE = {
    "NUL": "BTC\0USDT",
    "half of a pair": "BTC\ud800USDT",
    "control": "BTC\x1bUSDT",
    "DEL": "BTC\x7f",
}
PLACES = (
    "time_range.start",
    "template.instrument_id.symbol",
    "template.timeframe",
    f"{SMA}.name",
    f"{SMA}.indicator_id",
    f"{SMA}.output",
    "template.direction_mode",
    "template.sizing_mode",
    "ranking.primary_metric",
    "ranking.secondary_metric",
)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE.keys())
@pytest.mark.parametrize("place", PLACES)
def test_text_that_cannot_be_stored_is_refused_with_its_path(place: str, text: str) -> None:
    written = json.dumps(with_value(place, text))  # escaped, as a client may send it
    with pytest.raises(RequestError) as caught:
        complete(read_json(written), DEFAULTS, LIMITS)
    (error,) = caught.value.errors
    assert error.path == place
    assert error.text.isprintable()
    assert error.text.encode()


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE.keys())
@pytest.mark.parametrize("inside", ["", "template", f"{SMA}", f"{SMA}.params"])
def test_a_key_that_cannot_be_stored_is_refused_with_its_path(inside: str, text: str) -> None:
    wrong = with_value(f"{SMA}.params", {"window": explicit(5)})
    place: Any = wrong
    for name in inside.replace("[0]", ".0").split(".") if inside else ():
        place = place[int(name) if name.isdigit() else name]
    place[text] = explicit(5)
    with pytest.raises(RequestError) as caught:
        complete(wrong, DEFAULTS, LIMITS)
    (error,) = caught.value.errors
    assert error.path.startswith(inside)
    assert f"{error.path}{error.text}".isprintable()


def test_an_effective_request_holds_printable_ascii_only() -> None:
    assert all(
        text.isascii() and text.isprintable()
        for text in strings(complete(document(), DEFAULTS, LIMITS))
    )


@pytest.mark.parametrize("key", ["a", "2024-01-01 run 7", "x" * 255, "ключ", "🙂" * 255])
def test_a_printable_key_is_taken_as_it_is(key: str) -> None:
    assert read_idempotency_key(key) == key


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("", "is empty"),
        ("x" * 256, "has 256 characters, it must have 1 to 255"),
        ("x" * 7000, "has 7000 characters, it must have 1 to 255"),
        ("\0", 'printable text, got "\\u0000"'),
        ("a\ud800", 'printable text, got "a\\ud800"'),
        ("a\nb", "printable text"),
        ("\x7f", "printable text"),
    ],
)
def test_a_key_that_cannot_be_stored_is_refused(key: str, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_idempotency_key(key)
    (error,) = caught.value.errors
    assert error.path == "idempotency_key"
    assert part in error.message
    assert error.message.isprintable()


TEXTS = {
    "not json": ("{", "line 1, column 2"),
    "key twice": ('{"a": 1, "a": 2}', '"a" twice'),
    "NaN": ('{"a": NaN}', "NaN"),
    "infinity": ('{"a": -Infinity}', "-Infinity"),
    "nested": ("[" * 100_000, "nested too deeply"),
    "digits": ('{"a": ' + "1" * 5000 + "}", "more digits"),
    "not utf-8": (b'{"a": "\xff"}', "UTF-8"),
    "large": (" " * (2**20 + 1), "limit is 1048576"),
}


@pytest.mark.parametrize(("text", "part"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_that_is_no_request_is_refused_with_the_reason(text: str | bytes, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_json(text)
    assert part in str(caught.value)
