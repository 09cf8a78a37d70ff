"""Streams of a job: its lifecycle once and in order, its latest progress, and an end."""

import time
from uuid import UUID, uuid4

import psycopg
import pytest

from api import tokens
from api.feeds import JobFeed, JobNews, Place, event
from api.routes.streams import last_event_id
from storage import jobs, leases
from storage.records import Client, Stage
from tests.api.running import Api, Caller
from tests.api.streaming import LIST_PATH, Sent, Viewer, job_path
from tests.faults.harness import wait_for
from tests.storage import making

RUBBISH = (
    *("abc", "-1", "1.0", "0x10", "1e3", "1 2", "+1", "1_0", "NaN", "null", "[1]", "1;2", "¹"),
    *("9" * 19, "9" * 20, "9" * 5000, str(2**63), str(2**64)),
)


def ids(conn: psycopg.Connection, job_id: UUID) -> list[str]:
    return [str(event.event_id) for event in jobs.events(job_id).of(conn)]


def lifecycle_ids(sent: list[Sent]) -> list[str | None]:
    return [one.event_id for one in sent if one.name == "lifecycle"]


def finished(conn: psycopg.Connection, user_id: UUID) -> UUID:
    """A job that went through every stage and succeeded."""
    lease = making.claimed(conn, user_id=user_id)
    leases.start_stage(conn, lease, Stage.STAGE_A, 100)
    leases.start_stage(conn, lease, Stage.STAGE_B, 100)
    making.save_shortlist(conn, lease)
    making.succeed(conn, lease, making.variants(2))
    return lease.job_id


def queued(conn: psycopg.Connection, user_id: UUID) -> UUID:
    return making.submitted(conn, user_id=user_id).job_id


@pytest.fixture
def user_id(user: Caller) -> UUID:
    assert user.user_id is not None
    return user.user_id


def test_a_job_that_has_ended_tells_its_whole_lifecycle_and_ends(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = finished(stored, user_id)
    with Viewer(api, job_path(job_id), user_id=user_id) as viewer:
        sent = viewer.rest()
    events = jobs.events(job_id).of(stored)
    told = [one for one in sent if one.name == "lifecycle"]
    assert [one.event_id for one in told] == [str(event.event_id) for event in events]
    assert [one.data["event"] for one in told] == [str(event.event) for event in events]
    assert [sorted(one.data) for one in told] == [
        ["actor", "at", "attempt", "details", "event", "event_id"]
    ] * len(events)
    assert (sent[-1].name, sent[-1].data) == ("end", {"reason": "finished"})


def test_a_stream_says_what_it_is_and_when_to_come_back(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, job_path(finished(stored, user_id)), user_id=user_id) as viewer:
        headers = viewer.response.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store"
        assert next(viewer).retry == "1000"


def test_what_happens_to_a_watched_job_is_told_when_it_happens(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = queued(stored, user_id)
    with Viewer(api, job_path(job_id), user_id=user_id) as viewer:
        assert viewer.named("lifecycle").data["event"] == "queued"
        assert viewer.named("progress").data["progress"] is None
        lease = making.reclaimed(stored, job_id)
        assert viewer.named("lifecycle").data["event"] == "claimed"
        leases.start_stage(stored, lease, Stage.STAGE_A, 100)
        assert viewer.named("lifecycle").data["details"] == {"stage": "stage_a"}
        jobs.cancel(stored, job_id, client=Client.PAGE)
        assert viewer.named("lifecycle").data["event"] == "cancel_requested"
        assert viewer.named("progress").data["cancel_requested_at"] is not None
        making.cancelled(stored, lease)
        assert viewer.named("lifecycle").data["event"] == "cancelled"
        assert viewer.named("end").data == {"reason": "finished"}


def test_progress_is_the_latest_one_without_an_id(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    lease = making.claimed(stored, user_id=user_id)
    leases.start_stage(stored, lease, Stage.STAGE_B, 1000)
    with Viewer(api, job_path(lease.job_id), user_id=user_id) as viewer:
        viewer.named("progress")
        for done in range(1, 501):
            leases.progress(stored, lease, Stage.STAGE_B, done, 1000)
        sent = viewer.until(
            lambda one: one.name == "progress" and one.data["progress"]["done"] == 500
        )
        assert sent.event_id is None
        assert sorted(sent.data) == [
            *("attempt", "cancel_requested_at", "progress", "sharing", "snapshot_at", "stage"),
            "state",
        ]
        assert sent.data["progress"]["total"] == 1000
        assert sent.data["progress"]["stage"] == sent.data["stage"] == "stage_b"


def test_a_viewer_who_reads_slowly_gets_the_latest_progress_and_every_event() -> None:
    feed, place = JobFeed(uuid4()), Place(look=0)
    for number in range(1, 1001):
        progress = event("progress", b"%d" % number)
        lifecycle = [(number, event("lifecycle", b"{}", number))] if number % 100 == 0 else []
        feed.look = number
        feed.publish(JobNews(lifecycle, progress, over=False))
    events = b"".join(event("lifecycle", b"{}", number) for number in range(100, 1001, 100))
    assert feed.news(place) == events + event("progress", b"1000")
    assert feed.news(place) == b""


def test_new_top_rows_are_announced_by_the_time_they_were_written(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    lease = making.claimed(stored, user_id=user_id)
    leases.start_stage(stored, lease, Stage.STAGE_B, 1000)
    with Viewer(api, job_path(lease.job_id), user_id=user_id) as viewer:
        assert viewer.named("progress").data["snapshot_at"] is None
        making.save_snapshot(stored, lease, making.variants(2))
        viewer.until(lambda one: one.name == "progress" and one.data["snapshot_at"] is not None)


def test_a_stream_goes_on_after_the_last_event_that_was_received(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = finished(stored, user_id)
    known = ids(stored, job_id)
    for place, event_id in enumerate(known):
        with Viewer(api, job_path(job_id), user_id=user_id, last_event_id=event_id) as viewer:
            assert lifecycle_ids(viewer.rest()) == known[place + 1 :]


@pytest.mark.parametrize(
    "text", [*RUBBISH, "", "1\x00", "\x00", "\uff11\uff12", "\u0663", "\u0967", "1\n"]
)
def test_a_last_event_id_that_no_stream_has_sent_is_no_id(text: str) -> None:
    assert last_event_id(text) == 0


@pytest.mark.parametrize(
    "text", [*RUBBISH, "7000000000", str(2**63 - 1), "\u0661\u0662".encode().decode("latin-1")]
)
def test_a_last_event_id_that_is_rubbish_is_ignored(
    api: Api, user_id: UUID, stored: psycopg.Connection, text: str
) -> None:
    job_id = finished(stored, user_id)
    with Viewer(api, job_path(job_id), user_id=user_id, last_event_id=text) as viewer:
        assert viewer.status == 200
        assert lifecycle_ids(viewer.rest()) == ids(stored, job_id)


def test_an_event_that_is_committed_late_is_not_lost_to_events_of_other_jobs(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    early, late = queued(stored, user_id), queued(stored, user_id)
    with (
        Viewer(api, job_path(early), user_id=user_id) as early_viewer,
        Viewer(api, job_path(late), user_id=user_id) as late_viewer,
        psycopg.connect(api.dsn) as slow,
    ):
        early_viewer.named("lifecycle")
        late_viewer.named("lifecycle")
        jobs.cancel(slow, early, client=Client.API)  # has its id, and is not committed
        making.reclaimed(stored, late)  # goes on, and is watched on
        seen = late_viewer.named("lifecycle")
        slow.commit()
        missed = early_viewer.named("lifecycle")
        assert missed.data["event"] == "cancelled"
        assert int(missed.data["event_id"]) < int(seen.data["event_id"])


def test_a_viewer_who_comes_back_again_and_again_misses_nothing_and_gets_nothing_twice(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = queued(stored, user_id)
    received: list[str | None] = []
    for visit in range(12):
        lease = making.reclaimed(stored, job_id, locked_by=f"host-{visit}-0000000a")
        last = received[-1] if received else None
        with Viewer(api, job_path(job_id), user_id=user_id, last_event_id=last) as viewer:
            # Some come while it happens, some leave before they have read everything.
            leases.release(stored, lease)
            received += [one.event_id for one in viewer.lifecycle(1 + visit % 3)]
        if visit % 4 == 0:
            leases.release(stored, making.reclaimed(stored, job_id, locked_by="host-x-0000000b"))
    jobs.cancel(stored, job_id, client=Client.API)
    expected = ids(stored, job_id)
    with Viewer(api, job_path(job_id), user_id=user_id, last_event_id=received[-1]) as viewer:
        received += [one.event_id for one in viewer.lifecycle(len(expected) - len(received))]
    assert received == expected


def test_who_has_just_done_something_finds_it_in_the_stream_that_others_watch_already(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = queued(stored, user_id)
    with Viewer(api, job_path(job_id), user_id=user_id) as other:
        other.named("progress")
        lease = making.reclaimed(stored, job_id)
        leases.start_stage(stored, lease, Stage.STAGE_A, 77)
        leases.progress(stored, lease, Stage.STAGE_A, 7, 77)
        with Viewer(api, job_path(job_id), user_id=user_id) as viewer:
            assert viewer.named("progress").data["progress"]["done"] == 7


def test_a_job_that_is_deleted_while_it_is_watched_is_gone(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = queued(stored, user_id)
    with Viewer(api, job_path(job_id), user_id=user_id) as viewer:
        viewer.named("progress")
        stored.execute("DELETE FROM backtest_jobs WHERE job_id = %s", [job_id])
        sent = viewer.rest()
    assert (sent[-1].name, sent[-1].data) == ("end", {"reason": "gone"})


def test_a_job_may_be_named_by_the_beginning_of_its_id(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = finished(stored, user_id)
    with Viewer(api, job_path(job_id.hex[:12]), user_id=user_id) as viewer:
        assert lifecycle_ids(viewer.rest()) == ids(stored, job_id)


def test_only_the_owner_watches_a_job(api: Api, user: Caller, stored: psycopg.Connection) -> None:
    other = api.new_user()
    assert user.user_id is not None
    job_id = queued(stored, user.user_id)
    refusals = {
        403: other.get(job_path(job_id)),
        404: other.get(job_path(uuid4())),
        401: api.nobody().get(job_path(job_id)),
        422: user.get(job_path("zzzz")),
    }
    for status, answer in refusals.items():
        assert answer.status_code == status
        assert answer.json()["error"]["code"]
    assert other.get(job_path(job_id.hex[:8])).status_code == 404
    assert api.nobody().get(LIST_PATH).status_code == 401


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_a_stream_can_only_be_got(api: Api, user: Caller, method: str) -> None:
    for path in (LIST_PATH, job_path(uuid4())):
        assert user.call(method, path).status_code == 405


def test_a_stream_ends_when_its_token_expires(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    expires_at = int(time.time()) + 3
    token = tokens.sign(api.secret, tokens.Token(user_id, None, expires_at))
    with (
        Viewer(api, job_path(queued(stored, user_id)), token=token) as job,
        Viewer(api, LIST_PATH, token=token) as user_list,
    ):
        for viewer in (job, user_list):
            sent = viewer.rest()
            assert (sent[-1].name, sent[-1].data) == ("end", {"reason": "expired"})
    assert time.time() >= expires_at


def test_a_silent_stream_sends_a_comment_every_fifteen_seconds(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, job_path(queued(stored, user_id)), user_id=user_id) as viewer:
        viewer.named("progress")
        began = time.monotonic()
        sent = next(viewer)
        assert sent.comment
        assert sent.name is None
        assert time.monotonic() - began > 10


def test_a_user_has_a_limited_number_of_streams(
    api: Api, user: Caller, stored: psycopg.Connection
) -> None:
    assert user.user_id is not None
    path = job_path(queued(stored, user.user_id))
    viewers = [
        Viewer(api, (path, LIST_PATH)[number % 2], user_id=user.user_id) for number in range(20)
    ]
    try:
        assert {viewer.status for viewer in viewers} == {200}
        for refused in (path, LIST_PATH):
            answer = user.get(refused)
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "too_many_requests"
        with Viewer(api, LIST_PATH, user_id=uuid4()) as other:
            assert other.status == 200
        viewers.pop().close()
        wait_for(lambda: opens(api, LIST_PATH, user.user_id), "a free place")
    finally:
        for viewer in viewers:
            viewer.close()


def opens(api: Api, path: str, user_id: UUID | None) -> bool:
    with Viewer(api, path, user_id=user_id) as viewer:
        return viewer.status == 200


def test_streams_that_clients_leave_are_no_streams_any_more(
    api: Api, user: Caller, stored: psycopg.Connection
) -> None:
    path = job_path(queued(stored, user.user_id or uuid4()))
    for number in range(200):
        here = (path, LIST_PATH)[number % 2]
        viewer = Viewer(api, here, user_id=user.user_id)
        if viewer.status == 429:  # goodbyes take a moment to arrive
            viewer.close()
            wait_for(lambda here=here: opens(api, here, user.user_id), "a free place", seconds=5)
            continue
        assert viewer.status == 200
        if number % 3:
            next(viewer)
        if number % 5:
            viewer.close()
        else:
            viewer.reset()

    def all_fit() -> bool:
        viewers = [Viewer(api, path, user_id=user.user_id) for _ in range(20)]
        for viewer in viewers:
            viewer.close()
        return all(viewer.status == 200 for viewer in viewers)

    wait_for(all_fit, "twenty free places", every=0.2)
    assert "Traceback" not in api.text()
