"""What the name of an owner, `<hostname>-<pid>-<8 hex digits>`, says: its machine and its process.

An owner is new with each job and each call for help; the worker process behind it stays.
"""

import re

_OWNER = re.compile(r"((.+)-\d+)-[0-9a-f]{8}")


def host(owner: str) -> str:
    """Return the machine in an owner's name; a name of another form is its own."""
    match = _OWNER.fullmatch(owner)
    return owner if match is None else match[2]


def worker(owner: str) -> str:
    """Return the worker process in an owner's name, `<hostname>-<pid>`."""
    match = _OWNER.fullmatch(owner)
    return owner if match is None else match[1]
