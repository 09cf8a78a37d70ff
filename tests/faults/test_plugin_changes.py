"""A plugin that changes while a job runs: what two versions computed is never mixed."""

import signal
from pathlib import Path

import pytest

from storage.records import EventName, Stage, State
from tests.engine.indicators.distributions import Folder
from tests.faults.conftest import sweep
from tests.faults.harness import Stack, wait_for
from tests.faults.plugins import KERNELS, beside, install, submit
from tests.system.plugin_package import take_compiled_kernels

OTHER_SIGNALS = KERNELS.replace("inputs[1][t] -", "2.0 * inputs[1][t] - inputs[0][t] -")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def put(folder: Folder, source: str = KERNELS) -> None:
    install(folder, "acme", "body", source=source)
    take_compiled_kernels(folder.path)


@pytest.mark.parametrize("changed", [False, True], ids=["unchanged", "changed"])
def test_a_resumed_job_never_mixes_two_versions_of_a_plugin(
    stack: Stack, folder: Folder, changed: bool
) -> None:
    put(folder)
    with stack.only(beside(folder)):
        job_id = submit(stack, folder, sweep(), "acme.body")
        before = stack.reaches(job_id, Stage.STAGE_B)
    if changed:
        put(folder, OTHER_SIGNALS)
    with stack.only(beside(folder)):
        job = stack.ends(job_id)
        undisturbed = stack.ends(submit(stack, folder, sweep(), "acme.body"))

    assert (job.state, undisturbed.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert job.attempt == 2
    assert (job.engine_version == before.engine_version) is not changed
    assert (EventName.RESUMED_FROM_SHORTLIST in stack.events(job_id)) is not changed
    assert stack.stored_bytes(job_id) == stack.stored_bytes(undisturbed.job_id)


def test_a_worker_whose_plugin_changed_does_not_load_it_a_second_time(
    stack: Stack, folder: Folder
) -> None:
    put(folder)
    with stack.only(beside(folder)) as worker:
        put(folder, f"{KERNELS}# edited")
        servers = [
            process for process in worker.processes() if "forkserver" in " ".join(process.cmdline())
        ]
        assert servers
        for server in servers:
            server.send_signal(signal.SIGKILL)
        wait_for(lambda: not worker.alive(), "the end of the worker", 60)
        assert worker.exit_code() == 1
        assert "event=sources_changed" in worker.text()
