"""What a candle folder knows of an instrument: a small JSON file beside its bars.

Whoever changes it holds the lock of the instrument's folder; readers need none, for a new version
takes the place of the old one in a single step.
"""

import json
import os
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path

from storage.candles.known import ImportedFile, Known, Register
from storage.candles.records import EPOCH, CandleSourceUnavailable, utc

NAME = "instrument.json"


def read(folder: Path) -> Register:
    """Return what is known in an instrument's folder; raises `CandleSourceUnavailable`."""
    path = folder / NAME
    try:
        document = json.loads(path.read_bytes())
        # A later release may know more.
        names = {field.name for field in fields(Known)}
        known = Known(**{name: document["known"][name] for name in names})
        files = {
            str(sha256): ImportedFile(
                str(told["name"]), str(sha256), int(told["rows"]), utc(int(told["imported_ms"]))
            )
            for sha256, told in document["files"].items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return Register.empty()
    except OSError as error:
        raise CandleSourceUnavailable(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CandleSourceUnavailable(
            f"{path} is damaged: delete the instrument and import its files again", permanent=True
        ) from error
    return Register(known, files)


def write(folder: Path, register: Register) -> None:
    """Put a new version in the place of the old one."""
    assert register.known is not None
    document = {
        "known": asdict(register.known),
        "files": {file.sha256: _told(file) for file in register.files.values()},
    }
    unfinished = folder / "instrument.tmp"
    unfinished.write_text(json.dumps(document, indent=1, sort_keys=True), "utf-8")
    flush(unfinished)
    unfinished.rename(folder / NAME)
    flush(folder)


def _told(file: ImportedFile) -> dict[str, str | int]:
    assert file.imported_at is not None
    imported_ms = (file.imported_at - EPOCH) // timedelta(milliseconds=1)
    return {"name": file.name, "rows": file.rows, "imported_ms": imported_ms}


def flush(path: Path) -> None:
    """Make a file's content, or a folder's list of names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
