"""Processes that own temporary folders, and can be killed, forked or put into a container.

`python -m tests.storage.folder_owner MODE` says what it owns in one line and ends with its stdin.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from configs.environment import CandlesFolder
from storage.candles import CandleStore, open_store
from storage.temporary import OwnedFolder

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def owner(
    mode: str, temporary: Path, *arguments: object, inside: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run an owner in TMPDIR `temporary`, and the command `inside` around it; yields its line."""
    process = subprocess.Popen(
        [*inside, sys.executable, "-m", "tests.storage.folder_owner", mode, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def main(mode: str, *arguments: str) -> None:
    if mode == "asks":  # holds the engine open, as an API process does
        with open_store(CandlesFolder(Path(arguments[0]))) as store:
            say(len(store.instruments()))
            sys.stdin.read()
            say(len(store.instruments()))
    elif mode == "asks-forked":
        with open_store(CandlesFolder(Path(arguments[0]))) as store:
            store.instruments()
            if os.fork() == 0:
                say(error_of_asking(store))
                os._exit(0)
            os.wait()
    elif mode == "asks-two":
        first, second = (open_store(CandlesFolder(Path(folder))) for folder in arguments)
        found = [len(store.instruments()) for store in (first, second)]
        first.close()
        found.append(len(second.names()))
        second.close()
        found.append(len(first.names()))
        first.close()
        say(found)
    elif mode == "shares":
        with OwnedFolder("test", shared_by=arguments[0]) as folder:
            say(folder.path)
            sys.stdin.read()
    elif mode == "owns":
        with OwnedFolder("test") as folder:
            (folder.path / "content").write_text("of a living process")
            say(folder.path)
            sys.stdin.read()
    elif mode == "leaves-to-fork":
        own = OwnedFolder("test")
        child = os.fork()
        if child == 0:
            sys.stdin.read()
            os._exit(0)
        say(own.path)
        os._exit(0)
    elif mode == "leaves-to-program":
        own = OwnedFolder("test")
        subprocess.Popen(["cat"], close_fds=False, stdout=subprocess.DEVNULL)
        say(own.path)
        os._exit(0)
    elif mode == "races":
        say("ready")
        sys.stdin.readline()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with OwnedFolder("test") as own:
                (own.path / "content").write_text("mine")
                assert (own.path / "content").read_text() == "mine"
        say("intact")


def error_of_asking(store: CandleStore) -> str:
    try:
        store.instruments()
    except Exception as error:
        return type(error).__name__
    return "no error"


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
