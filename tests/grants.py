"""A role with exactly the grants that the runbook lists, on any migrated database.

with runtime_role(dsn) as runtime_dsn:      # or the fixture `runtime_dsn`
    program(runtime_dsn)
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

RUNBOOK = Path(__file__).resolve().parents[1] / "docs" / "runbook.md"
ROLE = "backtest_runtime"


def listed() -> list[str]:
    """The GRANT statements of the runbook, one by one."""
    blocks = re.findall(r"^```postgresql\n(.*?)^```$", RUNBOOK.read_text("utf-8"), re.M | re.S)
    return [line for block in blocks for line in re.findall(r"^GRANT .*;$", block, re.M)]


def single() -> list[tuple[str, str]]:
    """The same as pairs of one privilege and one table."""
    pairs = []
    for line in listed():
        match = re.fullmatch(rf"GRANT ([A-Z, ]+) ON ([a-z_, ]+) TO {ROLE};", line)
        assert match is not None, line
        pairs += [(what, table) for what in match[1].split(", ") for table in match[2].split(", ")]
    return pairs


@contextmanager
def runtime_role(dsn: str) -> Iterator[str]:
    """DSN of a new role that has these grants in the database of `dsn` and no other."""
    name = f"{ROLE}_{secrets.token_hex(6)}"
    role = sql.Identifier(name)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        try:
            for line in listed():
                owner.execute(line.replace(f"TO {ROLE};", f"TO {name};"))
            yield make_conninfo(dsn, user=name)
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(role))
            owner.execute(sql.SQL("DROP ROLE {}").format(role))
