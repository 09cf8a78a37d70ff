"""The stream of a user's list: a snapshot, then every change of the user's own jobs."""

from uuid import UUID, uuid4

import psycopg
import pytest

from api.look import Asked, look
from storage import jobs, leases
from storage.records import Client, Stage
from tests.api.running import Api, Caller
from tests.api.streaming import LIST_PATH, Sent, Viewer
from tests.storage import making

NO_JOBS = {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}


@pytest.fixture
def user_id(user: Caller) -> UUID:
    assert user.user_id is not None
    return user.user_id


def about(viewer: Viewer, job_id: UUID, **values: object) -> Sent:
    """Return the next news of a job that has these values."""
    return viewer.until(
        lambda sent: (
            sent.name == "job"
            and sent.data["job_id"] == str(job_id)
            and all(sent.data[name] == value for name, value in values.items())
        )
    )


def test_a_list_begins_with_what_there_is(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    older, newer = (making.submitted(stored, user_id=user_id).job_id for _ in range(2))
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        assert next(viewer).retry == "1000"
        snapshot = next(viewer)
    assert snapshot.name == "snapshot"
    assert snapshot.event_id is None
    assert [item["job_id"] for item in snapshot.data["items"]] == [str(newer), str(older)]
    assert snapshot.data["counts"] == NO_JOBS | {"queued": 2}
    assert set(snapshot.data) == {"items", "counts"}


def test_a_list_without_jobs_begins_empty(api: Api, user_id: UUID) -> None:
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        assert viewer.named("snapshot").data == {"items": [], "counts": NO_JOBS}


def test_a_snapshot_is_the_first_page(api: Api, user_id: UUID, stored: psycopg.Connection) -> None:
    made = [str(making.submitted(stored, user_id=user_id).job_id) for _ in range(60)]
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        snapshot = viewer.named("snapshot").data
    assert [item["job_id"] for item in snapshot["items"]] == made[:-51:-1]
    assert snapshot["counts"]["queued"] == 60


def test_the_whole_life_of_a_job_that_is_submitted_later_is_told(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        viewer.named("snapshot")
        job_id = making.submitted(stored, user_id=user_id).job_id
        about(viewer, job_id, state="queued")
        assert viewer.named("counts").data == NO_JOBS | {"queued": 1}
        lease = making.reclaimed(stored, job_id)
        about(viewer, job_id, state="running")
        assert viewer.named("counts").data == NO_JOBS | {"running": 1}
        leases.start_stage(stored, lease, Stage.STAGE_B, 100)
        about(viewer, job_id, stage="stage_b")
        leases.progress(stored, lease, Stage.STAGE_B, 42, 100)
        moved = viewer.until(
            lambda sent: sent.name == "job" and sent.data["progress"]["done"] == 42
        )
        assert moved.data["progress"]["total"] == 100
        making.succeed(stored, lease, making.variants(2))
        about(viewer, job_id, state="succeeded", progress=None)
        assert viewer.named("counts").data == NO_JOBS | {"succeeded": 1}


def test_a_job_that_ends_beyond_the_first_page_is_told(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    oldest = making.submitted(stored, user_id=user_id).job_id
    for _ in range(55):
        making.submitted(stored, user_id=user_id)
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        items = viewer.named("snapshot").data["items"]
        assert str(oldest) not in [item["job_id"] for item in items]
        jobs.cancel(stored, oldest, client=Client.API)
        about(viewer, oldest, state="cancelled")


def test_a_job_that_comes_and_ends_between_two_looks_is_told(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        viewer.named("snapshot")
        with stored.transaction():
            job_id = making.submitted(stored, user_id=user_id).job_id
            jobs.cancel(stored, job_id, client=Client.API)
        about(viewer, job_id, state="cancelled")
        assert viewer.named("counts").data == NO_JOBS | {"cancelled": 1}


def test_a_new_name_is_told(api: Api, user_id: UUID, stored: psycopg.Connection) -> None:
    job_id = making.submitted(stored, user_id=user_id).job_id
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        viewer.named("snapshot")
        jobs.describe(stored, user_id, job_id, changes={"name": 'Дни "<b>" \u2028'})
        about(viewer, job_id, name='Дни "<b>" \u2028')


def test_nothing_of_other_users_is_told(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    other = uuid4()
    theirs = making.submitted(stored, user_id=other).job_id
    with (
        Viewer(api, LIST_PATH, user_id=user_id) as viewer,
        Viewer(api, LIST_PATH, user_id=other) as their_viewer,
    ):
        assert viewer.named("snapshot").data == {"items": [], "counts": NO_JOBS}
        their_viewer.named("snapshot")
        making.submitted(stored, user_id=other)
        lease = making.reclaimed(stored, theirs)
        leases.start_stage(stored, lease, Stage.STAGE_A, 10)
        making.fail(stored, lease)
        about(their_viewer, theirs, state="failed")
        mine = making.submitted(stored, user_id=user_id).job_id
        sent = next(one for one in viewer if one.comment is None)
        assert (sent.name, sent.data["job_id"]) == ("job", str(mine))
        assert viewer.named("counts").data == NO_JOBS | {"queued": 1}


def test_who_joins_later_gets_what_others_have_and_nothing_twice(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    with Viewer(api, LIST_PATH, user_id=user_id) as first:
        first.named("snapshot")
        renamed = making.submitted(stored, user_id=user_id).job_id
        jobs.cancel(stored, renamed, client=Client.API)
        about(first, renamed, state="cancelled")
        first.named("counts")
        jobs.describe(stored, user_id, renamed, changes={"name": "later"})
        stored.execute(
            "UPDATE backtest_jobs SET finished_at = now() - interval '1 hour' WHERE job_id = %s",
            [renamed],
        )
        job_id = making.submitted(stored, user_id=user_id).job_id
        with Viewer(api, LIST_PATH, user_id=user_id) as second:
            items = second.named("snapshot").data["items"]
            assert [(item["job_id"], item["name"]) for item in items] == [
                (str(job_id), None),
                (str(renamed), "later"),
            ]
            making.reclaimed(stored, job_id)
            about(first, job_id, state="running")
            sent = next(one for one in second if one.comment is None)
            assert (sent.name, sent.data["state"]) == ("job", "running")


def test_a_job_that_ended_long_ago_is_told_of_when_it_is_renamed(
    api: Api, user_id: UUID, stored: psycopg.Connection
) -> None:
    job_id = making.submitted(stored, user_id=user_id).job_id
    jobs.cancel(stored, job_id, client=Client.API)
    stored.execute(
        "UPDATE backtest_jobs SET updated_at = updated_at - interval '1 hour',"
        " finished_at = finished_at - interval '1 hour' WHERE job_id = %s",
        [job_id],
    )
    with Viewer(api, LIST_PATH, user_id=user_id) as viewer:
        viewer.named("snapshot")
        api.as_user(user_id).patch(f"/backtests/jobs/{job_id}", json={"name": "later"})
        assert viewer.named("job").data["name"] == "later"


def test_a_look_after_an_outage_finds_what_ended_during_it(connection: psycopg.Connection) -> None:
    user_id = uuid4()
    job_id = making.submitted(connection, user_id=user_id).job_id
    before = look(connection, Asked({}, {user_id: None}, seconds=0)).lists[user_id]
    jobs.cancel(connection, job_id, client=Client.API)
    connection.execute("UPDATE backtest_jobs SET finished_at = now() - interval '100 seconds'")
    at_once = look(connection, Asked({}, {user_id: before}, seconds=1)).lists[user_id]
    assert at_once.items[job_id].state == "queued"
    after_outage = look(connection, Asked({}, {user_id: before}, seconds=90)).lists[user_id]
    assert after_outage.items[job_id].state == "cancelled"
