"""YAML files read strictly, and the one-line errors that every bad setting ends in."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.errors import SettingsError
from configs.one_line import one_line


class _UniqueKeys(yaml.SafeLoader):
    """A loader for which a key given twice is an error: YAML would keep the last one silently."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a plain value", key_node.start_mark
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(file: Path) -> Any:
    """Return the document in `file`; raises SettingsError naming the file, line and column."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{file}: there is no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{file}: cannot be read ({reason})") from None
    try:
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise SettingsError(f"{file}:{where} invalid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SettingsError(f"{file}: invalid YAML: {one_line(error)}") from None


def refusals(error: ValidationError) -> str:
    """Return every problem of a document as `key.path: what is wrong`, joined by semicolons."""
    first: dict[str, str] = {}  # one message per key: a union would repeat it for every branch
    for problem in error.errors(include_url=False):
        path, message = _refusal(problem["loc"], problem)
        first.setdefault(path, message)
    return "; ".join(f"{path}: {message}" for path, message in sorted(first.items()))


# What pydantic adds to the path of a key in a union or a mapping, and no file contains.
_TAGS = frozenset({"[key]", "int", "float", "str"})


def _refusal(location: tuple[int | str, ...], problem: Any) -> tuple[str, str]:
    path = ".".join(str(part) for part in location if part not in _TAGS)
    message = str(problem["msg"]).removeprefix("Input ")
    if problem["type"] == "missing":
        return path, "this key is required and missing"
    if problem["type"] == "extra_forbidden":
        return path, "unknown key"
    if problem["type"] == "value_error":  # a rule of ours between keys: "key|message"
        key, _, message = message.removeprefix("Value error, ").partition("|")
        return f"{path}.{key}", message
    return path or "the document", f"{message}, got {_shown(problem.get('input'))}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
