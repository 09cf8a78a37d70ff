"""Printing the lines that other processes append to their log files."""

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cli.output import OutputLost

POLL_SECONDS = 0.2


@contextmanager
def following(logs: Mapping[str, Path]) -> Iterator[None]:
    """Print every line that is appended to the files, behind the name it belongs to."""
    stop = threading.Event()
    tails = [_Tail(name, path, max(map(len, logs))) for name, path in logs.items()]

    def poll() -> None:
        with suppress(OutputLost):  # whoever read the lines has gone; the programs go on
            while not stop.wait(POLL_SECONDS):
                for tail in tails:
                    tail.print_new()

    thread = threading.Thread(target=poll, name="log follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(OutputLost):
            for tail in tails:
                tail.print_new()


class _Tail:
    def __init__(self, name: str, path: Path, width: int) -> None:
        self._prefix = f"{name:<{width}} | "
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def print_new(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                new = file.read()
        except OSError:
            return
        self._position += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            sys.stdout.write(f"{self._prefix}{line.decode(errors='replace')}\n")
        sys.stdout.flush()
