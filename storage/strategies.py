"""INTERIM until the branch `storage` has its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


class NameTaken(Exception):
    """Taken."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One."""

    strategy_id: UUID
    user_id: UUID
    name: str
    note: str | None
    template_json: dict[str, Any]
    source_job_id: UUID | None
    source_variant_key: str | None
    created_at: datetime
    updated_at: datetime


def get(_conn: Any, _strategy_id: UUID) -> Strategy | None:
    """Nothing."""
    return None
