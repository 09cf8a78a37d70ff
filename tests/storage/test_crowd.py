"""Many workers and schedulers at once: one owner at a time, one end per job, no deadlock."""

import queue
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg

from storage import dispatch, jobs, leases, postgres, results
from storage.records import Claimed, Stage, State
from tests.storage.making import claim, current, expire, submitted, variants

JOBS = 30
WORKERS = 4
SCHEDULERS = 2


class Crowd:
    def __init__(self, database: str, ids: list[UUID]) -> None:
        self.database = database
        self.ids = ids
        self.messages: queue.Queue[UUID] = queue.Queue()
        self.done = threading.Event()

    def connect(self, name: str) -> psycopg.Connection:
        return postgres.connect(self.database, application_name=name, heartbeat_seconds=5)

    def schedule(self, number: int) -> None:
        with self.connect(f"scheduler-{number}") as conn:
            while not self.done.is_set():
                for due in dispatch.mark_due(conn, limit=5, redispatch_seconds=0.01):
                    self.messages.put(due.job_id)
                dispatch.sweep(conn, max_crashes=1000)
                gauges = dispatch.gauges(conn)
                if gauges.queued + gauges.running == 0:
                    self.done.set()

    def work(self, number: int) -> None:
        fate = random.Random(number)
        with self.connect(f"worker-{number}") as conn:
            while not self.done.is_set():
                try:
                    job_id = self.messages.get(timeout=0.02)
                except queue.Empty:
                    continue
                taken = claim(conn, job_id, locked_by=f"host-{number}-0", max_crashes=1000)
                if isinstance(taken, Claimed):
                    self.run(conn, taken, fate)

    def run(self, conn: psycopg.Connection, taken: Claimed, fate: random.Random) -> None:
        lease = taken.lease
        leases.start_stage(conn, lease, Stage.STAGE_B, 10)
        results.save_snapshot(conn, lease, variants(5))
        match fate.randrange(5):
            case 0:
                expire(conn, lease.job_id)  # vanished
                assert results.succeed(conn, lease, []) is None
            case 1:
                leases.release(conn, lease)
            case 2:
                jobs.cancel(conn, fate.choice(self.ids), actor="api")
                results.succeed(conn, lease, variants(5, reports=True))
            case _:
                results.succeed(conn, lease, variants(5, reports=True))


def test_every_job_ends_once_whatever_the_crowd_does(
    database: str, connection: psycopg.Connection
) -> None:
    ids = [submitted(connection).job_id for _ in range(JOBS)]
    crowd = Crowd(database, ids)
    with ThreadPoolExecutor(WORKERS + SCHEDULERS) as threads:
        running = [threads.submit(crowd.schedule, number) for number in range(SCHEDULERS)]
        running += [threads.submit(crowd.work, number) for number in range(WORKERS)]
        try:
            for future in running:
                future.result(timeout=60)
        finally:
            crowd.done.set()
    for job_id in ids:
        job = current(connection, job_id)
        assert job.state in (State.SUCCEEDED, State.CANCELLED)
        names = Counter(str(event.event) for event in jobs.events(connection, job_id))
        assert names["succeeded"] + names["cancelled"] == 1
        assert names["claimed"] + names["reclaimed"] == job.attempt
        rows = results.top(connection, job_id, 10)
        if job.state is State.SUCCEEDED:
            assert rows == variants(5, reports=True)
        else:
            assert all(row.report_table_md is None for row in rows)
