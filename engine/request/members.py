"""Objects of a request, read by the table of fields: keys, types, bounds, choices and defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.request.entries import TABLE
from engine.request.fields import Field
from engine.request.hints import misplaced, suggestion
from engine.request.model import Defaults, Limits
from engine.request.table import REQUIRED, Entry
from engine.request.times import read_time
from engine.request.words import shown


@dataclass(frozen=True, slots=True)
class Reading:
    """How a document is read: under which limits, and with which defaults, if any.

    A stored one names everything, and is held to no rule that came after it was accepted.
    """

    limits: Limits
    defaults: Defaults | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the object that the table has at `path`."""

    field: Field
    path: str
    members: Mapping[str, Field]
    reading: Reading

    @classmethod
    def of(cls, field: Field, path: str, reading: Reading) -> "Members":
        """Read an object, refusing keys that the table does not have there."""
        return cls(field, path, known_members(field, path), reading)

    def entry(self, name: str) -> Entry:
        """Return what the table says about a member."""
        return TABLE.at(f"{self.path}.{name}".lstrip("."))

    def get(self, name: str, default: Any = REQUIRED, remedy: str = "") -> Field | None:
        """Return a member, or its default; None once it was refused as missing.

        `default` is one that the table only describes, `remedy` what to do when there is none.
        """
        if name in self.members:
            return self.members[name]
        entry = self.entry(name)
        if self.reading.defaults is not None:
            if default is REQUIRED:
                default = entry.default_of(self.reading.defaults)
            if default is not REQUIRED:
                return self.field.member(name, default)
        if isinstance(self.field.value, Mapping):
            self.field.member(name, None).refuse(f"is missing: {remedy or wanted(entry)}")
        return None

    def read(self, name: str, default: Any = REQUIRED, remedy: str = "") -> Any:
        """Return the value of a member as the table wants it; None once it was refused."""
        field = self.get(name, default, remedy)
        if field is None:
            return None
        entry = self.entry(name)
        value = read_value(field, entry)
        defaults = self.reading.defaults
        if defaults is not None and entry.most is not None and value is not None:
            most = getattr(defaults, entry.most.name)
            if value > most:
                field.refuse(f"must be at most {most} ({entry.most.key}), got {shown(value)}")
        return value

    def object(self, name: str) -> "Members":
        """Return a member that is an object; one without members once it was refused."""
        path = self.entry(name).path
        member = self.get(name)
        if member is None:  # its absence is the error, not that of its members
            return Members(Field(None, "", []), path, {}, self.reading)
        return Members.of(member, path, self.reading)


def known_members(field: Field, path: str, keys: Sequence[str] = ()) -> dict[str, Field]:
    """Return the members of an object whose keys are known, having refused the others.

    The keys are those that the table has at `path`, or of them only `keys`.
    """
    names = keys or TABLE.keys(path)
    found = field.all_members()
    for key, member in found.items():
        if key not in names:
            member.refuse("unknown key", hint=partial(misplaced, key, path, names, field.path))
    return {key: member for key, member in found.items() if key in names}


def read_value(field: Field, entry: Entry) -> Any:
    """Return a plain value as its entry in the table wants it; None once it was refused."""
    if entry.null and field.value is None:
        return None
    if field.value in entry.texts and isinstance(field.value, str):
        return field.value
    match entry.type:
        case "integer":
            return field.whole(entry.bounds)
        case "number":
            return _read_number(field, entry)
        case "boolean":
            return field.boolean()
        case "text":
            return field.text(entry.pattern)
        case "choice":
            return read_choice(field, entry.choices, entry.noun)
        case "time":
            return read_time(field)
    raise ValueError(f"{entry.path} is no plain value")


def _read_number(field: Field, entry: Entry) -> float | None:
    if entry.texts and isinstance(field.value, str):
        words = " or ".join(map(shown, entry.texts))
        field.refuse(f"must be a number or {words}, got {shown(field.value)}")
        return None
    return field.number(entry.bounds)


def read_choice(field: Field, choices: Sequence[str], noun: str) -> str | None:
    """Return one of `choices`; `noun` is what one of them is called."""
    value = field.value
    if not isinstance(value, str):
        field.refuse(f"must be a string, the {noun}, got {shown(value)}")
        return None
    if value not in choices:
        field.refuse(f"unknown {noun} {shown(value)}", hint=partial(suggestion, value, choices))
        return None
    return value


def wanted(entry: Entry) -> str:
    """Return what to give for a field that is missing."""
    if entry.choices:
        return f"give one of {', '.join(entry.choices)}"
    if entry.type == "object":
        keys = [key for key in TABLE.keys(entry.path) if key.isidentifier()]
        return f"give an object with {', '.join(keys)}" if keys else "give an object of axes"
    return f"give it: {entry.sentence}"
