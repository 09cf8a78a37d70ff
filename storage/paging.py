"""Pages of a list that is ordered by `created_at DESC, id DESC`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

Item = TypeVar("Item")
Position = tuple[datetime, UUID]

_BEFORE_ALL: tuple[str, UUID] = ("infinity", UUID(int=2**128 - 1))


class Page(NamedTuple, Generic[Item]):
    """Some items, and where the next page begins: None when there is none."""

    items: list[Item]
    next: Position | None


def position(before: Position | None) -> dict[str, object]:
    """Parameters of a statement that reads what comes after `before`, or all of a list."""
    created_at, row_id = before or _BEFORE_ALL
    return {"before_created_at": created_at, "before_id": row_id}


def page_of(found: Sequence[Item], limit: int, where: Callable[[Item], Position]) -> Page[Item]:
    """Make a page of what was found; one item more than `limit` says that there is a next page."""
    items = list(found[:limit])
    return Page(items, where(items[-1]) if len(found) > limit else None)
