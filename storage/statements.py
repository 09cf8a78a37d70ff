"""The SQL statements of `storage/sql/`, by file and name.

A file holds statements, each under a line `-- name: <name>`; comments above a statement's
first line belong to it. Parameters are psycopg's `%(name)s`. What several statements share stands
once in `parts.sql`, under names of the same form, and is inserted where a statement says `@name`.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

PARTS = "parts"

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_PART = re.compile(r"@(\w+)")


@cache
def load(file: str) -> Mapping[str, str]:
    """Read the statements of `storage/sql/<file>.sql`, without surrounding blanks and `;`.

    Raises ValueError for a name given twice, KeyError for a part that does not exist.
    """
    parts = _read(PARTS)

    def complete(text: str) -> str:
        return _PART.sub(lambda part: complete(parts[part[1]]), text)

    return MappingProxyType({name: complete(body) for name, body in _read(file).items()})


def _read(file: str) -> dict[str, str]:
    text = resources.files("storage").joinpath("sql", f"{file}.sql").read_text("utf-8")
    pieces = _NAME.split(text)
    names, bodies = pieces[1::2], pieces[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"storage/sql/{file}.sql names a statement twice")
    return {name: body.strip().removesuffix(";") for name, body in zip(names, bodies, strict=True)}
