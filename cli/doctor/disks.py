"""Folders that programs on this machine write to: whether they can, and how much room there is."""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cli import running_stack
from cli.doctor.findings import Finding, Grade, gigabytes

MIB = 2**20
TRIED = b"\0" * MIB


class Place(NamedTuple):
    """A folder, what for it is needed, the room that this takes, and what to do without it.

    `needed`: something does not work without writing there now.
    """

    subject: str
    folder: Path
    use: str
    room: int
    advice: str
    needed: bool = True


def examine(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look at each folder that is used here."""
    for place in _places(variables):
        yield look(place)


def look(place: Place) -> Finding:
    """Write to the folder, take it back, and look how much room is left."""
    limit = f"at least {gigabytes(place.room)}"
    broken: Grade = "wrong" if place.needed else "note"
    try:
        with tempfile.TemporaryFile(dir=place.folder) as file:
            file.write(TRIED)
            file.flush()
        free = os.statvfs(place.folder)
    except OSError as error:
        said = f"{place.folder} cannot be written: {error.strerror}; it is for {place.use}"
        advice = place.advice
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            said = f"{place.folder} is full; it is for {place.use}"
        return Finding(place.subject, broken, said, advice, limit, _ways(place, error.errno))
    room = free.f_bavail * free.f_frsize
    said = f"{gigabytes(room)} free in {place.folder}, for {place.use}"
    if room < place.room:
        return Finding(place.subject, "note", said, place.advice, limit, _ways(place, errno.ENOSPC))
    return Finding(place.subject, "ok", said, limit=limit)


def _ways(place: Place, number: int | None) -> tuple[str, ...]:
    """Return what to type to see why."""
    if number in (errno.ENOSPC, errno.EDQUOT):
        return (f"df -h {place.folder}; df -i {place.folder}",)
    return (f"ls -ld {place.folder}; id",)


def _places(variables: Mapping[str, str]) -> Iterator[Place]:
    temporary = "set TMPDIR to a folder with room, for all programs"
    yield Place(
        "temporary files",
        Path(tempfile.gettempdir()),
        "workers' metrics, chDB's own files, the copy of a file that is imported",
        256 * MIB,
        temporary,
    )
    shared = Path("/dev/shm")  # noqa: S108 – semaphores are there, and nowhere else
    if shared.is_dir():
        advice = "a worker's command cannot start without it: make room, or mount it larger "
        advice += "(docker: --shm-size=64m)"
        yield Place("shared memory", shared, "semaphores of each worker", 4 * MIB, advice)
    stack = running_stack.data_folder()
    if stack.is_dir():
        yield Place(
            "data of the stack",
            stack,
            "Postgres, Redis, candles and logs of backtest up",
            2048 * MIB,  # its Postgres alone keeps up to 1 GiB of WAL
            "make room, or choose another ROEHUB_DATA_DIR",
            needed=bool(running_stack.running(stack)),
        )
    candles = variables.get("ROEHUB_CANDLES_DIR")
    if candles:
        advice = "workers only read it; to import candles make room, or import as its owner"
        place = Place("candles folder", Path(candles), "imports", 256 * MIB, advice, needed=False)
        yield place
    metrics = variables.get("PROMETHEUS_MULTIPROC_DIR")
    if metrics:
        advice = "make it, or unset PROMETHEUS_MULTIPROC_DIR: backtest api makes one"
        yield Place("metrics folder", Path(metrics), "metrics of the API", 16 * MIB, advice)
