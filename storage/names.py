"""Names of jobs as a search compares them."""


def folded(text: str) -> str:
    """Return `text` without its case, in every alphabet and whatever the database's locale is."""
    return text.casefold()
