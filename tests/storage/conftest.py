"""One database for all tests of storage: emptying it is ten times as fast as making another."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.storage.busy import busy_database
from tests.storage.making import new_database


@pytest.fixture(scope="session")
def storage_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture
def database(storage_database: str) -> str:
    """DSN of a migrated database without rows and without connections."""
    with psycopg.connect(storage_database, autocommit=True) as conn:
        # A connection that a test cut off may live on in the server, with its locks and snapshot.
        conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        # TRUNCATE makes every table, index and TOAST table anew: fifty times as long as this.
        conn.execute("DELETE FROM backtest_switches; DELETE FROM backtest_jobs")
    return storage_database


@pytest.fixture(scope="session")
def busy(postgres_server: str, migrated_template: str) -> Iterator[psycopg.Connection]:
    """A database of very many finished jobs; whoever changes it takes it back."""
    with busy_database(postgres_server, migrated_template) as conn:
        yield conn
