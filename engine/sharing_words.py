"""What is said of a stage that several workers compute, in one sentence."""

from collections.abc import Mapping

from engine.phrases import counted, whole

STAGES: Mapping[str, str] = {"stage_a": "stage A", "stage_b": "stage B"}
"""What stages are called beside their shards; others by their own names."""


def sharing_text(stage: str, states: Mapping[str, int], workers: int) -> str:
    """Say how far the shards of a stage are, and on how many workers some are running.

    `states` counts them by `open`, `running`, `done` and `failed`.
    """
    said = [f"{whole(states['done'])} of {counted(sum(states.values()), 'shard')} done"]
    if states["running"]:
        said.append(f"{whole(states['running'])} running on {counted(workers, 'worker')}")
    if states["open"]:
        said.append(f"{whole(states['open'])} open")
    if states["failed"]:
        said.append(f"{whole(states['failed'])} failed, which the job's owner tries once more")
    return f"{STAGES.get(stage, stage)}: {', '.join(said)}"
