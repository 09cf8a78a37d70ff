"""`backtest compile`: kernels ahead of time."""

import typer

from cli import help_text, render
from cli.options import AsJson


def compile_(as_json: AsJson = False) -> None:
    """Compile the kernels, so that workers start in seconds; about a minute on two processors.

    Workers do this by themselves at their first start. Ahead of it, for example while an image is
    built, it fills the cache beside the installed sources, or in NUMBA_CACHE_DIR.

    For example:

      backtest compile
    """
    from engine.compiled import CACHE
    from tasks.preload import load_engine

    console = render.terminal()
    if not as_json:
        console.print("compiling the kernels, or loading them from the cache", style="dim")
    loaded = load_engine()
    if as_json:
        found = {"seconds": round(loaded.seconds, 2), "from_cache": loaded.from_cache}
        render.as_json(found | {"folder": str(CACHE)})
        return
    what = "were compiled before" if loaded.from_cache else f"compiled in {loaded.seconds:.0f} s"
    console.print(f"kernels {what}: {CACHE}", soft_wrap=True)


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this module."""
    help_text.add(app, compile_, panel=panel)
