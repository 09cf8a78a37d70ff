"""Sessions that tasks of an event loop share, with each other and with threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest

from storage import faults
from storage.connection import Connection, NoAnswer
from storage.pool import PoolBusy, SessionPool
from storage.session import Unreachable
from tests.faults.harness import wait_for
from tests.loops import in_a_loop
from tests.network import postgres_proxy
from tests.own_postgres import own_postgres
from tests.storage.test_asking import PID, one
from tests.storage.test_pool import connections, end_connections, pid, pool

NAP = "SELECT pg_backend_pid() FROM pg_sleep(%(seconds)s)"
FOR_EVER = one(NAP, seconds=600)


@asynccontextmanager
async def loop_goes_on() -> AsyncIterator[None]:
    """Others are served meanwhile: in a loop that stands still nobody gets a turn."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    others = asyncio.create_task(take_turns())
    try:
        yield
    finally:
        others.cancel()
    assert turns > 20


def busy(conn: psycopg.Connection, name: str = "pool-test") -> int:
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'active'"
        " AND query LIKE '%%pg_sleep%%' AND datname = current_database()",
        [name],
    ).fetchone()
    assert row is not None
    return int(row[0])


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what)


async def cancelled_at_once(task: asyncio.Task[Any]) -> None:
    """It ends within a few turns of the loop: for nothing it has to wait."""
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert task.cancelled()


# --- how many, and who waits


def test_many_tasks_share_few_connections(database: str, connection: psycopg.Connection) -> None:
    async def work() -> None:
        with pool(database, 3, wait_seconds=20) as mine:
            asked = (mine.ask(one(NAP, seconds=0.02)) for _ in range(30))
            found = await asyncio.gather(*asked)
            assert len({answer for (answer,) in found}) == 3
            assert connections(connection) == 3

    in_a_loop(work())


def test_a_connection_is_used_again_and_the_last_one_first(database: str) -> None:
    async def work() -> None:
        with pool(database, 3) as mine:
            assert len({await mine.ask(one(PID)) for _ in range(5)}) == 1

    in_a_loop(work())


def test_tasks_and_threads_have_their_connections_in_common(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 2, wait_seconds=20) as mine, ThreadPoolExecutor(6) as threads:
            loop = asyncio.get_running_loop()

            def nap(conn: Connection) -> int:
                return one(NAP, seconds=0.02).of(conn)

            asked = [mine.ask(one(NAP, seconds=0.02)) for _ in range(12)]
            ran = [loop.run_in_executor(threads, mine.run, nap) for _ in range(12)]
            in_tasks, in_threads = await asyncio.gather(*asked), await asyncio.gather(*ran)
            found = {answer for (answer,) in in_tasks} | set(in_threads)
            assert len(found) == connections(connection) == 2

    in_a_loop(work())


def test_who_came_first_is_served_first(database: str) -> None:
    async def work() -> None:
        served: list[int] = []
        holding, leave = threading.Event(), threading.Event()

        def hold(_conn: Connection) -> None:
            holding.set()
            assert leave.wait(20)

        async def take_turn(mine: SessionPool, number: int) -> None:
            await mine.ask(one(PID))
            served.append(number)

        def turn_in_thread(mine: SessionPool, number: int) -> None:
            mine.run(pid)
            served.append(number)

        with pool(database, 1, wait_seconds=20) as mine, ThreadPoolExecutor(8) as threads:
            loop = asyncio.get_running_loop()
            turns: list[Any] = [loop.run_in_executor(threads, mine.run, hold)]
            await until(holding.is_set, "the thread that holds the connection")
            for number in range(6):
                if number % 2:
                    turns.append(loop.run_in_executor(threads, turn_in_thread, mine, number))
                else:
                    turns.append(asyncio.create_task(take_turn(mine, number)))
                await until(lambda place=number: len(mine._waiting) == place + 1, "its place")
            leave.set()
            await asyncio.gather(*turns)
        # Two that are served one after the other may say so in the other order.
        assert sorted(served) == list(range(6))
        assert all(abs(place - number) <= 1 for place, number in enumerate(served))

    in_a_loop(work())


def test_a_task_that_waits_too_long_is_told_that_all_are_busy(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 1, wait_seconds=0.05) as mine:
            await mine.ask(one(PID))
            holding = asyncio.create_task(mine.ask(one(NAP, seconds=1)))
            await until(lambda: busy(connection) == 1, "a busy connection")
            with pytest.raises(PoolBusy, match=r"all 1 connections .* busy for 0\.05 s") as caught:
                await mine.ask(one(PID))
            assert faults.passing(caught.value)
            assert await holding == await mine.ask(one(PID))

    in_a_loop(work())


def test_a_cancelled_wait_takes_nothing_with_it(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 1, wait_seconds=20) as mine:
            await mine.ask(one(PID))
            for _ in range(20):
                holding = asyncio.create_task(mine.ask(one(NAP, seconds=0.01)))
                await asyncio.sleep(0)
                waiting = asyncio.create_task(mine.ask(one(PID)))
                # At the moment of its turn too: then the session is on its way to it.
                holding.add_done_callback(lambda _, task=waiting: task.cancel())
                await holding
                with suppress(asyncio.CancelledError):
                    await waiting
            assert await mine.ask(one(PID))
            assert mine._waiting == type(mine._waiting)()
            assert len(mine._idle) == 1

    in_a_loop(work())


def test_a_closed_pool_keeps_no_connection_and_lends_none(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 2, wait_seconds=20) as mine:
            await asyncio.gather(*(mine.ask(one(NAP, seconds=0.01)) for _ in range(2)))
            holding = [asyncio.create_task(mine.ask(one(NAP, seconds=0.5))) for _ in range(2)]
            waiting = asyncio.create_task(mine.ask(one(PID)))
            await until(lambda: busy(connection) == 2, "two busy connections")
            mine.close()
            with pytest.raises(RuntimeError, match="closed"):
                await waiting
            with pytest.raises(RuntimeError, match="closed"):
                await mine.ask(one(PID))
            await asyncio.gather(*holding)
            await until(lambda: connections(connection) == 0, "the end of the connections")

    in_a_loop(work())


def test_each_connection_is_looked_at_once(database: str) -> None:
    seen: list[int] = []

    async def work() -> None:
        with pool(database, 2, on_connect=lambda conn: seen.append(pid(conn))) as mine:
            for _ in range(3):
                await mine.ask(one(PID))

    in_a_loop(work())
    assert len(seen) == 1


# --- cancelled


def test_a_cancelled_question_leaves_no_answer_for_the_next(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 1, wait_seconds=20) as mine:
            await mine.ask(one(PID))
            asking = asyncio.create_task(mine.ask(one("SELECT 'stale' FROM pg_sleep(600)")))
            await until(lambda: busy(connection) == 1, "the question")
            await cancelled_at_once(asking)
            assert not mine._idle[0].connected
            assert await mine.ask(one("SELECT 'new'")) == ("new",)

    in_a_loop(work())


def test_a_question_in_a_dead_network_is_cancelled_at_once(database: str) -> None:
    async def work() -> None:
        with postgres_proxy(database) as network, pool(network.dsn, 1, wait_seconds=20) as mine:
            await mine.ask(one(PID))
            network.blackhole()
            asking = asyncio.create_task(mine.ask(one("SELECT 'stale'")))
            await asyncio.sleep(0.01)
            await cancelled_at_once(asking)
            network.heal()
            assert await mine.ask(one("SELECT 'new'")) == ("new",)

    in_a_loop(work())


def test_questions_that_are_cancelled_at_any_moment_leave_every_connection_sound(
    database: str,
) -> None:
    async def work() -> None:
        with pool(database, 2, wait_seconds=20) as mine:
            for number in range(200):
                asking = asyncio.create_task(mine.ask(one("SELECT %(n)s", n=-number)))
                for _ in range(number % 12):
                    await asyncio.sleep(0)
                asking.cancel()
                with suppress(asyncio.CancelledError):
                    assert await asking == (-number,)
                assert await mine.ask(one("SELECT %(n)s", n=number)) == (number,)
            await until(lambda: len(mine._idle) == 2, "both sessions")

    in_a_loop(work())


def test_a_question_that_is_cancelled_while_it_connects_gives_its_session_back(
    database: str,
) -> None:
    async def work() -> None:
        with postgres_proxy(database) as network, pool(network.dsn, 1, wait_seconds=20) as mine:
            network.swallow_first()
            asking = asyncio.create_task(mine.ask(one(PID)))
            await until(lambda: bool(network.stuck()), "a statement that is swallowed")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            network.heal()
            assert await mine.ask(one("SELECT 'new'")) == ("new",)

    in_a_loop(work())


# --- faults


@pytest.mark.parametrize("fault", ["blackhole", "swallow_first"])
def test_a_question_that_is_never_answered_ends_by_its_deadline_and_stalls_nobody(
    database: str, fault: str
) -> None:
    async def work() -> None:
        limits = {"statement_seconds": 0.2}
        with (
            postgres_proxy(database) as network,
            pool(f"{network.dsn} connect_timeout=2", 2, **limits) as mine,
        ):
            await mine.ask(one(PID))
            getattr(network, fault)()
            async with loop_goes_on():
                for _ in range(2):
                    with pytest.raises((NoAnswer, Unreachable)):
                        await mine.ask(one(PID))
            network.heal()
            assert await mine.ask(one("SELECT 'new'")) == ("new",)

    in_a_loop(work())


def test_a_healthy_question_does_not_wait_for_one_that_is_stuck(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 2, wait_seconds=20) as mine:
            await asyncio.gather(*(mine.ask(one(NAP, seconds=0.01)) for _ in range(2)))
            stuck = asyncio.create_task(mine.ask(FOR_EVER))
            await until(lambda: busy(connection) == 1, "the long question")
            for number in range(50):
                assert await mine.ask(one("SELECT %(n)s", n=number)) == (number,)
            assert not stuck.done()
            stuck.cancel()
            with suppress(asyncio.CancelledError):
                await stuck

    in_a_loop(work())


def test_every_idle_connection_may_be_gone_and_no_task_notices(
    database: str, connection: psycopg.Connection
) -> None:
    async def work() -> None:
        with pool(database, 3, wait_seconds=20) as mine:
            for _ in range(3):
                found = await asyncio.gather(*(mine.ask(one(NAP, seconds=0.02)) for _ in range(9)))
                assert len({answer for (answer,) in found}) == 3
                await asyncio.to_thread(end_connections, connection)

    in_a_loop(work())


def test_a_restart_of_postgres_costs_calls_of_its_time_and_no_later_one() -> None:
    async def work() -> None:
        with own_postgres() as server, pool(server.dsn, 4, wait_seconds=20) as mine:
            wrong: list[object] = []
            answered = 0
            stop = asyncio.Event()

            async def caller(own: int) -> None:
                nonlocal answered
                while not stop.is_set():
                    try:
                        (answer,) = await mine.ask(one("SELECT %(n)s", n=own))
                    except psycopg.Error as error:
                        if not faults.passing(error):
                            wrong.append(error)
                        await asyncio.sleep(0.01)
                    else:
                        answered += 1
                        if answer != own:
                            wrong.append((own, answer))

            callers = [asyncio.create_task(caller(number)) for number in range(30)]
            await until(lambda: answered > 100, "answers")
            async with loop_goes_on():
                await asyncio.to_thread(server.stop, "immediate")
                await asyncio.to_thread(server.start)
            before = answered
            await until(lambda: answered > before + 100, "answers after the restart")
            stop.set()
            await asyncio.gather(*callers)
            assert wrong == []

    in_a_loop(work())
