"""`python -m tests.faults.in_container MODULE …` runs a module as a container does: as pid 1."""

import os
import sys

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

if __name__ == "__main__":
    os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, "-m", *sys.argv[1:]])
