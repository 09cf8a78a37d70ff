"""The database schema as alembic revisions, and how to move a database along them."""

from pathlib import Path

from alembic import command
from alembic.config import Config

_FOLDER = Path(__file__).resolve().parent


def config(dsn: str | None = None) -> Config:
    """Make an alembic configuration that works from any folder.

    Without `dsn` (a URL or `key=value` string of libpq) alembic uses POSTGRES_DSN.
    """
    made = Config()
    # The value goes through configparser, to which % is special.
    made.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    if dsn is not None:
        made.attributes["dsn"] = dsn
    return made


def upgrade(dsn: str, revision: str = "head") -> None:
    """Bring the database to `revision`, in one transaction; concurrent calls wait in line."""
    command.upgrade(config(dsn), revision)


def downgrade(dsn: str, revision: str) -> None:
    """Take the database back to `revision`; `base` removes everything, stored jobs included."""
    command.downgrade(config(dsn), revision)
