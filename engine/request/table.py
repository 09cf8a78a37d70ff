"""What a field of a request is, and the one table of them all by path.

Reading, completing and explaining a request all look here, so no key, bound, choice or default is
written twice. `[]` in a path stands for an item of an array, `*` for the name of a parameter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.request.bounds import ANYTHING, Bounds
from engine.request.model import Defaults

Type = Literal[
    "object",
    "array",
    "axis",
    "integer",
    "number",
    "boolean",
    "text",
    "choice",
    "time",
]

REQUIRED: Any = object()
"""The default of a field that has none."""

UNSHOWN: Any = object()
"""The example of a field that the example request leaves out."""

ANY = "*"
"""The last part of the path of every member of an object whose keys are names of parameters."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A default that is configured: a field of `Defaults`, and how it is applied.

    With `by` it is a mapping from the value of that field.
    """

    name: str
    words: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """A default that follows from the rest of the request, in words."""

    words: str


@dataclass(frozen=True, slots=True)
class Most:
    """A configured limit of what is accepted: a field of `Defaults`, and its key in the settings.

    A stored request was accepted under another configuration perhaps, and is not held to it.
    """

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a text must look like, as a regular expression and in words."""

    expression: str
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One field: `path`, what it may be, what it is when left out, one sentence, one example.

    `noun` is what one of `choices` is called. `null` allows null as well, `texts` are words that a
    number may be replaced by.
    """

    path: str
    type: Type
    sentence: str
    example: Any = UNSHOWN
    bounds: Bounds = ANYTHING
    choices: tuple[str, ...] = ()
    noun: str = "value"
    pattern: Pattern | None = None
    default: Any = REQUIRED
    most: Most | None = None
    null: bool = False
    texts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The key of the field."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str:
        """The path of the object that holds it; empty at the top."""
        return self.path.rpartition(".")[0]

    def default_of(self, defaults: Defaults) -> Any:
        """Return what stands for the field when it is left out, or REQUIRED."""
        if isinstance(self.default, Derived) or (
            isinstance(self.default, Setting) and self.default.by
        ):
            return REQUIRED  # nobody knows it without the rest of the request
        if isinstance(self.default, Setting):
            return getattr(defaults, self.default.name)
        return self.default


class Table:
    """Entries by path, in the order in which a request is written."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._by_path: Mapping[str, Entry] = {entry.path: entry for entry in entries}
        self._keys: dict[str, tuple[str, ...]] = {}
        for entry in entries:
            self._keys[entry.parent] = (*self._keys.get(entry.parent, ()), entry.name)

    def at(self, path: str) -> Entry:
        """Return the entry of a path, with `[]` for the items of arrays."""
        return self._by_path[path]

    def keys(self, parent: str) -> tuple[str, ...]:
        """Return the keys of an object."""
        return self._keys.get(parent, ())

    def settings(self) -> dict[str, Entry]:
        """Return by field of `Defaults` the entry that it is a default of."""
        return {
            entry.default.name: entry
            for entry in self.entries
            if isinstance(entry.default, Setting)
        }
