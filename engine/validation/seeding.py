"""Random words by seed and name, the same for every number of threads and every release of numpy.

The generator is splitmix64 (Steele, Lea, Flood 2014: Fast Splittable Pseudorandom Number
Generators): word i is a hash of `start + (i + 1) * 0x9E3779B97F4A7C15`, so any word is made without
those before. `start` is the begin of SHA-256 of seed and name: streams of different names have
nothing to do with each other.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

STEP = np.uint64(0x9E3779B97F4A7C15)
SEEDS = 1 << 64


def words(seed: int, name: str, count: int) -> Words:
    """Return the first `count` words uint64 of the stream `name` of a seed.

    Raises ValueError unless the seed is an unsigned number of 64 bits.
    """
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed is {seed}; it must lie between 0 and 2^64 - 1")
    digest = hashlib.sha256(seed.to_bytes(8, "little") + name.encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "little"))
    with np.errstate(over="ignore"):  # it is arithmetic modulo 2^64
        return _finished(start + np.arange(1, count + 1, dtype=np.uint64) * STEP)


def _finished(z: Words) -> Words:
    """Return the finishing hash of splitmix64, which no two words share."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
