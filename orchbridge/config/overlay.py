"""Environment variables over the file: `ORCHBRIDGE_SINK__TYPE`, `ORCHBRIDGE_SOURCES__0__TOKEN_FILE`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchbridge.config.model import Settings
from orchbridge.config.problems import Path, Problem, closest, is_list, members

PREFIX = "ORCHBRIDGE_"
TESTS = "ORCHBRIDGE_TEST_"  # read by our own tests only

_ITEMS_MAX = 1_000


class Overlaid(NamedTuple):
    """The file's content with the environment's over it, where each such value came from, and what was wrong."""

    raw: dict[str, Any]
    origins: Mapping[Path, str]
    problems: tuple[Problem, ...]


def overlay(raw: Mapping[str, Any], environ: Mapping[str, str]) -> Overlaid:
    """Return the settings as written in the file and, stronger, in the environment.

    Names are case-insensitive after the prefix. Values stay text, the settings convert them; a
    list is written with commas, or item by item with `__0`, `__1`.
    """
    merged: dict[str, Any] = copy.deepcopy(dict(raw))
    origins: dict[Path, str] = {}
    problems: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name.startswith(TESTS):
            continue
        parts = name.removeprefix(PREFIX).lower().split("__")
        found = _resolve(parts, Settings)
        if isinstance(found, str):
            problems.append(Problem((name,), found))
        elif found.path in origins:
            problems.append(Problem((name,), f"says the same as {origins[found.path]}; remove one"))
        else:
            origins[found.path] = name
            value = environ[name]
            listed = is_list(found.field) and isinstance(found.path[-1], str)
            complaint = _put(merged, found.path, _items(value) if listed else value)
            if complaint:
                problems.append(Problem((name,), complaint))
    return Overlaid(merged, origins, tuple(problems))


class _Place(NamedTuple):
    path: Path
    field: FieldInfo


def _resolve(parts: list[str], model: type[BaseModel]) -> _Place | str:
    """Return the setting these parts name, or what is wrong with the name."""
    tables: tuple[type[BaseModel], ...] = (model,)
    path: list[str | int] = []
    field: FieldInfo | None = None
    rest = iter(parts)
    for part in rest:
        field = next((table.model_fields[part] for table in tables if part in table.model_fields), None)
        if field is None:
            return _unknown(parts)
        path.append(part)
        tables = tuple(members(field.annotation))
        if is_list(field):
            index = next(rest, None)
            if index is None:
                break
            if not (index.isascii() and index.isdigit() and int(index) < _ITEMS_MAX):
                return _unknown(parts)
            path.append(int(index))
        if not tables:
            break
    if field is None or next(rest, None) is not None:
        return _unknown(parts)
    if tables:
        item = ["0"] if is_list(field) and isinstance(path[-1], str) else []
        example = PREFIX + "__".join([*parts, *item, _first(tables)]).upper()
        return f"names a whole table; name one of its keys, such as {example}"
    return _Place(tuple(path), field)


def _first(tables: Iterable[type[BaseModel]]) -> str:
    return next(iter(next(iter(tables)).model_fields))


def _unknown(parts: list[str]) -> str:
    index = next((part for part in parts if part.isdigit()), "0")
    known = {name.replace("__0", f"__{index}", 1).removeprefix(PREFIX) for name in names()}
    meant = closest("__".join(parts).upper(), known)
    return f"is no setting; did you mean {PREFIX}{meant}?" if meant else "is no setting; remove it from the environment"


def names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the environment name of every setting, with index 0 for list items that are tables."""
    for name, field in model.model_fields.items():
        tables = list(members(field.annotation))
        if not tables:
            yield f"{prefix}{name.upper()}"
        item = "__0" if is_list(field) else ""
        for table in tables:
            yield from names(table, f"{prefix}{name.upper()}{item}__")


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _put(tree: dict[str, Any], path: Path, value: Any) -> str | None:
    """Set one value in place; return the complaint where an item before it is missing.

    Where the file has something else than a table or a list on the way, nothing is set: the
    settings complain about that themselves.
    """
    node: Any = tree
    for part, following in zip(path, (*path[1:], None), strict=True):
        fresh = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(part, int):
            if not isinstance(node, list):
                return None
            if part > len(node):
                return f"leaves out item {len(node)}; number items without gaps"
            if part == len(node):
                node.append(fresh)
        elif not isinstance(node, dict):
            return None
        elif part not in node:
            node[part] = fresh
        if following is None:
            node[part] = value
        node = node[part]
    return None
