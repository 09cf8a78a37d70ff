"""A user's jobs in lists: order, pages, filters, search, counts."""

import math
import re
import secrets
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from engine.request.entries import TABLE
from storage import jobs, leases, lists
from storage.lists import Count, JobLine
from storage.paging import Position
from storage.records import Client, Stage, State
from tests.storage.making import (
    claimed,
    fail,
    reclaimed,
    save_snapshot,
    submitted,
    succeed,
    variants,
)

REQUEST: dict[str, Any] = {
    "version": 2,
    "time_range": {"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"},
    "template": {
        "instrument_id": {"market_id": 1, "symbol": "BTCUSDT"},
        "timeframe": "15m",
        "indicator_grids": [],
    },
    "ranking": {"primary_metric": "profit_factor"},
}


def of(symbol: str) -> dict[str, Any]:
    instrument = {"market_id": 1, "symbol": symbol}
    return REQUEST | {"template": REQUEST["template"] | {"instrument_id": instrument}}


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> int:
    """A search that looks at few jobs for a page, so that few make a long list."""
    monkeypatch.setattr(lists, "EXAMINED", 5)
    return 5


def created_at(conn: psycopg.Connection, job_id: UUID, second: float) -> UUID:
    conn.execute(
        "UPDATE backtest_jobs SET created_at = '2026-01-01 00:00Z'::timestamptz"
        " + %s * interval '1 second' WHERE job_id = %s",
        [second, job_id],
    )
    return job_id


def at_times(
    conn: psycopg.Connection, user_id: UUID, seconds: list[int], **changes: Any
) -> list[UUID]:
    """One job per entry, created that many seconds after a common start; newest first."""
    made = [
        (second, created_at(conn, submitted(conn, user_id=user_id, **changes).job_id, second))
        for second in seconds
    ]
    return [job_id for _, job_id in sorted(made, reverse=True)]


def ids(conn: psycopg.Connection, user_id: UUID, **filters: Any) -> list[UUID]:
    return [line.job_id for line in lists.page(conn, user_id, **filters).items]


def pages(
    conn: psycopg.Connection, user_id: UUID, *, limit: int, **filters: Any
) -> Iterator[list[UUID]]:
    """The ids of every page."""
    before: Position | None = None
    while True:
        page = lists.page(conn, user_id, limit=limit, before=before, **filters)
        yield [line.job_id for line in page.items]
        before = page.next
        if before is None:
            return


def flat(found: Iterator[list[UUID]]) -> list[UUID]:
    return [job_id for page in found for job_id in page]


# --- what a line says


def test_a_line_of_a_queued_job(connection: psycopg.Connection) -> None:
    job = submitted(connection, name="Первый", request_json=REQUEST)
    (line,) = lists.page(connection, job.user_id).items
    assert line == JobLine(
        job_id=job.job_id,
        user_id=job.user_id,
        name="Первый",
        mode=job.mode,
        state=State.QUEUED,
        stage=None,
        attempt=0,
        created_at=job.created_at,
        started_at=None,
        finished_at=None,
        cancel_requested_at=None,
        processed_units=0,
        total_units=0,
        progress_updated_at=None,
        stage_started_at=None,
        market_id=1,
        symbol="BTCUSDT",
        timeframe="15m",
        start="2024-01-01T00:00:00Z",
        end="2025-01-01T00:00:00Z",
        primary_metric="profit_factor",
        best=None,
        best_infinite=False,
        last_error=None,
    )


def only_line(conn: psycopg.Connection, job_id: UUID) -> JobLine:
    job = jobs.get(conn, job_id)
    assert job is not None
    (line,) = lists.lines(job.user_id, [job_id]).of(conn)
    return line


def test_a_line_of_a_running_job_says_since_when_it_is_in_its_stage(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    assert only_line(connection, lease.job_id).stage_started_at is None
    leases.start_stage(connection, lease, Stage.STAGE_A, 10)
    leases.start_stage(connection, lease, Stage.STAGE_B, 20)
    leases.progress(connection, lease, Stage.STAGE_B, 7, 20)
    line = only_line(connection, lease.job_id)
    assert (line.stage, line.processed_units, line.total_units) == (Stage.STAGE_B, 7, 20)
    assert line.stage_started_at == jobs.events(lease.job_id).of(connection)[-1].at
    assert leases.release(connection, lease)
    again = reclaimed(connection, lease.job_id)
    assert only_line(connection, lease.job_id).stage_started_at is None  # of another attempt
    leases.start_stage(connection, again, Stage.STAGE_A, 10)
    assert only_line(connection, lease.job_id).stage_started_at is not None
    fail(connection, again)
    line = only_line(connection, lease.job_id)
    assert (line.state, line.stage_started_at) == (State.FAILED, None)
    assert line.last_error == "There are no candles in that range."


@pytest.mark.parametrize(
    ("metrics", "best", "infinite"),
    [
        ({"profit_factor": 2.5}, 2.5, False),
        ({"profit_factor": None}, None, False),
        ({"profit_factor": None, "infinite": ["profit_factor"]}, None, True),
        ({"profit_factor": 1, "infinite": ["calmar"]}, 1, False),
        ({}, None, False),
    ],
)
def test_a_line_has_the_primary_metric_of_the_best_variant(
    connection: psycopg.Connection, metrics: dict[str, Any], best: float | None, infinite: bool
) -> None:
    lease = claimed(connection, request_json=REQUEST)
    rows = variants(2)
    for rank, values in ((1, metrics), (2, {"profit_factor": 99.0})):
        rows[rank - 1] = type(rows[0])(
            rank=rank,
            variant_key=f"k{rank}",
            indicator_variant_key="i",
            variant_index=rank,
            total_return_pct=1.0,
            metrics_json=values,
            payload_json={},
        )
    assert save_snapshot(connection, lease, rows)
    line = only_line(connection, lease.job_id)
    assert (line.best, line.best_infinite) == (best, infinite)
    assert line.best is None or math.isfinite(line.best)


def test_a_request_of_another_form_is_a_line_with_less(connection: psycopg.Connection) -> None:
    job = submitted(connection, request_json={"template": 7, "ranking": ["x"], "time_range": "y"})
    line = only_line(connection, job.job_id)
    assert (line.market_id, line.symbol, line.timeframe) == (None, None, None)
    assert (line.start, line.end, line.primary_metric, line.best) == (None, None, None, None)


# --- order and pages


def test_a_list_is_newest_first_and_ties_by_id(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    made = at_times(connection, user_id, [3, 1, 1, 1, 2])
    submitted(connection)
    assert ids(connection, user_id) == made


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"state": State.QUEUED},
        {"symbol": "BTCUSDT"},
        {"state": State.QUEUED, "symbol": "BTCUSDT"},
        {"q": "sw"},
        {"q": "sw", "state": State.QUEUED, "symbol": "BTCUSDT"},
    ],
)
@pytest.mark.parametrize("walk", [False, True], ids=["found", "walked"])
def test_pages_cover_everything_once_in_order(
    connection: psycopg.Connection,
    filters: dict[str, Any],
    walk: bool,
    request: pytest.FixtureRequest,
) -> None:
    if walk:
        request.getfixturevalue("examined")
    user_id = uuid4()
    wanted: dict[str, Any] = {"request_json": REQUEST, "name": "Sweep"}
    made = at_times(connection, user_id, [1, 1, 1, 2, 2, 3, 5], **wanted)
    seen: list[UUID] = []
    for page in pages(connection, user_id, limit=2, **filters):
        assert len(page) <= 2
        seen += page
        submitted(connection, user_id=user_id, **wanted)  # newer ones do not shift later pages
    assert seen == made


def test_a_page_that_ends_the_list_has_no_next(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    at_times(connection, user_id, [1, 2])
    assert lists.page(connection, user_id, limit=2).next is None
    assert lists.page(connection, user_id, limit=1).next is not None
    assert lists.page(connection, uuid4()) == ([], None)


# --- filters


def test_a_list_can_be_limited_to_a_state(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    queued = submitted(connection, user_id=user_id).job_id
    running = claimed(connection, user_id=user_id).job_id
    for state, expected in [
        (State.QUEUED, [queued]),
        (State.RUNNING, [running]),
        (State.FAILED, []),
    ]:
        assert ids(connection, user_id, state=state) == expected


def test_a_list_can_be_limited_to_a_symbol_and_a_state(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    btc = submitted(connection, user_id=user_id, request_json=of("BTCUSDT")).job_id
    running = claimed(connection, user_id=user_id, request_json=of("BTCUSDT")).job_id
    eth = submitted(connection, user_id=user_id, request_json=of("ETHUSDT")).job_id
    submitted(connection, request_json=of("BTCUSDT"))  # of another user
    assert ids(connection, user_id, symbol="BTCUSDT") == [running, btc]
    assert ids(connection, user_id, symbol="ETHUSDT") == [eth]
    assert ids(connection, user_id, symbol="BTC") == []
    assert ids(connection, user_id, symbol="BTCUSDT", state=State.QUEUED) == [btc]
    assert ids(connection, user_id, symbol="ETHUSDT", state=State.RUNNING) == []


def test_the_longest_symbol_of_a_request_is_a_filter(connection: psycopg.Connection) -> None:
    user_id, longest = uuid4(), "B" * 63 + "T"
    made = submitted(connection, user_id=user_id, request_json=of(longest)).job_id
    submitted(connection, user_id=user_id, request_json=of("B" * 63 + "X"))
    assert ids(connection, user_id, symbol=longest) == [made]
    assert ids(connection, user_id, symbol=longest, state=State.QUEUED) == [made]
    pattern = TABLE.at("template.instrument_id.symbol").pattern
    assert pattern is not None
    accepted = [re.fullmatch(pattern.expression, text) for text in (longest, longest + "T")]
    assert [match is not None for match in accepted] == [True, False]


def test_a_symbol_that_no_index_could_hold_is_stored(connection: psycopg.Connection) -> None:
    user_id, old = uuid4(), secrets.token_hex(5_000)
    made = submitted(connection, user_id=user_id, request_json=of(old)).job_id
    assert ids(connection, user_id) == [made]


# --- search


@pytest.fixture(params=["found", "walked"])
def searched(
    connection: psycopg.Connection, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> psycopg.Connection:
    """Both ways of a search: from the index of names, and down the list."""
    if request.param == "walked":
        monkeypatch.setattr(lists, "_too_many", lambda *_: True)
    return connection


@pytest.mark.parametrize(
    ("name", "q"),
    [
        ("Sweep of May", "sWEEP o"),
        ("Тренд", "тРЕНД"),
        ("Straße", "STRASSE"),
        ("100% sure", "100%"),
        ("a_b", "a_"),
        (r"back\slash", r"back\s"),
        ("  indented", "  i"),
        ("😀 day", "😀"),
    ],
)
def test_a_search_finds_the_beginning_of_a_name_in_any_case(
    searched: psycopg.Connection, name: str, q: str
) -> None:
    user_id = uuid4()
    wanted = submitted(searched, user_id=user_id, name=name).job_id
    submitted(searched, name=name)  # of another user
    submitted(searched, user_id=user_id)
    submitted(searched, user_id=user_id, name=f"x{name}")
    assert ids(searched, user_id, q=q) == [wanted]


@pytest.mark.parametrize("q", ["100%", "a_", "\\", "%", "_"])
def test_wildcards_mean_themselves(searched: psycopg.Connection, q: str) -> None:
    user_id = uuid4()
    for name in ("1000", "ab", "sweep"):
        submitted(searched, user_id=user_id, name=name)
    assert ids(searched, user_id, q=q) == []


def with_id(conn: psycopg.Connection, user_id: UUID, job_id: str) -> UUID:
    made = submitted(conn, user_id=user_id).job_id
    conn.execute("DELETE FROM backtest_job_events WHERE job_id = %s", [made])
    conn.execute("UPDATE backtest_jobs SET job_id = %s WHERE job_id = %s", [job_id, made])
    return UUID(job_id)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("3f0c", True),
        ("3F0C8", True),
        ("3f0c8000-", True),
        ("3f0c8000-00", True),
        ("3f0c800000", True),
        ("3f0c8000-0000-4000-8000-000000000001", True),
        ("3f0c80000000400080000000000001", False),
        ("3f0", False),
        ("3f-0c", False),
        ("3f0c8000-0000-4000-8000-0000000000011", False),
        ("3f0d", False),
        ("----", False),
    ],
)
def test_a_search_finds_the_beginning_of_an_id(
    searched: psycopg.Connection, q: str, found: bool
) -> None:
    user_id = uuid4()
    wanted = with_id(searched, user_id, "3f0c8000-0000-4000-8000-000000000001")
    with_id(searched, uuid4(), "3f0c8000-0000-4000-8000-000000000002")
    assert ids(searched, user_id, q=q) == ([wanted] if found else [])


def test_a_name_and_an_id_that_begin_alike_are_both_found(searched: psycopg.Connection) -> None:
    user_id = uuid4()
    by_id = with_id(searched, user_id, "beef0000-0000-4000-8000-000000000001")
    by_name = submitted(searched, user_id=user_id, name="Beef").job_id
    assert set(ids(searched, user_id, q="beef")) == {by_id, by_name}


def test_a_search_of_too_many_names_goes_down_the_list_a_part_at_a_time(
    connection: psycopg.Connection, examined: int
) -> None:
    user_id = uuid4()
    old = at_times(connection, user_id, list(range(7)), name="Sweep")
    at_times(connection, user_id, list(range(100, 111)), name="other")
    found = list(pages(connection, user_id, limit=3, q="sweep"))
    assert flat(iter(found)) == old
    assert len(found) <= 1 + (7 + 11) // 3
    assert found[0] == []


def test_a_search_of_few_names_finds_them_however_old(
    connection: psycopg.Connection, examined: int
) -> None:
    user_id = uuid4()
    old = at_times(connection, user_id, list(range(examined)), name="Sweep")
    at_times(connection, user_id, list(range(100, 120)), name="other")
    assert list(pages(connection, user_id, limit=9, q="sweep")) == [old]


def test_a_renamed_job_is_found_by_its_new_name_only(searched: psycopg.Connection) -> None:
    job = submitted(searched, name="before")
    assert jobs.describe(searched, job.user_id, job.job_id, changes={"name": "After"})
    assert ids(searched, job.user_id, q="bef") == []
    assert ids(searched, job.user_id, q="aft") == [job.job_id]
    assert jobs.describe(searched, job.user_id, job.job_id, changes={"name": None})
    assert ids(searched, job.user_id, q="aft") == []


# --- lines by id, counts


def test_lines_by_id_are_the_users_own_newest_first(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    made = at_times(connection, user_id, [1, 2])
    theirs = submitted(connection).job_id
    found = lists.lines(user_id, [theirs, uuid4(), *reversed(made)]).of(connection)
    assert [line.job_id for line in found] == made


def test_counts_are_by_state_and_of_the_user(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    submitted(connection)
    submitted(connection, user_id=user_id)
    for _ in range(2):
        claimed(connection, user_id=user_id)
    succeed(connection, claimed(connection, user_id=user_id), [])
    jobs.cancel(connection, submitted(connection, user_id=user_id).job_id, client=Client.CLI)
    assert lists.counts(user_id).of(connection) == {
        State.QUEUED: (1, False),
        State.RUNNING: (2, False),
        State.SUCCEEDED: (1, False),
        State.FAILED: (0, False),
        State.CANCELLED: (1, False),
    }


@pytest.mark.parametrize(("there", "shown"), [(2, Count(2, False)), (3, Count(2, True))])
def test_ended_jobs_are_counted_up_to_a_number_and_active_ones_to_the_last(
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    there: int,
    shown: Count,
) -> None:
    monkeypatch.setattr(lists, "COUNTED", 2)
    user_id = uuid4()
    for _ in range(there):
        jobs.cancel(connection, submitted(connection, user_id=user_id).job_id, client=Client.CLI)
        submitted(connection, user_id=user_id)
    counted = lists.counts(user_id).of(connection)
    assert counted[State.CANCELLED] == shown
    assert counted[State.QUEUED] == Count(there, False)
