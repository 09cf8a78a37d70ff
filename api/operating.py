"""What operators are shown, as JSON; with what is wrong with a job, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from api.owners import host
from api.views import Json, rated
from storage.operating import AGES, LeaseLine, Problem, Stuck, StuckJobs, Waiting
from storage.records import State
from storage.switches import Pause

RUNBOOK = "docs/runbook.md"


class Advice(NamedTuple):
    """What is wrong, what to do, and the section of the runbook that tells more."""

    said: str
    advice: str
    section: str


ADVICE: Mapping[Problem, Advice] = {
    Problem.EXPIRED_LEASE: Advice(
        "its owner is gone, and nobody has taken it over",
        "start a worker, or wait for one to be free; look whether a scheduler and Redis are there",
        "it-is-running-and-nobody-owns-it",
    ),
    Problem.SILENT_OWNER: Advice(
        "its owner has not renewed the lease for half of its time",
        "look at the owner's machine: it is paused, dead or cut off; the job moves on "
        "by itself when the lease runs out",
        "it-is-running-owned-and-its-numbers-stand-still",
    ),
    Problem.CANCEL_NOT_HEARD: Advice(
        "its cancel was requested, and it goes on",
        "look at the owner's log: it cannot read from Postgres, or its computation does not stop",
        "7-cancel-a-job",
    ),
    Problem.FINALIZING_LONG: Advice(
        "it is computed, and its reports do not reach Postgres",
        "look at the owner's log, at who holds locks (pg_blocking_pids), at the disk of Postgres",
        "backtestfinalizingtoolong",
    ),
    Problem.NO_PROGRESS: Advice(
        "its owner renews the lease and writes no progress",
        "look at the owner's log and at locks in Postgres: one of its connections is held up",
        "it-is-running-owned-and-its-numbers-stand-still",
    ),
    Problem.PAUSED: Advice(
        "an operator has paused the queue",
        "`backtest resume`, when what it was paused for is done",
        "pause-and-resume",
    ),
    Problem.NEWER_VERSION: Advice(
        "its request was written by a newer release than this program's",
        "start workers of that release; older ones leave it alone",
        "10-deploy-without-losing-work",
    ),
    Problem.NOT_DISPATCHED: Advice(
        "no scheduler sends wake-ups",
        "start a scheduler, or look at its log; see whether Redis is there (`backtest doctor`)",
        "it-is-queued-and-does-not-start",
    ),
    Problem.NO_WORKER: Advice(
        "wake-ups are sent, and no worker takes them",
        "start workers; those that run must have the same REDIS_URL and the same Postgres",
        "it-is-queued-and-does-not-start",
    ),
    Problem.WORKERS_BUSY: Advice(
        "it waits its turn: workers are busy with other jobs",
        "add workers, or wait",
        "it-is-queued-and-does-not-start",
    ),
}


def pause(found: Pause | None) -> Json | None:
    """Return since when the queue is paused, by whom and why; None while it is not."""
    return None if found is None else found._asdict()


def queue(
    waiting: Mapping[State, Waiting], ended: Mapping[State, int], paused: Pause | None
) -> Json:
    """Return the queue by state and age, and what ended in the last hour."""
    return {
        "paused": pause(paused),
        "queued": _waiting(waiting[State.QUEUED]),
        "running": _waiting(waiting[State.RUNNING]),
        "ended": {str(state): number for state, number in ended.items()},
    }


def workers(leases: Sequence[LeaseLine]) -> list[Json]:
    """Return the owners of leases that hold, by machine; the beat is the one furthest back."""
    hosts: dict[str, list[LeaseLine]] = {}
    for line in leases:
        if line.locked_by is not None and not line.expired:
            hosts.setdefault(host(line.locked_by), []).append(line)
    return [
        {
            "host": name,
            "jobs": len(lines),
            "owners": sorted(str(line.locked_by) for line in lines),
            "heartbeat_at": min(line.heartbeat_at for line in lines),
        }
        for name, lines in sorted(hosts.items())
    ]


def lease(line: LeaseLine) -> Json:
    """Return a running job with its owner."""
    return {
        "job_id": line.job_id,
        "user_id": line.user_id,
        "owner": line.locked_by,
        "host": None if line.locked_by is None else host(line.locked_by),
        "attempt": line.attempt,
        "crash_count": line.crash_count,
        "progress": rated(line),
        "locked_at": line.locked_at,
        "heartbeat_at": line.heartbeat_at,
        "lease_expires_at": line.lease_expires_at,
        "expired": line.expired,
        "cancel_requested_at": line.cancel_requested_at,
    }


def stuck(*found: StuckJobs) -> Json:
    """Return jobs that do not move, with what to do about each."""
    return {
        "found": sum(some.found for some in found),
        "items": [_stuck(job) for some in found for job in some.jobs],
    }


def _waiting(found: Waiting) -> Json:
    bounds = [*map(int, AGES), None]
    return {
        "number": found.number,
        "oldest": found.oldest,
        "ages": [
            {"up_to": bound, "number": number}
            for bound, number in zip(bounds, found.numbers, strict=True)
        ],
    }


def _stuck(job: Stuck) -> Json:
    known = ADVICE[job.problem]
    return {
        "job_id": job.job_id,
        "user_id": job.user_id,
        "state": job.state,
        "problem": job.problem,
        "since": job.since,
        "seconds": round((job.at - job.since).total_seconds(), 3),
        "owner": job.locked_by,
        "stage": job.stage,
        "attempt": job.attempt,
        "said": known.said,
        "advice": known.advice,
        "runbook": f"{RUNBOOK}#{known.section}",
    }
