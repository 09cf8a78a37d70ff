"""What is said of a stage that several workers compute, in one sentence."""

from collections.abc import Mapping

STAGES: Mapping[str, str] = {"stage_a": "stage A", "stage_b": "stage B"}
"""What stages are called beside their shards; others by their own names."""


def sharing_text(stage: str, states: Mapping[str, int], workers: int) -> str:
    """Say how far the shards of a stage are, and on how many workers some are running.

    `states` counts them by `open`, `running`, `done` and `failed`.
    """
    done, running, left, failed = (states[name] for name in ("done", "running", "open", "failed"))
    said = [f"{done:,} of {_counted(sum(states.values()), 'shard')} done"]
    if running:
        said.append(f"{running:,} running on {_counted(workers, 'worker')}")
    if left:
        said.append(f"{left:,} open")
    if failed:
        said.append(f"{failed:,} failed, to be tried once more by the job's owner")
    return f"{STAGES.get(stage, stage)}: {', '.join(said)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
