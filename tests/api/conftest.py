"""A real API for these tests, with a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.api.running import Api, Caller, running
from tests.making_jobs import store_candles
from tests.storage.making import new_database


@pytest.fixture(scope="package")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the candles of the request and of five days before."""
    return store_candles(tmp_path_factory.mktemp("store") / "candles")


@pytest.fixture(scope="package")
def own_database(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """DSN of a migrated database for these tests."""
    with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="package")
def shared_api(
    own_database: str, candles: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """One process for all tests that do not disturb each other."""
    with running(own_database, candles, tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(shared_api: Api) -> Api:
    """That API; every test calls it as a user that nobody was before."""
    shared_api.skip_log()
    return shared_api


@pytest.fixture
def user(api: Api) -> Caller:
    """A user without jobs."""
    return api.new_user()


@pytest.fixture
def stored(api: Api) -> Iterator[psycopg.Connection]:
    """An autocommit connection to the database of the API."""
    with psycopg.connect(api.dsn, autocommit=True) as conn:
        yield conn
