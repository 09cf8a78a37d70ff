"""Many workers and schedulers at once: one owner at a time, one end per job, no deadlock."""

import queue
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import psycopg

from storage import dispatch, jobs, leases, result_texts, results
from storage.records import Claimed, Client, Stage, State
from storage.session import Session
from tests.storage.making import claimer, current, expire, session, stored_rows, submitted, variants

JOBS = 30
WORKERS = 4
SCHEDULERS = 2


class Crowd:
    def __init__(self, database: str, ids: list[UUID]) -> None:
        self.database = database
        self.ids = ids
        self.messages: queue.Queue[UUID] = queue.Queue()
        self.done = threading.Event()

    def schedule(self, number: int) -> None:
        with session(self.database, application_name=f"scheduler-{number}") as mine:
            while not self.done.is_set():
                dues = mine.run(partial(dispatch.mark_due, limit=5, redispatch_seconds=0.01))
                for due in dues:
                    self.messages.put(due.job_id)
                mine.run(partial(dispatch.sweep, max_crashes=1000))
                gauges = mine.run(dispatch.gauges)
                if gauges.queued + gauges.running == 0:
                    self.done.set()

    def work(self, number: int) -> None:
        fate = random.Random(number)
        who = claimer(f"host-{number}-0", max_crashes=1000)
        with session(self.database, application_name=f"worker-{number}") as mine:
            while not self.done.is_set():
                try:
                    job_id = self.messages.get(timeout=0.02)
                except queue.Empty:
                    continue
                taken = leases.claim(mine, job_id, who)
                if isinstance(taken, Claimed):
                    self.run(mine, taken, fate)

    def run(self, mine: Session, taken: Claimed, fate: random.Random) -> None:
        lease = taken.lease
        snapshot = result_texts.rows(variants(5), reports=False)
        final = result_texts.rows(variants(5, reports=True), reports=True)
        mine.run(partial(leases.start_stage, lease=lease, stage=Stage.STAGE_B, total=10))
        mine.run(partial(results.save_snapshot, lease=lease, rows=snapshot))
        match fate.randrange(5):
            case 0:
                mine.run(partial(expire, job_id=lease.job_id))  # vanished
                assert mine.run(partial(results.succeed, lease=lease, rows=final)) is None
            case 1:
                mine.run(partial(leases.release, lease=lease))
            case 2:
                other = fate.choice(self.ids)
                mine.run(partial(jobs.cancel, job_id=other, client=Client.CLI))
                mine.run(partial(results.succeed, lease=lease, rows=final))
            case _:
                mine.run(partial(results.succeed, lease=lease, rows=final))


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
        names = Counter(str(event.event) for event in jobs.events(job_id).of(connection))
        assert names["succeeded"] + names["cancelled"] == 1
        assert names["claimed"] + names["reclaimed"] == job.attempt
        rows = stored_rows(connection, job_id)
        if job.state is State.SUCCEEDED:
            assert rows == variants(5, reports=True)
        else:
            assert all(row.report_table_md is None for row in rows)
