"""The JSON Schema of a request as people may write it, made of the table that the reader reads by.

It says what can be said of one field at a time: whatever it refuses the reader refuses too. What
hangs together (a range that ends after it starts, parameters that an output does not use, limits of
size) only the reader knows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.indicators import registry
from engine.indicators.declaration import Indicator, Param
from engine.request.block_entries import AXES, BLOCK, EXIT_GRIDS, EXPLICIT, GRIDS, RANGE
from engine.request.bounds import LARGEST, MAX_BLOCKS, MAX_LISTED, Bounds
from engine.request.entries import TABLE
from engine.request.label import MAX_NAME, MAX_NOTE
from engine.request.model import Defaults
from engine.request.saved import ID_PATTERN
from engine.request.table import ANY, REQUIRED, UNSHOWN, Derived, Entry, Setting, Table
from engine.request.times import SPELLINGS

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_LABEL: Schema = {
    "name": {
        "type": ["string", "null"],
        "minLength": 1,
        "maxLength": MAX_NAME,
        "description": "What the job is called; it changes no result and no hash.",
    },
    "note": {
        "type": ["string", "null"],
        "maxLength": MAX_NOTE,
        "description": "Whatever is to be remembered about the job.",
    },
}


def json_schema(
    defaults: Defaults, *, table: Table = TABLE, catalogue: Sequence[Indicator] | None = None
) -> Schema:
    """Return the schema (draft 2020-12) of what may be submitted: a request, or a saved strategy.

    It has no references, so that it can stand inside another document.
    """
    indicators = registry.catalogue() if catalogue is None else catalogue
    return {
        "$schema": DIALECT,
        "title": "Request for a sweep",
        "anyOf": [_Schema(defaults, table, indicators).request(), _saved()],
    }


def _saved() -> Schema:
    return {
        "title": "Saved strategy",
        "type": "object",
        "properties": {
            "strategy_id": {
                "type": "string",
                "pattern": f"^{ID_PATTERN}$",
                "description": "The saved strategy whose template is run.",
            },
            "overrides": {
                "type": "object",
                "default": {},
                "description": 'What is different: an RFC 7396 patch on {"template": saved}. The '
                "time range stands here too.",
            },
            **_LABEL,
        },
        "required": ["strategy_id"],
        "additionalProperties": False,
    }


class _Schema:
    """A table of fields on its way to become a schema."""

    def __init__(self, defaults: Defaults, table: Table, indicators: Sequence[Indicator]) -> None:
        self.defaults = defaults
        self.table = table
        self.indicators = indicators

    def request(self) -> Schema:
        whole = self.object("")
        whole["properties"] |= _LABEL
        return {"title": "Request", **whole}

    def object(self, path: str) -> Schema:
        entries = [self.table.at(f"{path}.{name}".lstrip(".")) for name in self.table.keys(path)]
        return {
            "type": "object",
            "properties": {entry.name: self.field(entry) for entry in entries},
            "required": [entry.name for entry in entries if entry.default is REQUIRED],
            "additionalProperties": False,
        }

    def field(self, entry: Entry) -> Schema:
        """Return the schema of a field with all that the table says about it."""
        schema = {"description": entry.sentence, **self.value(entry)}
        default = entry.default_of(self.defaults)
        if isinstance(entry.default, Derived):
            schema["description"] += f" Default: {entry.default.words}."
        elif isinstance(entry.default, Setting) and entry.default.by:
            schema["description"] += f" Default: that of the {entry.default.by}."
        elif default is not REQUIRED:
            schema["default"] = default
        if entry.example is not UNSHOWN:
            schema["examples"] = [entry.example]
        return schema

    def value(self, entry: Entry) -> Schema:
        """Return what a field may be."""
        match entry.type:
            case "object":
                found = self.axes(entry) if entry.path in AXES else self.object(entry.path)
                return _or_null(found) if entry.null else found
            case "array":
                return {"type": "array", "minItems": 1, **self.items(entry)}
            case "axis":
                return self.axis(_scalar(entry, _limits(entry.bounds)), ranged=not entry.choices)
            case "integer" | "number":
                most = None if entry.most is None else getattr(self.defaults, entry.most.name)
                number = _scalar(entry, _limits(entry.bounds, most))
                return _or_texts(number, entry.texts)
            case "boolean":
                return {"type": "boolean"}
            case "time":
                kind = ["string", "null"] if entry.null else "string"
                return {"type": kind, "pattern": f"^(?:{SPELLINGS})$"}
        return _scalar(entry, {})

    def items(self, entry: Entry) -> Schema:
        """Return what the items of an array are; those of an axis depend on the axis."""
        if entry.path not in (GRIDS, EXIT_GRIDS):
            return {"maxItems": MAX_LISTED, "uniqueItems": True}
        block = self.object(BLOCK)
        ids = [indicator.id for indicator in self.indicators]
        block["properties"]["indicator_id"] |= {"enum": ids}
        fewest = {"minItems": 0} if entry.path == EXIT_GRIDS else {}
        return {**fewest, "maxItems": MAX_BLOCKS, "items": block}

    def axes(self, entry: Entry) -> Schema:
        """Return an object of axes: of every parameter that some indicator has."""
        named: dict[str, dict[Param, list[str]]] = {}
        for indicator in self.indicators:
            owned = indicator.params if entry.path == AXES[0] else indicator.signal_params.values()
            for param in owned:
                named.setdefault(param.name, {}).setdefault(param, []).append(indicator.id)
        any_of_them = self.table.at(f"{entry.path}.{ANY}")
        return {
            "type": "object",
            "properties": {name: self.parameter(owners) for name, owners in sorted(named.items())},
            "additionalProperties": False,
            "examples": [any_of_them.example],
        }

    def parameter(self, owners: Mapping[Param, list[str]]) -> Schema:
        """Return the axis of a parameter, as wide as the widest of the indicators that have it."""
        kinds: dict[tuple[str, tuple[str, ...]], list[Param]] = {}
        for param in owners:
            kinds.setdefault((param.kind, param.choices), []).append(param)
        forms = [
            self.axis(_item(kind, choices, params), ranged=kind != "choice")
            for (kind, choices), params in kinds.items()
        ]
        ids = sorted({name for names in owners.values() for name in names})
        told = {"description": f"Values of a parameter of {', '.join(ids)}."}
        return told | (forms[0] if len(forms) == 1 else {"anyOf": forms})

    def axis(self, item: Schema, *, ranged: bool) -> Schema:
        """Return all spellings of an axis: a value, an array, an object."""
        explicit = self.form(EXPLICIT)
        explicit["properties"]["values"] |= {"items": item}
        array = {key: explicit["properties"]["values"][key] for key in _ARRAY}
        forms = [item, array, explicit]
        if ranged:
            number = {**item, "type": "integer" if item["type"] == "integer" else "number"}
            steps = self.form(RANGE)
            for name in ("start", "stop_incl"):
                steps["properties"][name] |= number
            steps["properties"]["step"] |= {"type": number["type"]}
            forms.append(steps)
        return {"anyOf": forms}

    def form(self, path: str) -> Schema:
        """Return an axis that is an object, without the examples of one axis that the table has."""
        form = self.object(path)
        for member in form["properties"].values():
            member.pop("examples", None)
        return form


_ARRAY = ("type", "items", "minItems", "maxItems", "uniqueItems")


def _scalar(entry: Entry, limits: Schema) -> Schema:
    kind: str | list[str] = "string"
    if entry.type in ("integer", "number"):
        kind = entry.type
    elif entry.type == "axis" and not entry.choices:
        kind = "number"
    schema: Schema = {"type": [kind, "null"] if entry.null else kind}
    if entry.choices:
        schema["enum"] = [*entry.choices, *([None] if entry.null else [])]
    if entry.pattern is not None:
        schema["pattern"] = f"^(?:{entry.pattern.expression})$"
    return schema | (limits if kind in ("integer", "number") else {})


def _or_null(found: Schema) -> Schema:
    """Return an object that null may stand for; as alternatives, each says what it may hold."""
    return {"anyOf": [found, {"type": "null"}]}


def _or_texts(number: Schema, texts: Sequence[str]) -> Schema:
    """Return a number, or one of the words that may stand in its place."""
    return {"anyOf": [number, {"enum": list(texts)}]} if texts else number


def _item(kind: str, choices: Sequence[str], params: Iterable[Param]) -> Schema:
    if kind == "choice":
        return {"type": "string", "enum": list(choices)}
    lowest, highest = [], []
    for param in params:
        lowest.append(-LARGEST if param.minimum is None else param.minimum)
        highest.append(LARGEST if param.maximum is None else param.maximum)
    limits = _limits(Bounds(minimum=min(lowest), maximum=max(highest)))
    return {"type": "integer" if kind == "int" else "number", **limits}


def _limits(bounds: Bounds, most: float | None = None) -> Schema:
    """Return bounds as a schema has them; no number is beyond what the reader takes anywhere."""
    if bounds.above is not None:
        limits: dict[str, float] = {"exclusiveMinimum": bounds.above}
    else:
        limits = {"minimum": -LARGEST if bounds.minimum is None else bounds.minimum}
    if bounds.below is not None:
        limits["exclusiveMaximum"] = bounds.below
    else:
        limits["maximum"] = min(x for x in (bounds.maximum, most, LARGEST) if x is not None)
    return {name: int(value) if value == int(value) else value for name, value in limits.items()}
