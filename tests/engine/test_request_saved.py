"""Requests of saved strategies: which one, and what is different in it."""

import copy
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.request import (
    RequestError,
    complete,
    merge_patch,
    read_saved,
    saved_document,
    sha256_hex,
    spec_hash,
)
from tests.engine.requests import DEFAULTS, LIMITS, document, refused

ID = "0f7c2a52-93a5-4b2c-8d0e-5a7f0f1b2c3d"

# The examples of RFC 7396: its section 3, and its appendix A.
ARTICLE = {
    "title": "Goodbye!",
    "author": {"givenName": "John", "familyName": "Doe"},
    "tags": ["example", "sample"],
    "content": "This will be unchanged",
}
ARTICLE_PATCH = {
    "title": "Hello!",
    "phoneNumber": "+01-123-456-7890",
    "author": {"familyName": None},
    "tags": ["example"],
}
ARTICLE_PATCHED = {
    "title": "Hello!",
    "author": {"givenName": "John"},
    "tags": ["example"],
    "content": "This will be unchanged",
    "phoneNumber": "+01-123-456-7890",
}
RFC: list[tuple[Any, Any, Any]] = [
    (
        {"a": "b", "c": {"d": "e", "f": "g"}},
        {"a": "z", "c": {"f": None}},
        {"a": "z", "c": {"d": "e"}},
    ),
    (ARTICLE, ARTICLE_PATCH, ARTICLE_PATCHED),
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("original", "patch", "result"), RFC)
def test_the_examples_of_the_rfc(original: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((original, patch))
    assert merge_patch(original, patch) == result
    assert (original, patch) == before


def by_the_rfc(target: Any, patch: Any) -> Any:
    """The pseudo-code of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    target = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = by_the_rfc(target.get(name), value)
    return target


DOCUMENTS = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=20,
)


@given(DOCUMENTS, DOCUMENTS)
def test_any_patch_does_what_the_rfc_says(original: Any, patch: Any) -> None:
    before = copy.deepcopy((original, patch))
    assert merge_patch(original, patch) == by_the_rfc(original, patch)
    assert (original, patch) == before


def test_a_patch_of_any_depth_is_applied() -> None:
    patch: Any = 1
    for _ in range(100_000):
        patch = {"a": patch}
    merged = merge_patch({"a": {"b": 2}}, patch)
    for _ in range(100_000):
        merged, outer = merged["a"], merged
        outer.clear()
        patch, outer = patch["a"], patch
        outer.clear()  # or the interpreter takes it apart by recursion
    assert merged == 1


def test_a_document_without_a_strategy_is_a_request_of_its_own() -> None:
    assert read_saved(document()) is None
    assert read_saved([1]) is None
    assert read_saved({}) is None


def test_a_saved_strategy_is_named_with_its_overrides() -> None:
    changes = {"time_range": document()["time_range"]}
    assert read_saved({"strategy_id": ID, "overrides": changes}) == (UUID(ID), changes)
    assert read_saved({"strategy_id": ID.upper()}) == (UUID(ID), {})


WRONG: dict[str, tuple[dict[str, Any], str, str, str | None]] = {
    "template": ({"template": {}}, "template", "cannot stand beside", "overrides.template"),
    "range": ({"time_range": {}}, "time_range", "cannot stand beside", "overrides.time_range"),
    "unknown": ({"tmeplate": {}}, "tmeplate", "cannot stand beside", None),
    "no id": ({"strategy_id": 5}, "strategy_id", "a UUID, got 5", None),
    "prefix": ({"strategy_id": "0f7c2a52"}, "strategy_id", 'a UUID, got "0f7c2a52"', None),
    "braces": ({"strategy_id": "{" + ID + "}"}, "strategy_id", "a UUID", None),
    "new line": ({"strategy_id": ID + "\n"}, "strategy_id", "a UUID", None),
    "null": ({"overrides": None}, "overrides", "must be an object, got null", None),
    "array": ({"overrides": [1]}, "overrides", "must be an object, got an array", None),
}


@pytest.mark.parametrize(("wrong", "path", "part", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_stand_in_a_saved_request_is_refused_with_its_path(
    wrong: dict[str, Any], path: str, part: str, hint: str | None
) -> None:
    with pytest.raises(RequestError) as caught:
        read_saved({"strategy_id": ID, "overrides": {}} | wrong)
    (error,) = caught.value.errors
    assert error.path == path
    assert part in error.message
    assert (hint is None) == (error.hint is None)
    assert (hint or "") in (error.hint or "")


def test_overrides_need_a_strategy() -> None:
    with pytest.raises(RequestError) as caught:
        read_saved({"overrides": [], "template": {}})
    assert [error.path for error in caught.value.errors] == [
        *("overrides", "strategy_id", "template")
    ]


def test_overrides_change_the_saved_template_and_add_the_rest() -> None:
    template = document()["template"] | {"risk_grid": {"sl": [1, 2], "tp": 3}}
    overrides = {
        "time_range": {"start": "2024-02-01", "end": "2024-03-01"},
        "template": {"timeframe": "1h", "risk_grid": {"tp": None}},
        "top_k": 7,
    }
    merged = complete(saved_document(template, overrides), DEFAULTS, LIMITS)
    wanted = document() | {"time_range": overrides["time_range"], "top_k": 7}
    wanted["template"] |= {"timeframe": "1h", "risk_grid": {"sl": [1, 2]}}
    assert merged == complete(wanted, DEFAULTS, LIMITS)


def test_a_saved_strategy_without_a_range_is_refused_there() -> None:
    error = refused(saved_document(document()["template"], {}))
    assert [one.path for one in error.errors] == ["time_range"]


@pytest.mark.parametrize("key", ["strategy_id", "overrides"])
def test_overrides_cannot_name_another_strategy(key: str) -> None:
    time_range = document()["time_range"]
    error = refused(saved_document(document()["template"], {"time_range": time_range, key: ID}))
    assert [one.path for one in error.errors] == [key]


def test_a_template_is_known_by_the_hash_of_its_canonical_json() -> None:
    assert spec_hash({"b": 1, "a": "ж"}) == sha256_hex('{"a":"\\u0436","b":1}')
