"""A viewer who vanishes without a word gives the place of its stream back."""

import sys
from contextlib import ExitStack
from pathlib import Path
from socket import IPPROTO_TCP, SO_RCVBUF, SOL_SOCKET, TCP_USER_TIMEOUT, create_connection, socket
from uuid import uuid4

import httpx
import psycopg
import pytest

from cli import serving
from tests.api.running import Api
from tests.api.streaming import LIST_PATH
from tests.cli.test_serving import running, until
from tests.storage import making

PLACES = 20  # streams_per_user
JOBS = 40
"""Their snapshot is larger than what the smallest buffer of a receiver takes."""
IMPATIENT = (
    sys.executable,
    "-c",
    "import sys; from cli import serving; serving.UNANSWERED_SECONDS = 1;"
    "from cli.__main__ import main; sys.exit(main())",
)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_accepted_connection_is_given_up_when_nothing_is_acknowledged(host: str) -> None:
    with serving._bound(host, 0) as listening:
        client = create_connection(listening.getsockname()[:2])
        accepted, _ = listening.accept()
        with client, accepted:
            assert accepted.getsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT) == 30_000


def silent(port: int, path: str, token: str) -> socket:
    """Ask for a stream and take nothing of it, as somebody who is there no more."""
    client = socket()
    client.setsockopt(SOL_SOCKET, SO_RCVBUF, 1)  # before it connects: the kernel's smallest
    client.connect(("127.0.0.1", port))
    lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "", "")
    client.sendall("\r\n".join(lines).encode())
    return client


def test_streams_that_take_nothing_more_make_room_for_others(served: Api, tmp_path: Path) -> None:
    """Their sockets stay open all the time, and nobody says goodbye."""
    user_id = uuid4()
    token = served.token(user_id)
    headers = {"Authorization": f"Bearer {token}"}
    with psycopg.connect(served.dsn, autocommit=True) as conn:
        for _ in range(JOBS):
            making.submitted(conn, user_id=user_id)

    def another() -> int:
        with httpx.stream("GET", f"{api.url}{LIST_PATH}", headers=headers) as answer:
            return answer.status_code

    with running(served, tmp_path, command=IMPATIENT) as api, ExitStack() as clients:
        port = int(api.url.rpartition(":")[2])
        for _ in range(PLACES):
            clients.enter_context(silent(port, LIST_PATH, token))
        until(lambda: another() == 429, "the places are not taken")
        until(lambda: another() == 200, "the places are not given back")
