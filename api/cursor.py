"""Where a page of a list ends, as a text that callers only hand back."""

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from uuid import UUID

from api.views import time
from engine.request import canonical_json

LONGEST = 300

Position = tuple[datetime, UUID]


def written(position: Position, id_name: str) -> str:
    """Return base64url of canonical JSON: the last item's `created_at` and id."""
    created_at, item_id = position
    document = canonical_json({"created_at": time(created_at), id_name: str(item_id)})
    return base64.urlsafe_b64encode(document.encode("ascii")).decode("ascii")


def read(text: str, id_name: str) -> Position:
    """Return what a cursor says; raises ValueError for anything that `written` does not return."""
    try:
        if len(text) > LONGEST or not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", text, re.ASCII):
            raise ValueError
        bare = text.rstrip("=")
        document = json.loads(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
        created_at = datetime.fromisoformat(document["created_at"]).astimezone(UTC)
        position = created_at, UUID(document[id_name])
        if written(position, id_name).rstrip("=") != bare:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, binascii.Error):
        raise ValueError(
            "must be a next_cursor of this list: begin again without a cursor"
        ) from None
    return position
