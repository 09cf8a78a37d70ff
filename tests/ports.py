"""Ports for programs that are about to start."""

import os
import random
import socket
from collections.abc import Iterator
from itertools import count

# Below the ports that the kernel hands out for connections: 32768 and up on Linux.
FIRST, OF_EACH_PROCESS, PROCESSES = 10_000, 2_800, 8


def free_port() -> int:
    """A port on which nobody listens, and which no other test of this run is given.

    The kernel may give the port that it has just given to others until the program listens there.
    """
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports never end")


def _numbers() -> Iterator[int]:
    """The numbers that belong to this process, round and round from anywhere among them."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    start = random.randrange(OF_EACH_PROCESS)
    for number in count(start):
        yield FIRST + process * OF_EACH_PROCESS + number % OF_EACH_PROCESS


_ports = _numbers()
