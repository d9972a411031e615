"""What is wrong with a configuration, one line for each problem, with what to write instead."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from orchbridge.config.model import SINKS, Canary, Http, Log, Redaction, Settings, Source

Path: TypeAlias = tuple[str | int, ...]

_TABLES: dict[str, type[BaseModel]] = {
    "[[sources]]": Source,
    "[sources.canary]": Canary,
    "[http]": Http,
    "[log]": Log,
    "[redaction]": Redaction,
    **{f'[sink] of type "{type_}"': model for type_, model in SINKS.items()},
}
_QUIET = {"url", "rbac_url", "proxy", "job_url", "params"}  # may hold a password
_KINDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
}
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


class Problem(NamedTuple):
    """One thing to correct: where, and what to do."""

    path: Path
    text: str


def key(path: Path) -> str:
    """Return a path as people write it: `sources[0].poll_interval_s`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def members(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the tables an annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from members(argument)


def is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def complaints(error: ValidationError) -> Iterator[Problem]:
    """Yield a problem for each of a validation's errors; no value of a secret is in it."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # counts only the items that are in order; the others have their own lines
        path, model, field = _place(detail["loc"])
        if detail["type"].startswith("union_tag"):
            path = (*path, "type")
        yield Problem(path, _text(detail, path, model, field))


def _place(loc: Path) -> tuple[Path, type[BaseModel] | None, FieldInfo | None]:
    """Return the key's path, the table it stands in and its field, None where it is unknown."""
    path: list[str | int] = []
    model: type[BaseModel] | None = Settings
    table: type[BaseModel] | None = Settings
    field: FieldInfo | None = None
    for part in loc:
        if path == ["sink"] and part in SINKS and model is None:  # the union's tag is no key
            model = table = SINKS[str(part)]
            continue
        if isinstance(part, str):
            table, field = model, None if model is None else model.model_fields.get(part)
            tables = [] if field is None else list(members(field.annotation))
            model = tables[0] if len(tables) == 1 else None
        path.append(part)
    return tuple(path), table, field


def _text(detail: ErrorDetails, path: Path, model: type[BaseModel] | None, field: FieldInfo | None) -> str:
    kind, name = detail["type"], str(path[-1]) if path else ""
    limits: Mapping[str, Any] = detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(name, model)
    if kind.startswith("union_tag"):
        return 'must be "kafka", "jsonl" or "stdout"; write type = "kafka"'
    if kind == "value_error":
        length = field is not None and field.annotation is timedelta  # how long is a good one differs from key to key
        return f"{limits['error']}{_advice(path, field) if length else ''}"
    return f"{_wrong(kind, limits, detail, field)}{_shown(detail['input'], name, field, kind)}{_advice(path, field)}"


def _wrong(kind: str, limits: Mapping[str, Any], detail: ErrorDetails, field: FieldInfo | None) -> str:
    if kind == "missing":
        return "is missing"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"must be {words} {limits[limit]:g}"
    if kind == "literal_error":
        return "must be " + str(limits["expected"]).replace("'", '"')
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind in {"too_long", "string_too_long"}:
        return f"must not be longer than {limits['max_length']} {'items' if kind == 'too_long' else 'characters'}"
    if kind == "string_pattern_mismatch":
        return f"must be {_described(field) or limits['pattern']}"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _described(field: FieldInfo | None) -> str | None:
    """Return what a field, or each item of a list, has to look like in words."""
    if field is None:
        return None
    items = [each.description for each in _leaves(field.annotation) if isinstance(each, FieldInfo)]
    return field.description or next(filter(None, items), None)


def _shown(value: Any, name: str, field: FieldInfo | None, kind: str) -> str:
    """Return the value found, where it is short, plain and cannot be a secret."""
    secret = field is None or SecretStr in _leaves(field.annotation) or name in _QUIET
    if secret or kind in {"missing", "too_short", "string_too_short"}:
        return ""
    if not isinstance(value, str | int | float) or len(str(value)) > 60:
        return ""
    return f", not {_toml(value)}"


def _leaves(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _leaves(argument)


def _advice(path: Path, field: FieldInfo | None) -> str:
    """Return what to write instead: the field's example, else its default."""
    if field is None:
        return ""
    name = str(next(part for part in reversed(path) if isinstance(part, str)))
    if list(members(field.annotation)):
        table = ".".join(part for part in path if isinstance(part, str))
        return f"; write a table [[{table}]]" if is_list(field) else f"; write a table [{table}]"
    example = field.examples[0] if field.examples else field.get_default()
    if example is None or (field.is_required() and not field.examples):
        return ""
    return f"; write {name} = {_toml(example)}"


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else f"{value}"


def _unknown(name: str, model: type[BaseModel] | None) -> str:
    """Return the complaint about a key nobody reads, with the one that was probably meant."""
    known = [] if model is None else list(model.model_fields)
    meant = closest(name, known)
    if meant:
        return f"unknown key; did you mean {meant}?"
    homes = [table for table, other in _TABLES.items() if name in other.model_fields]
    if homes:
        return f"unknown key here; it belongs in {homes[0]}"
    return f"unknown key; known are {', '.join(known)}"
