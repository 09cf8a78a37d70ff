"""The compose file, brought up: a day of an operator, from the first job to `down`.

The tests follow each other: a stack is dear, and what one of them hurts has to be well again.
"""

import json
import os
import re
import signal
import time

import pytest
import yaml

from tests.deploy import engine
from tests.deploy.containers.conftest import IMAGE, LEASE_SECONDS, User
from tests.deploy.engine import ROOT, podman, say, until
from tests.deploy.operator import PROJECT, Operator, printed, seconds_since
from tests.making_jobs import changed

pytestmark = pytest.mark.timeout(3600)

SMALL = changed()
LONG = changed(
    template__timeframe="1m",
    time_range={"start": "2024-01-01T00:00:00Z", "end": "2024-07-01T00:00:00Z"},
    template__indicator_grids=[
        {
            "indicator_id": "ma.cross",
            "params": {
                "ma": {"mode": "explicit", "values": ["sma", "ema"]},
                "fast": {"mode": "range", "start": 5, "stop_incl": 44, "step": 1},
                "slow": {"mode": "range", "start": 50, "stop_incl": 129, "step": 1},
            },
        }
    ],
)
"""Several seconds of computation, and some hundred megabytes."""
ROOM_MIB = 100
"""What a worker's container may have beyond an idle worker: enough for a small job only."""
WORKERS = 4
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
BACKUP = re.findall(
    r"^docker compose .*$", (ROOT / "deploy" / "backup.md").read_text(), re.MULTILINE
)


def owner(stack: Operator, job: str) -> str:
    """The container whose host name stands in `locked_by`, once the job computes."""
    query = f"SELECT locked_by FROM backtest_jobs WHERE job_id = '{job}' AND processed_units > 0"
    locked_by = until(lambda: stack.sql(query), "the job computes")
    host = locked_by.rsplit("-", 2)[0]
    return next(
        name
        for name in stack.containers("worker")
        if json.loads(podman("inspect", name))[0]["Config"]["Hostname"] == host
    )


def attempts(stack: Operator, job: str) -> str:
    return stack.sql(f"SELECT attempt, crash_count FROM backtest_jobs WHERE job_id = '{job}'")


def anonymous_bytes(name: str) -> int:
    """Memory that a container's processes hold; the page cache could be given back."""
    files = "/sys/fs/cgroup/memory.stat /sys/fs/cgroup/memory/memory.stat"
    text = podman("exec", name, "sh", "-c", f"cat {files} 2>/dev/null; true")
    found = re.search(r"^(?:anon|total_rss) (\d+)$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def test_doctor_is_content_in_a_container(stack: Operator, user: User) -> None:
    stack.types("docker compose exec api backtest doctor")
    found = json.loads(stack.runs("docker compose exec -T api backtest doctor --json"))
    grades = {finding["subject"]: finding["grade"] for finding in found}
    named = ("Python", "configuration", "Postgres", "Redis", "candles", "kernels")
    assert {name: grades[name] for name in named} == dict.fromkeys(named, "ok")
    assert set(grades.values()) <= {"ok", "note"}
    say("doctor", f"{', '.join(named)} are ok; code 0")


def test_api_and_prometheus_are_at_the_addresses_of_the_readme(stack: Operator) -> None:
    for address in ("http://127.0.0.1:8000/openapi.json", f"{PROMETHEUS}/status/buildinfo"):
        assert stack.asks(address)


def test_a_job_is_computed(user: User) -> None:
    begin = time.monotonic()
    job = user.ends(user.submit(SMALL))
    assert job["state"] == "succeeded", job
    say("a job", f"{seconds_since(begin)} from the command to its end")


def test_the_report_of_a_job_is_written(user: User) -> None:
    job = user.submit(SMALL)
    user.ends(job)
    written = ("report", job, "--html", "/tmp/out.html")
    assert "/tmp/out.html" in user(*written)


def test_a_job_outlives_the_container_of_its_worker(stack: Operator, user: User) -> None:
    job = user.submit(LONG)
    first = owner(stack, job)
    begin = time.monotonic()
    os.kill(engine.state(first)["Pid"], signal.SIGKILL)
    ended = user.ends(job)
    assert ended["state"] == "succeeded", ended
    assert attempts(stack, job) == "2|1"
    say("worker killed", f"its job ended {seconds_since(begin)} later; lease {LEASE_SECONDS} s")


def test_the_container_of_a_killed_worker_is_started_again(stack: Operator) -> None:
    for name in stack.containers("worker"):
        until(lambda name=name: engine.state(name)["Running"], f"{name} runs")
    stack.wait_until_healthy("worker")


def test_a_worker_that_is_stopped_gives_its_job_to_another_one(stack: Operator, user: User) -> None:
    job = user.submit(LONG)
    first = owner(stack, job)
    begin = time.monotonic()
    stack.podman("stop", "--time=40", first)
    stopped = seconds_since(begin)
    assert engine.state(first)["ExitCode"] == 0
    ended = user.ends(job)
    assert ended["state"] == "succeeded", ended
    assert attempts(stack, job) == "2|0"
    stack.podman("start", first)
    say("worker stopped", f"{stopped}, code 0; its job succeeded, no crash counted")


def test_a_job_that_needs_more_memory_than_its_worker_may_have_fails_alone(
    stack: Operator, user: User
) -> None:
    workers = stack.containers("worker")
    stack.wait_until_healthy("worker")
    limit = max(map(anonymous_bytes, workers)) // 2**20 + ROOM_MIB
    stack.podman("stop", "--time=40", *workers)
    name = f"{PROJECT}_small-worker"
    stack.runs(f"WORKER_MEMORY={limit}m docker compose run --detach --no-deps --name={name} worker")
    stack.wait_until_answering(name)
    started = engine.state(name)["StartedAt"]
    job = user.ends(user.submit(LONG))
    assert job["state"] == "failed", job
    assert job["last_error_json"]["code"] == "memory_limit_exceeded", job
    assert user.ends(user.submit(SMALL))["state"] == "succeeded"
    assert engine.state(name)["StartedAt"] == started
    stack.podman("rm", "--force", name)
    stack.podman("start", *workers)
    say("worker of little memory", f"{limit} MiB: memory_limit_exceeded, and it took the next job")


def test_more_workers_are_a_variable(stack: Operator) -> None:
    assert f"`WORKERS={WORKERS}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    stack.sets(WORKERS=str(WORKERS))
    stack.types("docker compose up --detach --no-deps worker")
    stack.wait_until_healthy("worker")
    assert len(stack.containers("worker")) == WORKERS


def test_prometheus_finds_every_program_and_has_all_rules(stack: Operator) -> None:
    expected = {
        f"backtest-{service}": len(stack.containers(service))
        for service in ("worker", "scheduler", "api")
    }

    def found() -> dict[str, int]:
        """How many targets of each job are up, where none is down."""
        up: dict[str, int] = {}
        for target in stack.asks(f"{PROMETHEUS}/targets")["data"]["activeTargets"]:
            job = target["labels"]["job"]
            up[job] = up.get(job, 0) + (1 if target["health"] == "up" else -100)
        return up

    until(lambda: found() == expected, f"all targets are up: {expected}, {found()}")
    (group,) = stack.asks(f"{PROMETHEUS}/rules")["data"]["groups"]
    file = ROOT / "deploy" / "prometheus" / "alerts.yml"
    (shipped,) = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    assert [rule["name"] for rule in group["rules"]] == [rule["alert"] for rule in shipped["rules"]]
    until(lambda: healths(stack) == {"ok"}, "all rules are evaluated")
    version = stack.asks(f"{PROMETHEUS}/status/buildinfo")["data"]["version"]
    targets = ", ".join(f"{count} {job}" for job, count in expected.items())
    say(f"Prometheus {version}", f"up: {targets}; {len(group['rules'])} rules loaded")
    say("Grafana", "not started: no image and no package of it here; its files are checked apart")


def healths(stack: Operator) -> set[str]:
    (group,) = stack.asks(f"{PROMETHEUS}/rules")["data"]["groups"]
    return {rule["health"] for rule in group["rules"]}


def test_a_backup_is_made_and_restored_as_the_page_says(stack: Operator) -> None:
    (backup,) = BACKUP
    stack.types(backup)
    stack.sql("CREATE DATABASE restored")
    restore = "pg_restore --username=backtest --exit-on-error --dbname=restored"
    stack.runs(f"docker compose exec -T postgres {restore} < backtest.dump")
    count = "SELECT count(*) FROM backtest_jobs"
    assert stack.sql(count, "restored") == stack.sql(count) != "0"


def test_every_command_of_the_readme_was_typed(stack: Operator) -> None:
    expected = printed("Run it for real")
    assert len(expected) > 5
    assert set(expected) <= set(stack.typed)
    say("commands of the pages", f"{len(set(stack.typed))} typed, those of the README all")


def test_everything_ends_with_code_0_and_down_leaves_nothing(stack: Operator, user: User) -> None:
    user.leaves()
    services = ("worker", "scheduler", "api", "prometheus", "postgres", "redis", "clickhouse")
    names = [name for service in services for name in stack.containers(service)]
    begin = time.monotonic()
    stack.types("docker compose stop")
    say("stop", f"{seconds_since(begin)}, {len(names)} containers")
    assert {name: engine.state(name)["ExitCode"] for name in names} == dict.fromkeys(names, 0)
    begin = time.monotonic()
    stack.runs("docker compose down --volumes")
    say("down", seconds_since(begin))
    stack.network.close()
    engine.remove_groups()
    left = engine.left(PROJECT)
    say("left", ", ".join(f"{len(found)} {kind}" for kind, found in left.items()))
    assert left == {kind: [] for kind in left}
    say("kept for the next run", f"images in {os.environ['BOX_HOME']}, {IMAGE} among them")
