"""The SQL statements of `storage/sql/`, by file and name.

A file holds statements, each under a line `-- name: <name>`; comments above a statement's
first line belong to it. Parameters are psycopg's `%(name)s`.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


@cache
def load(file: str) -> Mapping[str, str]:
    """Read the statements of `storage/sql/<file>.sql`, without surrounding blanks and `;`."""
    text = resources.files("storage").joinpath("sql", f"{file}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"storage/sql/{file}.sql names a statement twice")
    return MappingProxyType(
        {name: body.strip().removesuffix(";") for name, body in zip(names, bodies, strict=True)}
    )
