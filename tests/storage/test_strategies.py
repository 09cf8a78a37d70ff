"""Saved strategies: one of a name for each user, and nobody else's business."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest

from storage import jobs, strategies
from storage.paging import Position
from storage.strategies import NameTaken, NewStrategy, Strategy
from tests.storage.making import claimed, session, succeed

TEMPLATE = {"timeframe": "15m", "instrument_id": {"symbol": "BTCUSDT"}, "имя": [1, 2.5, None]}


@pytest.fixture(autouse=True)
def empty(connection: psycopg.Connection) -> None:
    connection.execute("TRUNCATE backtest_strategies")


def new(name: str = "Trend", **changes: object) -> NewStrategy:
    return replace(NewStrategy(name, TEMPLATE, note="why"), **changes)


def test_a_saved_strategy_is_read_as_it_was_given(connection: psycopg.Connection) -> None:
    user_id, job_id = uuid4(), uuid4()
    wanted = new(source_job_id=job_id, source_variant_key="k-1")
    saved = strategies.create(connection, user_id, wanted)
    assert strategies.get(connection, user_id, saved.strategy_id) == saved
    for name in NewStrategy.__slots__:
        assert getattr(saved, name) == getattr(wanted, name)
    assert (saved.user_id, saved.created_at) == (user_id, saved.updated_at)


def test_a_name_is_taken_once_per_user_as_it_is_given(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    strategies.create(connection, user_id, new("Trend"))
    for other in ("trend", "Trend ", " Trend"):
        strategies.create(connection, user_id, new(other))
    strategies.create(connection, uuid4(), new("Trend"))
    with pytest.raises(NameTaken, match="'Trend' already: choose another name") as caught:
        strategies.create(connection, user_id, new("Trend"))
    assert caught.value.name == "Trend"


def test_simultaneous_saves_under_one_name_leave_one(
    database: str, connection: psycopg.Connection
) -> None:
    user_id, barrier = uuid4(), threading.Barrier(6)

    def save(_: int) -> bool:
        with session(database) as mine:
            barrier.wait(timeout=20)
            try:
                mine.run(partial(strategies.create, user_id=user_id, new=new()))
            except NameTaken:
                return False
            return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(save, range(6))) == 1
    assert len(strategies.page(connection, user_id).items) == 1


def test_an_update_replaces_everything_but_the_identity(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    first = strategies.create(
        connection, user_id, new(source_job_id=uuid4(), source_variant_key="k")
    )
    changed = NewStrategy("Other", {"timeframe": "1h"})
    second = strategies.update(connection, user_id, first.strategy_id, changed)
    assert second is not None
    assert second == strategies.get(connection, user_id, first.strategy_id)
    assert (second.name, second.note, second.template_json) == ("Other", None, {"timeframe": "1h"})
    assert (second.source_job_id, second.source_variant_key) == (None, None)
    assert (second.strategy_id, second.created_at) == (first.strategy_id, first.created_at)
    assert second.updated_at > first.updated_at


def test_an_update_may_keep_its_name_and_not_take_anothers(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    strategies.create(connection, user_id, new("Taken"))
    mine = strategies.create(connection, user_id, new("Mine"))
    assert strategies.update(connection, user_id, mine.strategy_id, new("Mine", note=None))
    with pytest.raises(NameTaken):
        strategies.update(connection, user_id, mine.strategy_id, new("Taken"))


def test_a_deleted_strategy_is_gone_and_its_name_free(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    saved = strategies.create(connection, user_id, new())
    assert strategies.delete(connection, user_id, saved.strategy_id)
    assert not strategies.delete(connection, user_id, saved.strategy_id)
    assert strategies.get(connection, user_id, saved.strategy_id) is None
    assert strategies.create(connection, user_id, new())


def test_the_strategies_of_another_user_are_neither_seen_nor_touched(
    connection: psycopg.Connection,
) -> None:
    owner, other = uuid4(), uuid4()
    saved = strategies.create(connection, owner, new())
    assert strategies.get(connection, other, saved.strategy_id) is None
    assert strategies.update(connection, other, saved.strategy_id, new("x")) is None
    assert not strategies.delete(connection, other, saved.strategy_id)
    assert strategies.page(connection, other) == ([], None)
    assert strategies.get(connection, owner, saved.strategy_id) == saved


def test_pages_cover_everything_once_newest_first_and_ties_by_id(
    connection: psycopg.Connection,
) -> None:
    user_id = uuid4()
    strategies.create(connection, uuid4(), new())
    made = [strategies.create(connection, user_id, new(f"s{number}")) for number in range(7)]
    connection.execute("UPDATE backtest_strategies SET created_at = '2026-01-01 00:00Z'")
    connection.execute(
        "UPDATE backtest_strategies SET created_at = '2026-01-02 00:00Z' WHERE name = 's3'"
    )
    seen: list[Strategy] = []
    before: Position | None = None
    while True:
        page = strategies.page(connection, user_id, limit=2, before=before)
        assert len(page.items) <= 2
        seen += page.items
        before = page.next
        if before is None:
            break
    tied = [each.strategy_id for each in made if each.name != "s3"]
    expected: list[UUID] = [made[3].strategy_id, *sorted(tied, reverse=True)]
    assert [each.strategy_id for each in seen] == expected


def test_a_strategy_outlives_the_job_it_came_from_and_says_which_it_was(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    succeed(connection, lease, [])
    user_id = uuid4()
    saved = strategies.create(
        connection, user_id, new(source_job_id=lease.job_id, source_variant_key="k")
    )
    connection.execute("UPDATE backtest_jobs SET finished_at = now() - interval '9 days'")
    assert jobs.delete_finished(connection, older_than_days=7, batch=10) == 1
    assert strategies.get(connection, user_id, saved.strategy_id) == saved
