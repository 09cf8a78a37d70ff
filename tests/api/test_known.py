"""What was found a moment ago is kept within its bounds."""

from math import inf

from api.known import Known


def test_the_eldest_make_room_for_what_is_heavier() -> None:
    known = Known(inf, most=10)
    for key, weight in {"a": 4, "b": 4, "c": 5}.items():
        known.put(key, key, weight)
    assert [known.get(key) for key in "abc"] == [None, "b", "c"]


def test_what_is_put_again_is_weighed_once() -> None:
    known = Known(inf, most=10)
    known.put("a", "old", 4)
    for _ in range(5):
        known.put("b", "new", 6)
    assert [known.get(key) for key in "ab"] == ["old", "new"]


def test_what_is_too_heavy_is_not_kept_and_leaves_room() -> None:
    known = Known(inf, most=10)
    known.put("a", "whole", 11)
    known.put("b", "small", 10)
    assert [known.get(key) for key in "ab"] == [None, "small"]
