"""The judges of the chaos see what they are there to see."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from storage import jobs, leases
from storage.records import Client, Event, EventName, State
from tests.faults.chaos import audit, verdict
from tests.faults.chaos.blows import EVERYBODY, Blow
from tests.storage.making import (
    claimed,
    current,
    expire,
    reclaimed,
    save_snapshot,
    succeed,
    variants,
)

Conn = psycopg.Connection[Any]


@pytest.fixture
def witnessed(connection: Conn) -> Conn:
    audit.install(connection)
    return connection


def test_a_life_as_it_should_be_is_no_violation(witnessed: Conn) -> None:
    lease = claimed(witnessed)
    save_snapshot(witnessed, lease, variants(2))
    leases.release(witnessed, lease)
    second = reclaimed(witnessed, lease.job_id)
    expire(witnessed, lease.job_id)
    third = reclaimed(witnessed, second.job_id, locked_by="host-3-0000000c")
    succeed(witnessed, third, variants(2, reports=True))
    assert audit.violations(witnessed) == []
    assert audit.publications(witnessed) == {lease.job_id: 1}
    job, events = current(witnessed, lease.job_id), jobs.events(lease.job_id).of(witnessed)
    assert [*verdict.wrong_reclaim(events[3], events)] == []
    assert all("last heartbeat" in wrong for wrong in verdict.wrong_events(job, events))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("attempt = attempt + 1, locked_by = 'thief'", "thief took the living lease of"),
        ("attempt = attempt + 2", "attempt 3 came after 1"),
        ("locked_by = 'thief'", "thief followed host-1-0000000a without a claim"),
    ],
)
def test_the_witness_sees_a_second_owner(witnessed: Conn, change: str, seen: str) -> None:
    claimed(witnessed)
    witnessed.execute(f"UPDATE backtest_jobs SET {change}")
    (wrong,) = audit.violations(witnessed)
    assert seen in wrong


def test_the_witness_sees_what_happens_after_the_end(witnessed: Conn) -> None:
    lease = claimed(witnessed)
    succeed(witnessed, lease, variants(1, reports=True))
    witnessed.execute("UPDATE backtest_jobs SET stage = 'stage_a'")
    (wrong,) = audit.violations(witnessed)
    assert "ended was changed" in wrong


def test_the_witness_counts_publications(witnessed: Conn) -> None:
    lease = claimed(witnessed)
    succeed(witnessed, lease, variants(1, reports=True))
    witnessed.execute("UPDATE backtest_job_top_variants SET rank = rank + 5, variant_key = 'x'")
    witnessed.execute(
        "INSERT INTO backtest_job_top_variants (job_id, rank, variant_key, indicator_variant_key,"
        " variant_index, total_return_pct, metrics_json, payload_json, report_table_md)"
        " VALUES (%s, 1, 'y', 'y', 1, 1, '{}', '{}', 'again')",
        [lease.job_id],
    )
    assert audit.publications(witnessed) == {lease.job_id: 2}


def life(connection: Conn) -> tuple[Any, list[Event]]:
    """A job that was taken over after a release, and its events."""
    lease = claimed(connection)
    leases.release(connection, lease)
    second = reclaimed(connection, lease.job_id)
    succeed(connection, second, [])
    return current(connection, lease.job_id), jobs.events(lease.job_id).of(connection)


def wrong_in(job: Any, events: list[Event]) -> str:
    return "; ".join(verdict.wrong_events(job, events))


def test_events_out_of_order_are_seen(connection: Conn) -> None:
    job, events = life(connection)
    assert wrong_in(job, events) == ""
    queued, first, released, second, end = events
    assert "end wrongly" in wrong_in(job, [*events, replace(first, event_id=99)])
    assert "end wrongly" in wrong_in(job, [*events, end])
    assert "end wrongly" in wrong_in(job, events[:-1])
    assert "begin wrongly" in wrong_in(job, events[1:])
    assert "its claims are [1]" in wrong_in(job, [queued, first, released, end])
    late = replace(released, event=EventName.STAGE_STARTED)
    assert "stands in attempt 2" in wrong_in(job, [*events[:-1], late, end])
    stranger = replace(end, actor="stranger")
    assert "was written by stranger" in wrong_in(job, [*events[:-1], stranger])
    assert "predecessor released" in wrong_in(job, [queued, first, second, end])


def test_a_lease_that_was_taken_too_early_is_seen(connection: Conn) -> None:
    lease = claimed(connection)
    expire(connection, lease.job_id)
    reclaimed(connection, lease.job_id)
    events = jobs.events(lease.job_id).of(connection)
    (wrong,) = verdict.wrong_reclaim(events[2], events)
    assert "after the last heartbeat" in wrong
    later = replace(events[2], at=events[2].at + verdict.LEASE + timedelta(seconds=1))
    assert [*verdict.wrong_reclaim(later, events)] == []


def test_a_crash_that_nobody_provoked_is_seen(connection: Conn) -> None:
    lease = claimed(connection)
    expire(connection, lease.job_id)
    reclaimed(connection, lease.job_id)
    events = jobs.events(lease.job_id).of(connection)
    at = events[2].at.timestamp()
    owners = {lease.locked_by: "3.log"}

    def unexplained(*blows: Blow) -> list[str]:
        harm: Any = SimpleNamespace(blows=list(blows))
        return [*verdict.unprovoked_crashes(events, harm, owners)]

    assert unexplained()
    assert unexplained(Blow("pause worker", "4.log", at - 5, at + 5))
    assert unexplained(Blow("pause worker", "3.log", at - 50, at - 40))
    assert not unexplained(Blow("pause worker", "3.log", at - 5, at + 5))
    assert not unexplained(Blow("crash Postgres", EVERYBODY, at - 5, at + 5))


def test_a_cancel_that_nobody_asked_for_is_seen(connection: Conn) -> None:
    lease = claimed(connection)
    leases.end(connection, lease, State.CANCELLED)
    harm: Any = SimpleNamespace()
    job = current(connection, lease.job_id)
    assert [*verdict.wrong_end(job, "tiny", harm)] == ["it was cancelled by nobody"]
    other = claimed(connection)
    jobs.cancel(connection, other.job_id, client=Client.CLI)
    leases.end(connection, other, State.CANCELLED)
    assert [*verdict.wrong_end(current(connection, other.job_id), "tiny", harm)] == []
