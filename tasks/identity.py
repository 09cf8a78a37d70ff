"""What computes here, and under which names."""

import os
import secrets
import socket

import engine

ENGINE = engine.identity()
"""Written by claims and plans, and compared with that of stored shortlists and plans."""


def new_owner() -> str:
    """Return a name for one hold on a job or on shards: host, process, and a number by chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
