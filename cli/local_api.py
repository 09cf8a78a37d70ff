"""The API of a stack on this machine: its port, its secret, and waiting until it answers."""

import http.client
import random
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from cli.errors import CommandError

HOST = "127.0.0.1"
START_SECONDS = 60.0
POLL_SECONDS = 0.1
SECRET_BYTES = 32

# Linux gives connections ports from 32768 on: one of those that is free now may be taken before the
# API listens.
NEVER_OF_CONNECTIONS = range(10_000, 32_768)
TRIES = 20


def free_port(asked: int) -> int:
    """Return `asked`, or any free port for 0; raises CommandError when it cannot be listened on."""
    ports = [asked] if asked else random.sample(NEVER_OF_CONNECTIONS, TRIES)
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return port
            except OSError as error:
                refusal = error
    raise CommandError(
        f"port {ports[-1]} of {HOST} cannot be listened on ({refusal.strerror}): "
        "give another --api-port, 0 takes a free one"
    )


def secret(folder: Path) -> str:
    """Return the secret that is kept in the folder for its owner alone; makes it the first time."""
    file = folder / "jwt-secret"
    try:
        return file.read_text()
    except FileNotFoundError:
        draft = file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(SECRET_BYTES))
        draft.replace(file)
    return file.read_text()


def wait_until_it_answers(port: int, ended: Callable[[], bool], log: Path) -> None:
    """Return when `/healthz` answers; raises CommandError when the program has `ended` before."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if ended() or time.monotonic() > deadline:
            raise CommandError(f"the API did not start: {log} says why")
        time.sleep(POLL_SECONDS)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
