"""A broken plugin is named; jobs without it do not notice."""

from collections.abc import Iterator

import pytest

from storage.records import FailureCode, Job, State
from tests.engine.indicators.distributions import Folder
from tests.faults.conftest import small_sweep
from tests.faults.harness import Program, Stack
from tests.faults.plugins import beside, install, submit
from tests.system.plugin_package import take_compiled_kernels

PLUGIN = "plugin acme (acme-indicators-1.0.0)"

FAULTS = {
    "strange": (
        FailureCode.PLUGIN_FAILED,
        f"{PLUGIN}: acme.strange, output signal: the kernel gave 55 for bar 7 (",
    ),
    "beyond": (
        FailureCode.PLUGIN_FAILED,
        f"{PLUGIN}: acme.beyond, output signal: the kernel wrote beyond its output",
    ),
    "uncompilable": (
        FailureCode.PLUGIN_FAILED,
        f"{PLUGIN}: acme.uncompilable, output signal: the kernel failed: TypingError",
    ),
    "raises": (
        FailureCode.PLUGIN_FAILED,
        f"{PLUGIN}: acme.raises, output signal: the kernel failed: ValueError: no more than 6",
    ),
    "dies": (FailureCode.UNEXPECTED_ERROR, f"it computed indicators of {PLUGIN}"),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A plugin with good and bad kernels, and one that cannot be loaded."""
    folder = Folder(tmp_path_factory.mktemp("broken"))
    install(folder, "acme", "body", *FAULTS)
    folder.install("bell", source="raise RuntimeError('no licence')")
    take_compiled_kernels(folder.path)
    return folder


@pytest.fixture(scope="module")
def worker(stack: Stack, broken: Folder) -> Iterator[Program]:
    with stack.only(beside(broken)) as worker:
        yield worker


def ended(stack: Stack, broken: Folder, kernel: str) -> Job:
    return stack.ends(submit(stack, broken, small_sweep(), f"acme.{kernel}"))


@pytest.mark.parametrize("kernel", FAULTS)
def test_a_job_with_a_broken_kernel_fails_with_its_name_and_others_run(
    stack: Stack, worker: Program, broken: Folder, kernel: str
) -> None:
    job = ended(stack, broken, kernel)

    assert job.state is State.FAILED
    assert job.last_error_json is not None
    code, said = FAULTS[kernel]
    assert job.last_error_json["code"] == code
    assert said in job.last_error_json["message"]
    assert stack.ends(stack.submit(small_sweep())).state is State.SUCCEEDED
    assert ended(stack, broken, "body").state is State.SUCCEEDED
    assert worker.alive()


def test_a_worker_names_what_it_leaves_out_when_it_starts(worker: Program) -> None:
    text = worker.text()
    assert "plugin bell (bell-indicators-1.0.0) is left out" in text
    assert f"{PLUGIN}: acme.uncompilable, output signal: the kernel does not compile" in text
