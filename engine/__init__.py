"""Pure numerics of the sweep: no I/O, no clock, no database, no queue.

`VERSION` names the numerics as they are released: two runs of one version over the same candles and
the same request give the same bytes. It changes whenever any result could change.
"""

from functools import lru_cache

VERSION = "1.0.0"


@lru_cache(maxsize=1)
def identity() -> str:
    """Return what code computes results here: a short text, the same in every process.

    The version and the hash of the engine's sources, then the same of each plugin, such as
    `1.0.0+3f2a9c1b7d40 acme-indicators-1.0.0+9d8e08157f21`. A stored shortlist of another identity
    is never resumed. It is read once: call it when a program starts, with the code it has loaded.
    """
    from engine.fingerprints import of_engine, of_plugins

    return " ".join((f"{VERSION}+{of_engine()}", *of_plugins()))
