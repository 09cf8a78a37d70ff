"""Name and note stand beside a request; what is hashed as the submission is all the rest."""

from typing import Any

import pytest

from engine.request import (
    RequestError,
    complete,
    read_json,
    read_label,
    request_hash,
    submission_hash,
)
from tests.engine.requests import DEFAULTS, LIMITS, document

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
NAMES = ["a", "x" * 120, "🙂" * 120, "RSI, 15m: тест", f"{FAMILY} 名\u3000前", "<b>'; DROP"]
NOTES = ["", "first\n\tsecond\r\nthird", "y" * 4000, "\n"]


@pytest.mark.parametrize("name", NAMES)
def test_a_printable_name_is_taken_as_it_is(name: str) -> None:
    assert read_label({"name": name, "top_k": 1}) == (name, None, {"top_k": 1})


@pytest.mark.parametrize("note", NOTES)
def test_a_note_may_have_lines(note: str) -> None:
    assert read_label({"note": note}) == (None, note, {})


def test_null_is_no_name_and_no_note() -> None:
    assert read_label({"name": None, "note": None}) == (None, None, {})


@pytest.mark.parametrize("other", [None, 5, "name", ["name"]])
def test_what_is_no_object_is_left_to_the_reader(other: Any) -> None:
    assert read_label(other) == (None, None, other)


def test_the_document_itself_is_not_changed() -> None:
    sent = document() | {"name": "a", "note": "b"}
    before = dict(sent)
    assert read_label(sent)[2] == document()
    assert sent == before


WRONG: dict[str, tuple[str, Any, str]] = {
    "empty name": ("name", "", "is blank"),
    "blank name": ("name", " \u3000", "is blank"),
    "name of what joins nothing": ("name", "\u200d \u200c", "is blank"),
    "long name": ("name", "x" * 121, "has 121 characters, the limit is 120"),
    "lines in a name": ("name", "a\nb", 'has "\\n" as character 2'),
    "tab in a name": ("name", "a\tb", "as character 2"),
    "NUL in a name": ("name", "\0", 'has "\\u0000" as character 1'),
    "half of a pair": ("name", "ab\ud800", 'has "\\ud800" as character 3'),
    "escape": ("note", "\x1b[31m", 'has "\\u001b" as character 1'),
    "text turned round": ("name", "a\u202eb", 'has "\\u202e" as character 2'),
    "line separator": ("name", "a\u2028b", "as character 2"),
    "number": ("name", 5, "must be text, got 5"),
    "object": ("note", {}, "must be text, got an object"),
    "long note": ("note", "x" * 4001, "has 4001 characters, the limit is 4000"),
    "NUL in a note": ("note", "a\0", "new lines and tabs may stand there"),
    "DEL": ("note", "\x7f", "as character 1"),
}


@pytest.mark.parametrize(("key", "value", "part"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_name_or_note_is_refused_with_its_path(key: str, value: Any, part: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_label(document() | {key: value})
    (error,) = caught.value.errors
    assert error.path == key
    assert part in error.message
    assert error.message.isprintable()


def test_name_and_note_are_refused_together() -> None:
    with pytest.raises(RequestError) as caught:
        read_label({"name": "", "note": 1})
    assert [error.path for error in caught.value.errors] == ["name", "note"]


def test_name_and_note_are_outside_the_hash_of_the_submission() -> None:
    named = document() | {"name": "a", "note": "b"}
    assert submission_hash(named) == submission_hash(document())
    assert submission_hash(named) == submission_hash(named | {"name": "c"})


def test_the_hash_of_the_submission_is_of_what_was_sent_and_not_of_what_it_means() -> None:
    said = document() | {"warmup_bars": DEFAULTS.warmup_bars}
    meanings = {request_hash(complete(one, DEFAULTS, LIMITS)) for one in (document(), said)}
    assert len(meanings) == 1
    assert submission_hash(said) != submission_hash(document())
    backwards = dict(reversed(document().items()))
    assert submission_hash(backwards) == submission_hash(document())


def test_only_the_names_at_the_top_are_outside_the_hash() -> None:
    inside = document()
    inside["template"]["name"] = "a"
    assert submission_hash(inside) != submission_hash(document())


@pytest.mark.parametrize(
    ("python", "javascript"),
    [
        ("1.0", "1"),
        ("[2.0,-3.0]", "[2,-3]"),
        ('{"a":[0.0]}', '{"a":[0]}'),
        ("1e+22", "1" + 22 * "0"),
    ],
)
def test_a_number_is_the_same_in_the_hash_whatever_wrote_it(python: str, javascript: str) -> None:
    sent, sent_again = ({"a": read_json(text)} for text in (python, javascript))
    assert submission_hash(sent) == submission_hash(sent_again)
    assert submission_hash({"a": 1.5}) != submission_hash({"a": 1})
    assert submission_hash({"a": True}) != submission_hash({"a": 1})


def test_the_hash_of_a_submission_is_the_same_on_every_machine() -> None:
    assert (
        submission_hash({"name": "n", "b": [1, 2.5, None], "a": "ж"})
        == "7ee194d997a41c9d4139bd520e732326f35bd7cc8d1da44fa662ebb229db34a8"
    )
