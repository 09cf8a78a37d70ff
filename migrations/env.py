"""Alembic's entry: where the database is, and one transaction around all revisions."""

import os

import psycopg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import create_engine, pool, text

# Two deployments migrating at once take turns; the second one finds nothing left to do.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('backtest_jobs.migrations', 0))"


def run_offline() -> None:
    """Print the SQL instead of running it; no database is needed."""
    context.configure(dialect_name="postgresql", literal_binds=True)
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
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            connection.execute(text(LOCK))
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
