"""Templates into pages. Everything that is put into one is escaped."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.pages.files import files, plotly_name, plotly_styles
from engine.metric_names import METRICS
from engine.metric_words import words, words_with_unit

FOLDER = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "static": files().url,
        "plotly": f"/static/{plotly_name()}",
        "plotly_styles": plotly_styles,
        "operator": False,
    }
    made.filters |= {
        "shown": partial(_shown, metric=words_with_unit),
        "named": partial(_shown, metric=words),
    }
    return made


def _shown(choice: str, metric: Callable[[str], str]) -> str:
    """Return a choice of a request as people read it, one of a metric by its name."""
    return metric(choice) if choice in METRICS else choice.replace("_", " ")


def rendered(template: str, **given: Any) -> str:
    """Return a page as HTML; `page` names the part of the product that it belongs to."""
    return _environment().get_template(template).render(**given)
