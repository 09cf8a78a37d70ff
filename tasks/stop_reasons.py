"""Why the work on a job ends before its result is published."""

from tasks.messages import Failed


class LeaseLost(Exception):
    """Somebody else may own the job by now: write nothing more about it."""


class CancelRequested(Exception):
    """The user wants the job to end."""


class WorkerStopping(Exception):
    """The worker was told to stop: leave the job to another one."""


class ShardLost(Exception):
    """Somebody else may have the shard by now, or nobody wants it: write nothing more about it."""


class JobFailed(Exception):
    """The job cannot be done."""

    def __init__(self, failure: Failed) -> None:
        super().__init__(failure.message)
        self.failure = failure
