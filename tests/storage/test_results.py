"""Shortlist and top variants."""

import json
import math
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest

from storage import faults, jobs, leases, result_texts, results
from storage.asking import Ask
from storage.records import Claimed, Client, Lease, Shortlist, State, TopText, TopVariant
from tests.storage.making import (
    COVERAGE,
    FIGURES,
    OUTCOMES,
    SUCCESSOR,
    answered,
    claim,
    claimed,
    claimer,
    current,
    event_names,
    expire,
    new_job,
    reclaimed,
    save_shortlist,
    save_snapshot,
    session,
    stored_rows,
    succeed,
    surface,
    variants,
    wait_for_a_blocked_session,
    without_bins,
)

SHORTLIST = Shortlist([30, 10, 20], [4, 1, 9], 100, 9, 3, "engine-1", "a" * 64)


def test_the_shortlist_keeps_the_rank_order(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert save_shortlist(connection, lease, SHORTLIST)
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    assert (stored.shortlist, stored.attempt) == (SHORTLIST, 1)


def test_indexes_may_be_numpy_integers(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    indexes = np.array([3, 2**40, 0], dtype=np.int64)
    assert save_shortlist(connection, lease, replace(SHORTLIST, indexes=indexes))
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    assert stored.shortlist.indexes == [3, 2**40, 0]


def test_twins_stand_beside_the_indexes_and_may_be_numpy_integers(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    twins = np.array([2**40, 1, 3], dtype=np.int64)
    assert save_shortlist(connection, lease, replace(SHORTLIST, twins=twins))
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    assert stored.shortlist.twins == [2**40, 1, 3]


def test_the_shortlist_and_the_outcomes_of_its_search_are_stored_together(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    assert results.outcomes(lease.job_id).of(connection) is None
    assert save_shortlist(connection, lease, SHORTLIST)
    assert results.outcomes(lease.job_id).of(connection) == OUTCOMES
    with pytest.raises(psycopg.errors.CheckViolation):
        save_other_outcomes(connection, lease, replace(SHORTLIST, twins=[1]))
    assert results.outcomes(lease.job_id).of(connection) == OUTCOMES
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    assert stored.shortlist == SHORTLIST


def test_a_second_stage_a_replaces_shortlist_twins_and_outcomes(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    save_shortlist(connection, lease, SHORTLIST)
    # Other variants with the same twins, as after a change of the candles.
    other = replace(SHORTLIST, indexes=[5, 6, 7], candles_hash="b" * 64)
    assert save_other_outcomes(connection, lease, other)
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    assert stored.shortlist == other
    assert results.outcomes(lease.job_id).of(connection) == OUTCOMES | {"tried": 7}


def save_other_outcomes(conn: psycopg.Connection, lease: Lease, shortlist: Shortlist) -> bool:
    with conn.transaction():
        return results.save_shortlist(conn, lease, shortlist, OUTCOMES | {"tried": 7})


def test_a_job_shows_its_outcomes_without_the_histograms(connection: psycopg.Connection) -> None:
    lease = claimed(connection, idempotency_key="k")
    save_shortlist(connection, lease, SHORTLIST)
    job = current(connection, lease.job_id)
    assert job.outcomes_json == without_bins(OUTCOMES)
    assert jobs.find(job.user_id, job.job_id.hex, limit=2).of(connection) == [job]
    retried = new_job(user_id=job.user_id, idempotency_key="k")
    assert jobs.create(connection, retried, max_active=1, client=Client.API).job == job
    expire(connection, lease.job_id)
    taken = claim(connection, lease.job_id, locked_by=SUCCESSOR)
    assert isinstance(taken, Claimed)
    assert taken.job.outcomes_json == without_bins(OUTCOMES)
    again = leases.recognise(connection, lease.job_id, claimer(SUCCESSOR))
    assert again is not None
    assert again.job.outcomes_json == without_bins(OUTCOMES)


def test_coverage_is_stored_by_the_owner_over_that_of_the_submission(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection, coverage_json={"bars_present": 1})
    assert current(connection, lease.job_id).coverage_json == {"bars_present": 1}
    assert results.save_coverage(connection, lease, COVERAGE)
    assert current(connection, lease.job_id).coverage_json == COVERAGE


def test_a_job_without_shortlist_has_none(connection: psycopg.Connection) -> None:
    assert results.shortlist(connection, uuid4()) is None


def test_a_later_attempt_replaces_the_whole_shortlist(connection: psycopg.Connection) -> None:
    first = claimed(connection)
    save_shortlist(connection, first, SHORTLIST)
    expire(connection, first.job_id)
    second = reclaimed(connection, first.job_id)
    other = Shortlist([1], [6], 7, 8, 1, "engine-2", "b" * 64)
    save_shortlist(connection, second, other)
    stored = results.shortlist(connection, first.job_id)
    assert stored is not None
    assert (stored.shortlist, stored.attempt) == (other, 2)
    assert stored.updated_at == current(connection, first.job_id).heartbeat_at


def test_a_shortlist_that_waited_behind_a_reclaim_is_not_saved(
    database: str, connection: psycopg.Connection
) -> None:
    stale = claimed(connection)
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as threads:
        expire(other, stale.job_id)
        reclaimed(other, stale.job_id)
        # To the stale owner its lease is alive until the other transaction commits.
        saved = threads.submit(save_shortlist, connection, stale, SHORTLIST)
        with psycopg.connect(database, autocommit=True) as observer:
            wait_for_a_blocked_session(observer)
        other.commit()
        assert saved.result(timeout=20) is False
    assert results.shortlist(connection, stale.job_id) is None


@pytest.mark.parametrize("write", [save_snapshot, succeed])
def test_rows_that_waited_behind_a_reclaim_are_not_saved(
    database: str,
    connection: psycopg.Connection,
    write: Callable[[psycopg.Connection, Lease, list[TopVariant]], object],
) -> None:
    stale = claimed(connection)
    save_snapshot(connection, stale, variants(1))
    with psycopg.connect(database) as other, ThreadPoolExecutor(1) as threads:
        expire(other, stale.job_id)
        reclaimed(other, stale.job_id)
        saved = threads.submit(write, connection, stale, variants(2))
        with psycopg.connect(database, autocommit=True) as observer:
            wait_for_a_blocked_session(observer)
        other.commit()
        assert not saved.result(timeout=20)
    assert stored_rows(connection, stale.job_id) == variants(1)


@pytest.mark.parametrize(
    ("engine_version", "candles_hash", "twins", "usable"),
    [
        ("engine-1", "a" * 64, [4, 1, 9], True),
        ("engine-2", "a" * 64, [4, 1, 9], False),
        ("engine-1", "b" * 64, [4, 1, 9], False),
        ("engine-1", "a" * 64, None, False),
    ],
)
def test_a_shortlist_serves_the_same_engine_and_candles_only_and_with_its_twins(
    connection: psycopg.Connection,
    engine_version: str,
    candles_hash: str,
    twins: list[int] | None,
    usable: bool,
) -> None:
    lease = claimed(connection)
    save_shortlist(connection, lease, replace(SHORTLIST, twins=twins))
    stored = results.shortlist(connection, lease.job_id)
    assert stored is not None
    found = stored.usable_with(engine_version=engine_version, candles_hash=candles_hash)
    assert found is usable


def test_a_snapshot_leaves_the_reports_out(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert save_snapshot(connection, lease, variants(3, reports=True))
    assert stored_rows(connection, lease.job_id) == variants(3, reports=False)


def test_a_snapshot_replaces_all_rows(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(5))
    # The same variant keys at other ranks, and fewer rows than before.
    better = [
        replace(row, rank=rank)
        for rank, row in enumerate(reversed(variants(3, first_key=2)), start=1)
    ]
    save_snapshot(connection, lease, better)
    assert stored_rows(connection, lease.job_id) == better


def test_earlier_rows_stay_visible_until_the_first_snapshot_of_a_new_attempt(
    connection: psycopg.Connection,
) -> None:
    first = claimed(connection)
    save_snapshot(connection, first, variants(2))
    expire(connection, first.job_id)
    second = reclaimed(connection, first.job_id)
    assert stored_rows(connection, first.job_id) == variants(2)
    save_snapshot(connection, second, variants(1, first_key=7))
    assert stored_rows(connection, first.job_id) == variants(1, first_key=7)


def test_success_stores_reports_and_state_together(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(4))
    final = variants(3, reports=True, tested=True, first_key=5)
    assert succeed(connection, lease, final) is State.SUCCEEDED
    job = current(connection, lease.job_id)
    assert (job.state, job.lease_expires_at, job.last_error) == ("succeeded", None, None)
    assert job.locked_by == lease.locked_by
    assert stored_rows(connection, lease.job_id) == final
    assert event_names(connection, lease.job_id)[-1] == "succeeded"


def test_a_success_that_fails_half_way_leaves_everything_as_it_was(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(2))
    twice = [variants(1)[0], replace(variants(1)[0], rank=2)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        succeed(connection, lease, twice)
    assert current(connection, lease.job_id).state == "running"
    assert stored_rows(connection, lease.job_id) == variants(2)
    assert leases.own_end(connection, lease) is None


def test_every_row_says_how_many_variants_have_its_outcome(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    rows = [replace(row, twins=2**40 * row.rank) for row in variants(2, reports=True)]
    save_snapshot(connection, lease, rows)
    assert [row.twins for row in stored_rows(connection, lease.job_id)] == [2**40, 2**41]
    succeed(connection, lease, rows)
    assert stored_rows(connection, lease.job_id) == rows


def test_numbers_come_back_bit_for_bit(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    values = [0.1 + 0.2, 1e-300, -1.7976931348623157e308, 5e-324, math.pi, -0.0]
    rows = [
        replace(row, total_return_pct=value, metrics_json={"value": value})
        for row, value in zip(variants(len(values)), values, strict=True)
    ]
    succeed(connection, lease, rows)
    stored = stored_rows(connection, lease.job_id)
    assert [row.total_return_pct for row in stored] == values
    # A large whole number comes back as an int: JSON has one kind of number.
    assert [float(row.metrics_json["value"]) for row in stored] == values


def test_what_is_no_json_number_is_refused_before_anything_is_written(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(1))
    with pytest.raises(ValueError, match="JSON"):
        save_snapshot(connection, lease, [replace(variants(1)[0], total_return_pct=math.nan)])
    assert stored_rows(connection, lease.job_id) == variants(1)


def test_omitted_trades_are_marked_in_the_final_rows_only(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    rows = [
        *variants(1, reports=True),
        replace(variants(2, reports=True)[1], trades_omitted=True),
    ]
    save_snapshot(connection, lease, rows)
    assert not any(row.trades_omitted for row in stored_rows(connection, lease.job_id))
    succeed(connection, lease, rows)
    assert stored_rows(connection, lease.job_id) == rows


def test_an_empty_top_list_is_a_result(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    assert succeed(connection, lease, []) is State.SUCCEEDED
    assert stored_rows(connection, lease.job_id) == []


def test_an_outline_has_as_many_rows_and_the_figures_of_the_best_one(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    succeed(connection, lease, variants(3, reports=True))
    best, *others = results.outline(lease.job_id).of(connection)
    assert best["metrics_json"] == variants(3)[0].metrics_json
    assert best["total_return_pct"] == variants(3)[0].total_return_pct
    assert others == [{}, {}]


def test_the_top_is_limited_by_rank(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(5))
    assert [row.rank for row in top(connection, lease.job_id, 2)] == [1, 2]


def top(conn: psycopg.Connection, job_id: UUID, limit: int = 9, **parts: bool) -> list[TopText]:
    wanted = {"report": True, "trades": True, "equity": True} | parts
    return results.top_as_text(job_id, limit, **wanted).of(conn)


LARGE = {
    "report": ["report_table_md"],
    "trades": ["trades_json", "test_trades_json"],
    "equity": ["equity_json", "test_equity_json"],
}


@pytest.mark.parametrize("left_out", [["report"], ["trades"], ["equity"], list(LARGE)])
def test_what_is_left_out_of_the_top_is_none(
    connection: psycopg.Connection, left_out: list[str]
) -> None:
    lease = claimed(connection)
    succeed(connection, lease, variants(2, reports=True, tested=True))
    whole = top(connection, lease.job_id)
    assert [row.trades_json for row in whole] == ['[{"id": 1}]', None]
    assert [row.test_equity_json for row in whole] == ["[[1, 9000.0]]", None]
    nothing = {column: None for name in left_out for column in LARGE[name]}
    found = top(connection, lease.job_id, **dict.fromkeys(left_out, False))
    assert found == [row._replace(**nothing) for row in whole]


def test_what_is_left_out_of_the_top_is_not_read(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    noise = [secrets.token_hex(2000) for _ in range(3)]
    large = replace(
        variants(1)[0], report_table_md=noise[0], trades_json=noise[1:2], equity_json=noise[2:]
    )
    succeed(connection, lease, [large])
    before = pieces_read(connection)
    top(connection, lease.job_id, report=False, trades=False, equity=False)
    assert pieces_read(connection) == before
    top(connection, lease.job_id, trades=False, equity=False)
    assert pieces_read(connection) > before


def pieces_read(conn: psycopg.Connection) -> int:
    """How often a piece of a large document of a top variant has been looked up."""
    conn.execute("SELECT pg_stat_force_next_flush()")
    row = conn.execute(
        "SELECT piece.idx_scan FROM pg_stat_all_tables AS piece"
        " JOIN pg_class AS variant ON piece.relid = variant.reltoastrelid"
        " WHERE variant.relname = 'backtest_job_top_variants'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_rows_of_the_top_come_without_the_list_of_their_neighbours(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    rows = variants(2, reports=True, tested=True)
    succeed(connection, lease, rows)
    found = [json.loads(row.beside_json or "") for row in top(connection, lease.job_id)]
    assert found == [{"number": 1}, {"number": 2}]
    whole = results.variant_as_text(lease.job_id, rows[1].variant_key).of(connection)
    assert whole is not None
    assert json.loads(whole.beside_json or "") == rows[1].beside_json


def test_what_was_asked_of_a_search_is_stored_with_its_rows(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    for ask in asks_of(lease.job_id):
        assert ask.of(connection) is None
    assert succeed(connection, lease, variants(1), answered()) is State.SUCCEEDED
    assert results.figures(lease.job_id).of(connection) == FIGURES
    found = results.validation(lease.job_id).of(connection)
    assert found is not None
    assert json.loads(found.figures) == FIGURES
    assert json.loads(found.pictures) == {"splits": {"λ": [0.5, -1.25]}}
    assert json.loads(found.surfaces) == [
        {"number": 1, "axis_x": "trend fast", "axis_y": None},
        {"number": 2, "axis_x": "trend fast", "axis_y": "slow 2"},
    ]
    for number, axis_y in ((1, None), (2, "slow 2")):
        stored = results.surface(lease.job_id, number).of(connection)
        assert stored is not None
        assert (stored.axis_x, stored.axis_y) == ("trend fast", axis_y)
        assert json.loads(stored.surface) == surface(number)
    assert results.surface(lease.job_id, 3).of(connection) is None


def asks_of(job_id: UUID) -> list[Ask[Any]]:
    return [results.figures(job_id), results.validation(job_id), results.surface(job_id, 1)]


def test_a_search_without_an_ordered_axis_has_no_surface(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    succeed(connection, lease, variants(1), answered(surfaces=0))
    found = results.validation(lease.job_id).of(connection)
    assert found is not None
    assert found.surfaces == "[]"


def test_of_a_cancelled_job_nothing_is_stored(connection: psycopg.Connection) -> None:
    lease = claimed(connection)
    jobs.cancel(connection, lease.job_id, client=Client.CLI)
    assert succeed(connection, lease, variants(1), answered()) is State.CANCELLED
    for ask in asks_of(lease.job_id):
        assert ask.of(connection) is None


def test_answers_that_are_refused_leave_everything_as_it_was(
    connection: psycopg.Connection,
) -> None:
    lease = claimed(connection)
    save_snapshot(connection, lease, variants(2))
    wrong = result_texts.answers(figures={}, pictures={}, surfaces=[{"x": {}}])
    with pytest.raises(psycopg.errors.NotNullViolation):
        succeed(connection, lease, variants(1), wrong)
    assert current(connection, lease.job_id).state == "running"
    assert stored_rows(connection, lease.job_id) == variants(2)
    assert results.figures(lease.job_id).of(connection) is None


def test_answers_with_what_is_no_json_number_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        result_texts.answers(figures={"pbo": math.nan}, pictures={}, surfaces=[])


def test_one_variant_is_read_whole_by_its_key(connection: psycopg.Connection) -> None:
    lease, other = claimed(connection), claimed(connection)
    rows = variants(3, reports=True)
    succeed(connection, lease, rows)
    for row in rows:
        assert results.variant(connection, lease.job_id, row.variant_key) == row
    assert results.variant(connection, lease.job_id, "key-9") is None
    assert results.variant(connection, other.job_id, rows[0].variant_key) is None


def test_a_paused_owner_loses_its_transaction_before_its_lease(
    database: str, connection: psycopg.Connection
) -> None:
    lease = claimed(connection)
    successors: list[Lease] = []

    def pausing(conn: psycopg.Connection) -> State | None:
        # Between the guard and the commit, as a stopped process would be.
        assert leases.renew(conn, lease)
        expire_when_free(connection, lease)
        successors.append(reclaimed(connection, lease.job_id))
        return leases.end(conn, lease, State.SUCCEEDED)

    with session(database, lock_seconds=0.1) as owner, pytest.raises(psycopg.Error) as caught:
        owner.run(pausing)
    assert faults.of(caught.value) is faults.Fault.GONE
    assert succeed(connection, successors[0], variants(1)) is State.SUCCEEDED


def expire_when_free(conn: psycopg.Connection, lease: Lease) -> None:
    """Waits for the row lock, which only the end of the idle transaction gives back."""
    conn.execute("SET lock_timeout = '20s'")
    expire(conn, lease.job_id)
