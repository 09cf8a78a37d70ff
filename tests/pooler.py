"""A real pgbouncer in transaction mode in front of a server, for one or many programs.

    with pooler(dsn) as pool:
        program(pool.dsn)
        pool.server_pids()      # the sessions behind it, shared by all its clients

`programs_behind` starts a scheduler and workers there: with `size=2` they share two sessions, and
meet each other's leftovers.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from tests.faults.harness import Program, Stack, wait_for
from tests.own_postgres import SYSTEM_USER
from tests.ports import free_port

INSTALL = "no pgbouncer here: install the package (Debian: apt-get install pgbouncer)"


class Pooler:
    """A running pgbouncer; `dsn` leads through it to the database of the dsn it was made for."""

    def __init__(self, folder: Path, program: str, dsn: str, *, size: int, mode: str) -> None:
        values = conninfo_to_dict(dsn)
        self._log = folder / "pgbouncer.log"
        port = free_port()
        self.dsn = make_conninfo(dsn, host="127.0.0.1", port=port)
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            "[databases]\n"
            f"* = host={values['host']} port={values.get('port', 5432)}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {folder}/users.txt\nlogfile = {self._log}\n"
            f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 200\n"
            f"admin_users = {values['user']}\n",
            encoding="utf-8",
        )
        (folder / "users.txt").write_text(f'"{values["user"]}" ""\n', encoding="utf-8")
        command = [program, "--quiet", str(settings)]
        if (
            os.geteuid() == 0
        ):  # it does not run as root; the embedded server's user reads its socket
            command = [program, "--quiet", "--user", SYSTEM_USER, str(settings)]
        folder.chmod(0o777)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(self._answers, "an answer through pgbouncer", 20)
        except AssertionError:
            self.stop()
            log = self._log.read_text(encoding="utf-8") if self._log.exists() else "no log"
            raise AssertionError(f"pgbouncer does not work:\n{log}") from None

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
        try:
            psycopg.connect(self.dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def server_pids(self) -> list[int]:
        """The server's processes that the pooler uses now."""
        console = make_conninfo(self.dsn, dbname="pgbouncer")
        with psycopg.connect(console, autocommit=True, row_factory=dict_row) as conn:
            return [int(row["remote_pid"]) for row in conn.execute("SHOW SERVERS")]

    def stop(self) -> None:
        """Stop at once."""
        self._process.kill()
        self._process.wait()


def programs_behind(pool: Pooler, stack: Stack, *, workers: int) -> list[Program]:
    """Start a scheduler and workers of `stack` whose way to Postgres is the pooler.

    The stack itself keeps to the server, so that a test sees what happens there.
    """
    scheduler = stack.start("scheduler", STRATEGY_PG_DSN=pool.dsn)
    return [scheduler, *(stack.worker(STRATEGY_PG_DSN=pool.dsn) for _ in range(workers))]


@contextmanager
def pooler(dsn: str, *, size: int = 1, mode: str = "transaction") -> Iterator[Pooler]:
    """Run a pgbouncer with at most `size` sessions to the server of `dsn`; skips without one."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip(INSTALL)
    with tempfile.TemporaryDirectory(prefix="pooler-", ignore_cleanup_errors=True) as folder:
        made = Pooler(Path(folder), program, dsn, size=size, mode=mode)
        try:
            yield made
        finally:
            made.stop()
