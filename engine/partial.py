"""What a part of a stage has found, as bytes: parts that were computed anywhere merge to the whole.

A result is an archive of numpy arrays: it says what it holds, is compressed, and its checksums are
compared when it is read.
"""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.outcomes import Outcomes
from engine.ranking import ENTRY, TopList

Arrays = dict[str, NDArray[Any]]

_DAMAGE = (ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Partial:
    """The best of a part of a stage and, of stage A, what became of all of its variants."""

    top: TopList
    outcomes: Outcomes | None = None

    def merge(self, other: "Partial") -> None:
        """Take in another part of the same stage; in any order the result is the same.

        Raises `ValueError` when it is of another search, or of another stage; nothing is changed.
        """
        self.top.check(other.top)
        if (self.outcomes is None) != (other.outcomes is None):
            raise ValueError("parts of different stages: only one of them counts outcomes")
        if self.outcomes is not None and other.outcomes is not None:
            self.outcomes.merge(other.outcomes)
        self.top.merge(other.top)

    def to_bytes(self) -> bytes:
        """Return all of it, for `from_bytes` of the same program."""
        top = self.top
        about = {
            "capacity": top.capacity,
            "primary": top.primary,
            "secondary": top.secondary,
            "min_trades": top.min_trades,
            "distinct": top.distinct,
        }
        arrays: dict[str, Any] = {"entries": top.ranked()}
        if self.outcomes is not None:
            about["benchmark_return_pct"] = self.outcomes.benchmark_return_pct
            arrays |= _counted(self.outcomes)
        file = io.BytesIO()
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` has made; raises `ValueError` for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays: Arrays = {name: archive[name] for name in archive.files}
            about = json.loads(str(arrays.pop("about")))
            return cls(_top_list(arrays["entries"], about), _outcomes(arrays, about))
        except _DAMAGE as error:
            raise ValueError(f"{len(data)} bytes are no result of a part: {error}") from error


def _top_list(entries: NDArray[np.void], about: dict[str, Any]) -> TopList:
    if entries.dtype != ENTRY:
        raise ValueError(f"entries are of {entries.dtype}, not of {ENTRY}")
    top = TopList(
        about["capacity"],
        about["primary"],
        about["secondary"],
        about["min_trades"],
        distinct=about["distinct"],
    )
    top.take(entries)
    return top


def _counted(outcomes: Outcomes) -> Arrays:
    """Return the counts; of histograms the places that are not empty, which are few."""
    arrays: Arrays = {"counts": outcomes.counts}
    for name, places in (("returns", outcomes.returns), ("primaries", outcomes.primaries)):
        used = np.flatnonzero(places)
        arrays[name] = np.stack((used, places[used]))
    return arrays


def _outcomes(arrays: Arrays, about: dict[str, Any]) -> Outcomes | None:
    if "counts" not in arrays:
        return None
    outcomes = Outcomes(about["primary"], about["benchmark_return_pct"])
    outcomes.counts[:] = arrays["counts"]
    for name, places in (("returns", outcomes.returns), ("primaries", outcomes.primaries)):
        used, numbers = arrays[name]
        places[used] = numbers
    return outcomes
