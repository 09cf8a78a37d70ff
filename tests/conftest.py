"""Real services for the whole suite: started once per session, only when a test asks for them."""

import gc
import os
import secrets
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from xdist.remote import Producer

import migrations
from cli import embedded
from tests import sharing
from tests.storage.clickhouse_endpoint import Endpoint

TEMPLATE = "migrated_template"

YOUNG_OBJECTS = 20_000
"""So many new ones, instead of 700, let Python look for garbage."""

# A developer's runs look for new examples; CI judges a change by the same ones each time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
# `make chaos` looks for long.
hypothesis.settings.register_profile(
    "chaos", max_examples=1000, stateful_step_count=100, deadline=None
)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage in modules and collected tests: they stay, and are a million objects.

    Looking through them again and again was half of the time of collecting, in each process.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items[:] = sharing.in_turn(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> sharing.BySuite:
    return sharing.BySuite(config, log)


@pytest.fixture(scope="session")
def services_folder() -> Iterator[Path]:
    """A folder that no other test session touches; pytest closes its own to Postgres' user."""
    with tempfile.TemporaryDirectory(
        prefix="backtest-services-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_server(services_folder: Path) -> Iterator[str]:
    """DSN of an administrative database on a real Postgres server."""
    with embedded.postgres(services_folder / "pg") as dsn:
        with psycopg.connect(dsn, autocommit=True) as admin:
            # The data does not outlive the session; cloning a database is five times faster.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                admin.execute(f"ALTER SYSTEM SET {setting} = off")
            admin.execute("SELECT pg_reload_conf()")
        yield dsn


@pytest.fixture(scope="session")
def redis_url(services_folder: Path) -> Iterator[str]:
    """URL of a real Redis server, shared by the session."""
    with embedded.redis_server(services_folder / "redis") as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """Name of a migrated database that others are cloned from."""
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrations.upgrade(make_conninfo(postgres_server, dbname=TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """DSN of a fresh, migrated database of its own."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(migrated_template)
            )
        )
        yield make_conninfo(postgres_server, dbname=name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the test's own database."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """One ClickHouse endpoint; tests have databases of their own there, and count from before."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def candles_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "candles"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of real market data; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BACKTEST_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(
            f"no real market data in {folder}; set BACKTEST_SHARED_DATA to a folder that has it"
        )
    return folder
