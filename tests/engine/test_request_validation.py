"""Where a request lets training end: one of two ways to say it, and bars on both sides."""

from typing import Any

import pytest

from engine.request import RequestError, complete, parse
from engine.request.model import Validation, WalkForward
from tests.engine.markets import ms
from tests.engine.requests import DEFAULTS, LIMITS, document, refusal_at, with_value

ASKED = {"blocks": 16, "splits": 1000, "draws": 39, "walk_forward": None}
"""What a search is asked unless a request says otherwise."""


def effective(validation: Any) -> Any:
    return complete(document() | {"validation": validation}, DEFAULTS, LIMITS)["validation"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (None, None),
        ({}, {"train_pct": 70.0, "test_start": None}),
        ({"train_pct": 62.5}, {"train_pct": 62.5, "test_start": None}),
        ({"train_pct": 62.5, "test_start": None}, {"train_pct": 62.5, "test_start": None}),
        ({"test_start": "2024-03-01"}, {"train_pct": None, "test_start": "2024-03-01T00:00:00Z"}),
        (
            {"train_pct": None, "test_start": "2024-03-01T12:00:00+02:00"},
            {"train_pct": None, "test_start": "2024-03-01T10:00:00Z"},
        ),
    ],
)
def test_one_of_the_two_ways_is_named(asked: Any, named: Any) -> None:
    whole = named and named | ASKED
    assert effective(asked) == whole
    assert effective(whole) == whole


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"splits": 0, "draws": 0, "blocks": 8}, {"splits": 0, "draws": 0, "blocks": 8}),
        ({"walk_forward": None}, {"walk_forward": None}),
        ({"walk_forward": {}}, {"walk_forward": {"folds": 8, "mode": "anchored"}}),
        (
            {"walk_forward": {"folds": 3, "mode": "rolling"}},
            {"walk_forward": {"folds": 3, "mode": "rolling"}},
        ),
    ],
)
def test_what_is_asked_of_a_search_is_named(asked: Any, named: Any) -> None:
    whole = {"train_pct": 70.0, "test_start": None} | ASKED | named
    assert effective(asked) == whole
    assert effective(whole) == whole


def test_nothing_is_kept_aside_unless_it_is_asked_for() -> None:
    assert complete(document(), DEFAULTS, LIMITS)["validation"] is None
    assert parse(complete(document(), DEFAULTS, LIMITS)).validation is None


def test_what_is_computed_with_says_the_same() -> None:
    for asked, wanted in (
        ({"train_pct": 62.5}, Validation(62.5, None)),
        ({"test_start": "2024-03-01"}, Validation(None, ms(2024, 3, 1))),
        (
            {"blocks": 8, "splits": 0, "draws": 9, "walk_forward": {"folds": 7, "mode": "rolling"}},
            Validation(70.0, None, 8, 0, 9, WalkForward(7, "rolling")),
        ),
    ):
        whole = complete(document() | {"validation": asked}, DEFAULTS, LIMITS)
        assert parse(whole).validation == wanted


@pytest.mark.parametrize(
    ("validation", "path", "said"),
    [
        (70, "validation", "must be an object, got 70"),
        ({"train_pct": 0}, "validation.train_pct", "must be more than 0, got 0"),
        ({"train_pct": 100}, "validation.train_pct", "must be less than 100, got 100"),
        ({"train_pct": "70"}, "validation.train_pct", "write it without quotes"),
        ({"folds": 8}, "validation.folds", "unknown key"),
        ({"train_pct": None}, "validation", "give train_pct or test_start"),
        ({"blocks": 9}, "validation.blocks", "must be an even number"),
        ({"blocks": 18}, "validation.blocks", "must be at most 16, got 18"),
        ({"splits": 12_871}, "validation.splits", "must be at most 12870, got 12871"),
        ({"draws": -1}, "validation.draws", "must be at least 0, got -1"),
        ({"walk_forward": 8}, "validation.walk_forward", "must be an object, got 8"),
        (
            {"walk_forward": {"folds": 8}, "blocks": 8},
            "validation.walk_forward.folds",
            "must be less than the 8 blocks, of which the first ones are trained on, got 8",
        ),
        (
            {"walk_forward": {"mode": "expanding"}},
            "validation.walk_forward.mode",
            'unknown mode "expanding"; known: anchored, rolling',
        ),
        (
            {"train_pct": 70, "test_start": "2024-03-01"},
            "validation.test_start",
            "cannot be given together with train_pct: give one of them",
        ),
        ({"test_start": "spring"}, "validation.test_start", "must be a time like"),
        (
            {"test_start": "2024-01-01"},
            "validation.test_start",
            "must lie between start (2024-01-01T00:00:00Z) and end (2025-01-01T00:00:00Z)",
        ),
        ({"test_start": "2025-01-01"}, "validation.test_start", "must lie between start"),
        (
            {"train_pct": 0.001},
            "validation.train_pct",
            "leaves none of 35136 bars to train on: move it, or lengthen the range",
        ),
        (
            {"test_start": "2024-12-31T23:45:01Z"},
            "validation.test_start",
            "leaves none of 35136 bars to test on",
        ),
    ],
)
def test_a_border_that_is_none_is_refused_where_it_stands(
    validation: Any, path: str, said: str
) -> None:
    assert said in refusal_at(path, with_value("validation", validation))


@pytest.mark.parametrize("missing", ["train_pct", "test_start", *ASKED])
def test_a_stored_request_names_all_of_it(missing: str) -> None:
    whole = complete(document() | {"validation": {}}, DEFAULTS, LIMITS)
    del whole["validation"][missing]
    with pytest.raises(RequestError, match=f"validation.{missing}: is missing"):
        parse(whole)
