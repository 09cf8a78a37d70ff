"""Alembic's entry: where the database is, and one transaction around all revisions."""

import os

import psycopg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import OperationalError

# A table of our own, so that the database may be shared with another project that uses alembic.
VERSION_TABLE = "backtest_jobs_schema_version"

# Whatever the role's own defaults are.
TRANSACTION = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE"

# Two deployments migrating at once take turns; the second one finds nothing left to do.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('backtest_jobs.migrations', 0))"

# While a change of a table waits for somebody's transaction, every write of the programs waits
# behind it. That is to end long before their leases do.
PATIENCE = "SET LOCAL lock_timeout = '5s'"
IN_USE = (
    "a table is in use by a transaction that lasts longer than 5 s, and nothing was changed:"
    " end that session (pg_stat_activity, state 'idle in transaction'), or migrate again later"
)

# The first release kept its revision in alembic's ordinary table. It stays there for its programs,
# which look for it, until a post revision.
FIRST_REVISION = "0001"
FIRST_RELEASE = """
SELECT to_regclass('backtest_jobs_schema_version') IS NULL
       AND to_regclass('alembic_version') IS NOT NULL
       AND to_regclass('backtest_jobs') IS NOT NULL
"""
ADOPT = """
CREATE TABLE backtest_jobs_schema_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT backtest_jobs_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO backtest_jobs_schema_version VALUES ('0001')
"""


def run_offline() -> None:
    """Print the SQL instead of running it; no database is needed."""
    context.configure(dialect_name="postgresql", literal_binds=True, version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run the revisions on the database of the `dsn` attribute, or of POSTGRES_DSN."""
    dsn = context.config.attributes.get("dsn") or os.environ.get("POSTGRES_DSN")
    if not dsn:
        raise CommandError(
            "POSTGRES_DSN is not set: export POSTGRES_DSN=postgresql://user:password@host/database"
        )
    # libpq parses the DSN, so that every form it knows works: sockets, key=value, services.
    engine = create_engine(
        "postgresql+psycopg://",
        # Text is UTF-8 whatever the database's encoding is, SQL_ASCII included.
        creator=lambda: psycopg.connect(dsn, client_encoding="UTF8", prepare_threshold=None),
        poolclass=pool.NullPool,
    )
    with engine.connect() as connection:
        context.configure(connection=connection, version_table=VERSION_TABLE)
        try:
            with context.begin_transaction():
                connection.execute(text(TRANSACTION))
                connection.execute(text(LOCK))
                connection.execute(text(PATIENCE))
                adopt_first_release(connection)
                context.run_migrations()
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise CommandError(IN_USE) from None
            raise


def adopt_first_release(connection: Connection) -> None:
    """Go on where the first release stopped, if `alembic_version` says a revision of ours."""
    if not connection.execute(text(FIRST_RELEASE)).scalar():
        return
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
    if FIRST_REVISION in found:
        connection.execute(text(ADOPT))


if context.is_offline_mode():
    run_offline()
else:
    run_online()
