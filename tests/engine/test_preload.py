"""What a fork server loads before it forks."""

import subprocess
import sys


def test_a_sweep_finds_every_kernel_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.preloaded"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    assert done.stdout.split() == []
