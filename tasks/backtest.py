"""The actors: `dramatiq tasks.backtest` runs workers that compute backtest jobs."""

from uuid import UUID

import dramatiq

from configs.environment import SettingsError, redis_url
from tasks import helper, runner
from tasks.boot import Boot
from tasks.broker import JobBroker, make_broker
from tasks.wake_up import ACTOR_NAME, HELP_ACTOR_NAME, HELP_QUEUE, QUEUE

boot = Boot()


def _make_broker() -> JobBroker:
    # Importing the actor needs no environment; a worker process that boots checks it.
    try:
        return make_broker(redis_url(), [boot])
    except (SettingsError, ValueError):
        return make_broker("redis://", [boot])


broker = _make_broker()
dramatiq.set_broker(broker)


@dramatiq.actor(broker=broker, actor_name=ACTOR_NAME, queue_name=QUEUE)
def backtest(job_id: str) -> None:
    """Compute one job; the message only says which one is worth a look."""
    runner.run(UUID(job_id), boot.worker)


@dramatiq.actor(broker=broker, actor_name=HELP_ACTOR_NAME, queue_name=HELP_QUEUE)
def help_out(job_id: str) -> None:
    """Compute shards of a job that somebody else owns."""
    helper.run(UUID(job_id), boot.worker)
