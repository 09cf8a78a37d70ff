"""A stack of programs for the tests that start the real worker."""

from collections.abc import Iterator

import pytest

from tests.faults.harness import Stack, running
from tests.storage.making import new_database


@pytest.fixture(scope="package")
def stack(
    postgres_server: str,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("tasks")
    candles = folder / "candles"
    candles.mkdir()
    with (
        new_database(postgres_server, migrated_template) as dsn,
        running(Stack(dsn, redis_url, candles, folder)) as stack,
    ):
        stack.flush_redis()
        yield stack
