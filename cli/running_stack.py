"""How commands in other terminals find the stack that runs in a data folder.

`stack.lock` is locked for as long as a stack runs, whatever becomes of its process; `stack.json`
holds the environment variables that lead to its API and to the services it started itself.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.errors import CommandError

DATA_DIR = "ROEHUB_DATA_DIR"
DEFAULT_DATA_DIR = Path("out/stack")


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder named by ROEHUB_DATA_DIR, else `./out/stack`."""
    return Path(environ.get(DATA_DIR) or DEFAULT_DATA_DIR)


def environment() -> dict[str, str]:
    """Return this process's environment, completed by what a running stack has told.

    A variable that is set wins over the stack's, one by one; but the stack's token is for the
    stack's own API alone.
    """
    ours = {name: value for name, value in os.environ.items() if value}
    told = running(data_folder())
    if ours.get("ROEHUB_API_URL", told.get("ROEHUB_API_URL")) != told.get("ROEHUB_API_URL"):
        told.pop("ROEHUB_API_TOKEN", None)
    return told | ours


def running(folder: Path) -> dict[str, str]:
    """Return the variables of the stack that runs in `folder`; empty when none does."""
    try:
        with (folder / "stack.lock").open() as lock:
            if _lock(lock.fileno()):
                return {}
        variables = json.loads((folder / "stack.json").read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in variables.items()}


@contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Own the folder for the length of a `with` block.

    Raises CommandError when another stack owns it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "stack.lock").open("w")
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from None
    with lock:
        if not _lock(lock.fileno()):
            raise CommandError(
                f"a stack is running in {folder}: use it, stop it, or choose another --data-dir"
            )
        (folder / "stack.json").unlink(missing_ok=True)
        yield


def announce(folder: Path, variables: Mapping[str, str]) -> None:
    """Tell other terminals how to reach the services; call while owning the folder."""
    file = folder / "stack.json"
    draft = file.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(dict(variables), indent=2) + "\n")
    draft.replace(file)


def withdraw(folder: Path) -> None:
    """Take the announcement back."""
    (folder / "stack.json").unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
