"""What has to be true after the chaos, and what happened in it."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import redis

from storage import jobs
from storage.records import Event, EventName, FailureCode, Job, State
from tests.faults.chaos import audit
from tests.faults.chaos.blows import EVERYBODY, Blow
from tests.faults.chaos.harm import Harm
from tests.faults.chaos.load import NO_CANDLES, Load
from tests.faults.chaos.site import JOB_SETTINGS, Site
from tests.faults.harness import wait_for

LEASE = timedelta(seconds=JOB_SETTINGS["lease_seconds"])
SKEW = timedelta(milliseconds=1)
ENDS = (EventName.SUCCEEDED, EventName.FAILED, EventName.CANCELLED)
CLAIMS = (EventName.CLAIMED, EventName.RECLAIMED)
BY_OWNER = (
    EventName.STAGE_STARTED,
    EventName.RESUMED_FROM_SHORTLIST,
    EventName.LEASE_RELEASED,
    EventName.SUCCEEDED,
)
# What dramatiq keeps of workers that it has not missed yet: it waits a minute for them.
HEARTBEATS, TAKEN, MESSAGES = b"__heartbeats__", b"__acks__", b".msgs"
# Who is idle, for two seconds; and calls for help, which nobody misses who was about to end.
PASSING = (b":idle", b":backtest.help")


@dataclass
class Verdict:
    """What was wrong, and the figures."""

    wrong: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    shared: dict[int, int] = field(default_factory=dict)
    rescued: dict[str, list[float]] = field(default_factory=dict)


def judge(site: Site, load: Load, harm: Harm) -> Verdict:
    """Look at every job, when all of them have had the time to end."""
    stack, verdict = site.stack, Verdict()
    conn = stack.connection
    verdict.wrong += audit.violations(conn)
    stored = [job_id for (job_id,) in conn.execute("SELECT job_id FROM backtest_jobs")]
    verdict.wrong += [f"{job_id}: lost" for job_id in set(load.kinds) - set(stored)]
    owners = _programs_of_owners(stack.folder)
    publications = audit.publications(conn)
    for job_id in stored:
        job = stack.job(job_id)
        events = jobs.events(job_id).of(conn)
        kind = load.kinds.get(job_id, "unknown")
        error = job.last_error_json or {}
        verdict.outcomes[" ".join(filter(None, [job.state, error.get("code")]))] += 1
        verdict.attempts[job.attempt] += 1
        found = [
            *wrong_events(job, events),
            *unprovoked_crashes(events, harm, owners),
            *wrong_end(job, kind, harm),
        ]
        times = publications.get(job_id, 0)
        if times != (job.state is State.SUCCEEDED):
            found.append(f"published {times} times")
        if job.state is State.SUCCEEDED and stack.stored_bytes(job_id) != load.expected.get(kind):
            found.append("its result is not that of the undisturbed run")
        if job.state is not State.SUCCEEDED and any(r.report_table_md for r in stack.rows(job_id)):
            found.append("it has reports although it did not succeed")
        verdict.wrong += [f"{job_id} ({kind}): {what}" for what in found]
    verdict.shared = audit.shared(conn)
    _measure_rescues(verdict, harm, conn)
    return verdict


def left_behind(site: Site) -> list[str]:
    """What is still there after all programs have ended."""
    stack, wrong = site.stack, []
    with suppress(AssertionError):
        wait_for(lambda: not stack.processes(), "end of all processes", 5)
    wrong += [f"process left: {process}" for process in stack.processes()]

    def sessions() -> list[tuple[object, ...]]:
        return stack.connection.execute(
            "SELECT pid, application_name, state, query FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()

    with suppress(AssertionError):
        wait_for(lambda: not sessions(), "end of all sessions", 15)
    wrong += [f"session left: {session}" for session in sessions()]
    wrong += _left_in_redis(site.redis.url)
    for slot in site.slots:
        wrong += [f"{slot.name} left {path.name}" for path in slot.temporary.iterdir()]
    for path in Path("/dev/shm").iterdir():
        if path.name in site.shared_memory:
            wrong.append(f"shared memory left: {path.name}")
    return wrong


def _left_in_redis(url: str) -> Iterator[str]:
    """Keys that belong to nobody; the message of a killed worker waits until that one is missed."""
    with redis.Redis.from_url(url) as client:
        keys = [key for key in client.scan_iter() if HEARTBEATS not in key]
        keys = [key for key in keys if not any(name in key for name in PASSING)]
        taken = [name for key in keys if TAKEN in key for name in client.smembers(key)]
        for key in keys:
            if key.endswith(MESSAGES):
                for name in set(client.hkeys(key)) - set(taken):
                    yield f"message left in Redis: {client.hget(key, name)!r}"
            elif TAKEN not in key:
                yield f"key left in Redis: {key!r}"


def wrong_events(job: Job, events: list[Event]) -> Iterator[str]:
    """What no sequence of events may show: nobody ends twice, owns in between, or writes late."""
    if not job.state.terminal:
        yield f"it is {job.state} in attempt {job.attempt}, owned by {job.locked_by}"
        return
    names = [event.event for event in events]
    if [name for name in names if name in ENDS] != [EventName(job.state)] or names[-1] not in ENDS:
        yield f"its events end wrongly: {names}"
    if names[0] is not EventName.QUEUED or names.count(EventName.QUEUED) != 1:
        yield f"its events begin wrongly: {names}"
    if names.count(EventName.CANCEL_REQUESTED) > 1:
        yield "a cancel was accepted twice"
    attempts = [event.attempt for event in events if event.event in CLAIMS]
    if attempts != list(range(1, job.attempt + 1)):
        yield f"its claims are {attempts} and its attempt is {job.attempt}"
    owner, attempt = None, 0
    for event in events:
        if event.event in CLAIMS:
            owner, attempt = event.actor, event.attempt
        if event.attempt != attempt:
            yield f"{event.event} of attempt {event.attempt} stands in attempt {attempt}"
        if event.event in BY_OWNER and event.actor != owner:
            yield f"{event.event} was written by {event.actor} in the time of {owner}"
        if event.event is EventName.RECLAIMED:
            yield from wrong_reclaim(event, events)


def wrong_reclaim(event: Event, events: list[Event]) -> Iterator[str]:
    """Why somebody took a lease that had neither run out nor been released."""
    released = any(
        earlier.event is EventName.LEASE_RELEASED and earlier.attempt == event.attempt - 1
        for earlier in events
    )
    if released != (event.details["reason"] == "released"):
        yield f"attempt {event.attempt} says that its predecessor {event.details['reason']}"
    if not released:
        beat = type(event.at).fromisoformat(event.details["last_heartbeat"])
        if event.at < beat + LEASE - SKEW:
            yield f"attempt {event.attempt} began {event.at - beat} after the last heartbeat"


def _programs_of_owners(folder: Path) -> dict[str, str]:
    """Which log speaks of which owner."""
    programs = {}
    for log in folder.glob("*.log"):
        for owner in re.findall(r"locked_by=(\S+)", log.read_text(errors="replace")):
            programs[owner] = log.name
    return programs


def unprovoked_crashes(events: list[Event], harm: Harm, owners: dict[str, str]) -> Iterator[str]:
    """Leases that ran out although nobody did anything to their owners."""
    claims = {event.actor: event.at.timestamp() for event in events if event.event in CLAIMS}
    for event in events:
        crashed = event.event is EventName.RECLAIMED and event.details["reason"] == "crashed"
        given_up = event.details.get("code") == FailureCode.WORKER_CRASHED_REPEATEDLY
        if not crashed and not given_up:
            continue
        owner = event.details["previous_owner" if crashed else "last_owner"]
        program = owners.get(owner)
        if not _within(harm.blows, claims[owner], event.at.timestamp(), program):
            yield f"nobody made {owner} ({program}) lose the lease by {event.at:%H:%M:%S}"


def _within(blows: list[Blow], since: float, until: float, program: str | None) -> bool:
    return any(
        blow.since <= until
        and blow.until >= since
        and (program is None or blow.program in (EVERYBODY, program))
        for blow in blows
    )


def wrong_end(job: Job, kind: str, harm: Harm) -> Iterator[str]:
    """An end that nobody provoked."""
    if job.state is State.CANCELLED and job.cancel_requested_at is None:
        yield "it was cancelled by nobody"
    if job.state is State.SUCCEEDED and kind == NO_CANDLES:
        yield "it succeeded without candles"
    if job.state is not State.FAILED or job.last_error_json is None:
        return
    assert job.started_at is not None
    assert job.finished_at is not None
    code, details = job.last_error_json["code"], job.last_error_json["details"]
    provoked = {
        FailureCode.NO_MARKET_DATA: kind == NO_CANDLES,
        FailureCode.WORKER_CRASHED_REPEATEDLY: job.crash_count > JOB_SETTINGS["max_crashes"],
        FailureCode.STALLED: job.job_id in harm.children_paused,
        FailureCode.UNEXPECTED_ERROR: details
        in ({"signal": "SIGKILL"}, {"signal": "SIGKILL", "process": "fork server"})
        and harm.children_killed[job.job_id] >= 2,
        FailureCode.CANDLE_SOURCE_UNAVAILABLE: _within(
            harm.candles_away, job.started_at.timestamp(), job.finished_at.timestamp(), None
        ),
    }
    if not provoked.get(code, False):
        yield f"nobody provoked its failure: {job.last_error_json}"


def _measure_rescues(verdict: Verdict, harm: Harm, conn: psycopg.Connection) -> None:
    for rescue in harm.rescues:
        row = conn.execute(
            "SELECT extract(epoch FROM at) FROM backtest_job_events"
            " WHERE job_id = %s AND attempt = %s AND event = 'reclaimed'",
            (rescue.job_id, rescue.attempt + 1),
        ).fetchone()
        if row is not None:
            verdict.rescued.setdefault(rescue.kind, []).append(float(row[0]) - rescue.at)


def settle(site: Site, load: Load, seconds: float) -> None:
    """Wait until every job has ended and every slot is filled, or for too long."""
    deadline = time.monotonic() + seconds
    while load.unfinished() or not all(slot.ready for slot in site.slots):
        if time.monotonic() > deadline:
            break
        for slot in site.slots:
            slot.look_after()
        time.sleep(0.1)
