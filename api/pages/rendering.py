"""Templates into pages. Everything that is put into one is escaped."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.pages.files import files, plotly_name, plotly_styles
from engine.metric_names import METRICS
from engine.metric_words import words_with_unit

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
    }
    made.filters["shown"] = _shown
    return made


def _shown(choice: str) -> str:
    """Return a choice of a request as people read it."""
    return words_with_unit(choice) if choice in METRICS else choice.replace("_", " ")


def rendered(template: str, **given: Any) -> str:
    """Return a page as HTML; `page` names the part of the product that it belongs to."""
    return _environment().get_template(template).render(**given)
