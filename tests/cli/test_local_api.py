"""The port of a stack's API: found before programs start, and listened on a while after that."""

import socket
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.local_api import HOST, free_port

CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not CONNECTIONS.exists(), reason="there is no range of ports of connections")
def test_a_free_port_is_none_that_a_connection_gets_meanwhile() -> None:
    first, _ = map(int, CONNECTIONS.read_text().split())
    assert all(1024 <= free_port(0) < first for _ in range(50))


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server((HOST, free_port(0))):
        pass


def test_a_port_that_is_asked_for_is_that_one_or_none() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} of {HOST} cannot be listened on"):
            free_port(port)
    asked = free_port(0)
    assert free_port(asked) == asked
