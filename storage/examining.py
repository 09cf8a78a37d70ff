"""What an operator's examination asks of the server; only `releases` needs our schema."""

from typing import Any, NamedTuple

from psycopg.rows import dict_row

from storage import grants, statements
from storage.asking import Ask

_SQL = statements.load("examining")

OLDEST_POSTGRES = 15
MOST_JOBS = 1000


class Server(NamedTuple):
    """The server as this role sees it; `wal_limit` is its `max_wal_size`."""

    role: str
    database: str
    major: int
    encoding: str
    wal_limit: str
    database_bytes: int
    may_see_wal: bool


def server() -> Ask[Server]:
    """Ask what it is."""
    return Ask(_SQL["server"], {}, lambda rows: Server(**rows[0]), dict_row)


def wal_bytes() -> Ask[int]:
    """Ask how large its write-ahead log is; for a role that may see it."""
    return Ask(_SQL["wal_bytes"], {}, _one)


def clock() -> Ask[float]:
    """Ask for its time of day, in seconds since the epoch."""
    return Ask(_SQL["clock"], {}, _one)


def missing_grants() -> Ask[list[str]]:
    """Ask what the role lacks: statements for the owner of the tables, without `;`.

    Tables that do not exist lack nothing: the schema is older, and its check says so.
    """
    pairs = [(table, what) for table, several in grants.TABLES.items() for what in several]
    values = {
        "tables": [table for table, _ in pairs],
        "privileges": [privilege for _, privilege in pairs],
        "functions": list(grants.FUNCTIONS),
    }
    return Ask(_SQL["missing_grants"], values, lambda rows: [row[0] for row in rows])


def releases() -> Ask[dict[str, int]]:
    """Ask which engines own jobs now or ended some within the hour, and how many of them."""
    return Ask(_SQL["releases"], {"limit": MOST_JOBS}, dict)


def _one(rows: list[Any]) -> Any:
    return rows[0][0]
