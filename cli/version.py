"""What is installed here, in one line."""

import platform
from importlib import metadata

DISTRIBUTION = "backtest-jobs"


def text() -> str:
    """Return the versions of product, engine with plugins, and Python.

    The engine's is its identity, the same text that `backtest show` prints of a job it computed.
    """
    import engine

    product = metadata.version(DISTRIBUTION)
    return (
        f"{DISTRIBUTION} {product} (engine {engine.identity()}, Python {platform.python_version()})"
    )
