"""The files that pages load: under an address that changes with them, so cached for ever."""

import hashlib
import json
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from engine.metric_words import WORDS
from engine.request.block_timeframe import larger_timeframes
from engine.request.model import FIRST_EXECUTION
from engine.request.words import CARRY, EXIT, FILLS, HELD, LEVERAGE, PAUSE, STORED_CARRY
from engine.timeframes import TIMEFRAMES

FOLDER = Path(__file__).parent / "static"

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Files:
    """Everything in the folder, read once, and words of the engine. `version` hashes it all."""

    contents: dict[str, bytes]
    version: str

    def url(self, name: str) -> str:
        """Return the address of a file.

        Modules import each other by relative addresses, so one version covers them all.
        """
        if name not in self.contents:
            raise KeyError(name)
        return f"/static/{self.version}/{name}"


@cache
def files() -> Files:
    """Return the files of the installed product."""
    contents = {file.name: file.read_bytes() for file in sorted(FOLDER.iterdir())}
    contents["metric_words.js"] = f"export const WORDS = {json.dumps(WORDS)};\n".encode()
    fills = {name: dict(words) for name, words in FILLS.items()}
    larger = {name: larger_timeframes(name) for name in TIMEFRAMES}
    spoken = {
        "FILLS": fills,
        "HELD": HELD,
        "PAUSE": PAUSE,
        "EXIT": EXIT,
        "LEVERAGE": LEVERAGE,
        "CARRY": dict(CARRY),
        "STORED_CARRY": dict(STORED_CARRY),
        "LARGER": larger,
        "FIRST": dict(FIRST_EXECUTION),
    }
    contents["request_words.js"] = "".join(
        f"export const {name} = {json.dumps(words)};\n" for name, words in spoken.items()
    ).encode()
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Files(contents, digest.hexdigest()[:16])


def media_type(name: str) -> str:
    """Return the type of a file by the end of its name."""
    known = TYPES.get(Path(name).suffix)
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"


@cache
def plotly_name() -> str:
    """Return the name under which the installed plotly is served."""
    return f"plotly-{metadata.version('plotly')}.min.js"


@cache
def plotly_file() -> Path:
    """Return where the installed package keeps it; the package itself is slow to import."""
    found = metadata.distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    return Path(str(found))


@cache
def plotly_styles() -> tuple[str, ...]:
    """Return the ids of the style sheets that plotly's script would add to a page.

    It adds none whose id is taken. Pages allow no inline style, so they take these ids, and the
    charts they draw do without: the sheets are those of maps.
    """
    taken = re.findall(rb'document\.getElementById\("([0-9a-f]{64})"\)', plotly_file().read_bytes())
    return tuple(sorted({name.decode() for name in taken}))
