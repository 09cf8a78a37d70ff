"""A real API: uvicorn in a process of its own, and users who call it."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from api import tokens
from tests import zygote
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
OURS = ("ROEHUB_", "CH_", "CLICKHOUSE_", "STRATEGY_PG_DSN", "POSTGRES_DSN", "REDIS_URL")
STARTED_WITHIN = 60.0
STOPPED_WITHIN = 30.0


def client(url: str, **options: Any) -> httpx.Client:
    """A client without the certificates for TLS, which take longer to load than most calls."""
    return httpx.Client(base_url=url, timeout=60, verify=False, **options)


class Caller:
    """Somebody who calls the API: a user with a token, or nobody."""

    def __init__(self, url: str, headers: Mapping[str, str], user_id: UUID | None = None) -> None:
        self.user_id = user_id
        self.client = client(url, headers=dict(headers))

    def call(self, method: str, path: str, **values: Any) -> httpx.Response:
        return self.client.request(method, path, **values)

    def get(self, path: str, **values: Any) -> httpx.Response:
        return self.call("GET", path, **values)

    def post(self, path: str, **values: Any) -> httpx.Response:
        return self.call("POST", path, **values)

    def put(self, path: str, **values: Any) -> httpx.Response:
        return self.call("PUT", path, **values)

    def patch(self, path: str, **values: Any) -> httpx.Response:
        return self.call("PATCH", path, **values)

    def delete(self, path: str, **values: Any) -> httpx.Response:
        return self.call("DELETE", path, **values)


@dataclass
class Api:
    """The API on one database and one candle folder.

    It is called as user A by itself, as others with `as_user`, and without a token with `nobody`.
    """

    dsn: str
    candles: Path
    folder: Path
    changes: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    user_id: UUID = field(default_factory=uuid4)
    port: int = field(default_factory=free_port)
    skipped: int = 0

    def __post_init__(self) -> None:
        self.process: zygote.Process | None = None
        self._callers: list[Caller] = []
        self.a = self.as_user(self.user_id)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "api.log"

    def environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return inherited | {
            "ROEHUB_ENV": "test",
            "STRATEGY_PG_DSN": self.dsn,
            "ROEHUB_CANDLES_DIR": str(self.candles),
            tokens.SECRET: self.secret,
            **self.changes,
        }

    def token(self, user_id: UUID | None = None, *, days: int = 1, role: str | None = None) -> str:
        lasting = tokens.lasting(user_id or self.user_id, days)
        return tokens.sign(self.secret, tokens.Token(lasting.user_id, role, lasting.expires_at))

    def caller(self, headers: Mapping[str, str], user_id: UUID | None = None) -> Caller:
        made = Caller(self.url, headers, user_id)
        self._callers.append(made)
        return made

    def as_user(self, user_id: UUID) -> Caller:
        return self.caller({"Authorization": f"Bearer {self.token(user_id)}"}, user_id)

    def new_user(self) -> Caller:
        return self.as_user(uuid4())

    def nobody(self) -> Caller:
        return self.caller({})

    def get(self, path: str, **values: Any) -> httpx.Response:
        return self.a.get(path, **values)

    def post(self, path: str, **values: Any) -> httpx.Response:
        return self.a.post(path, **values)

    def put(self, path: str, **values: Any) -> httpx.Response:
        return self.a.put(path, **values)

    def patch(self, path: str, **values: Any) -> httpx.Response:
        return self.a.patch(path, **values)

    def delete(self, path: str, **values: Any) -> httpx.Response:
        return self.a.delete(path, **values)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ("uvicorn", "--factory", "api.app:create_app")
        options = ("--host", "127.0.0.1", "--port", str(self.port), *self.options)
        with self.log.open("ab") as output:
            self.process = zygote.start(*command, *options, env=self.environ(), stdout=output)
        deadline = time.monotonic() + STARTED_WITHIN
        with client(self.url) as asking:
            while True:
                assert self.process.poll() is None, self.text()
                try:
                    assert asking.get("/healthz").status_code == 200
                    return
                except httpx.TransportError:
                    assert time.monotonic() < deadline, self.text()
                    time.sleep(0.02)

    def stop(self) -> int:
        """End it as a supervisor does; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def restart(self) -> None:
        """Stop it and start it again at the same address."""
        self.stop()
        self.start()

    def text(self) -> str:
        """Return everything it has logged, but for what is `skipped`."""
        return self._all()[self.skipped :]

    def skip_log(self) -> None:
        """Leave out of `text` what it has logged by now: another test may have had it fail."""
        self.skipped = len(self._all())

    def _all(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        for caller in self._callers:
            caller.client.close()
        if self.process is not None:
            self.stop()


@contextmanager
def running(dsn: str, candles: Path, folder: Path, **values: Any) -> Iterator[Api]:
    """Start an API, and stop it in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    api = Api(dsn, candles, folder, **values)
    try:
        api.start()
        yield api
    finally:
        api.close()
