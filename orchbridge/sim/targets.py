"""Which nodes a scope means (reference 3, 5): names, queries, node groups and what older releases had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchbridge.sim import releases
from orchbridge.sim.catalogue import CYCLIC_APPLICATION
from orchbridge.sim.problems import Problem, denied, invalid

if TYPE_CHECKING:
    from orchbridge.sim.orders import Asker

_PQL = re.compile(r"\s*[a-z_]+\s*(\[[^\]]*\]\s*)?\{(.*)\}\s*", re.DOTALL)
_CERTNAME = re.compile(r'certname\s*(=|~|in)\s*(\[[^\]]*\]|"[^"]*")')
_QUOTED = re.compile(r'"([^"]*)"')
SCOPES = ("nodes", "query", "node_group", "application", "whole_environment")


def nodes_of(by: Asker, scope: Mapping[str, Any], environment: str) -> list[str] | Problem:
    """Return the certnames that a scope means; what nothing matches is a refusal too."""
    keys = [key for key in SCOPES if scope.get(key) is not None]
    if len(keys) != 1 or scope.keys() - set(SCOPES):
        return invalid("scope must be one of nodes, query and node_group")
    found = _found(by, keys[0], scope[keys[0]], environment)
    if isinstance(found, Problem) or found:
        return found
    details = {"environment": environment, "target": keys[0]}
    return Problem(400, "empty-target", "The target resolves to no nodes", details)


def _found(by: Asker, key: str, value: Any, environment: str) -> list[str] | Problem:
    knobs, known = by.world.knobs, sorted(by.world.agents)
    match key, value:
        case "nodes", list(names) if knobs.has(releases.SCOPE) and all(isinstance(name, str) for name in names):
            return list(dict.fromkeys(names))
        case "query", _ if knobs.has(releases.SCOPE):
            return queried(by, value)
        case "node_group", str(group) if knobs.has(releases.NODE_GROUPS):
            if not by.user.may(f"node_groups:view:{group}"):
                return denied(f"You are not permitted to view the node group {group}")
            return known
        case "application", str(name) if knobs.has(releases.APPLICATIONS):
            if name.partition("[")[0] == CYCLIC_APPLICATION:
                details = {"environment": environment}
                return Problem(400, "dependency-cycle", f"The application {name} depends on itself", details)
            return known
        case "whole_environment", True if knobs.has(releases.WHOLE_ENVIRONMENT):
            return known
    return invalid(f"This release does not take {key} like this in a scope")


def queried(by: Asker, query: Any) -> list[str] | Problem:
    """Return the nodes that a PQL text or a syntax tree matches. What it says of other fields than certname is
    taken for true, but for quoted texts, which must be in the name."""
    if not by.user.may("nodes:view_data:*"):
        return Problem(400, "query-error", "You are not permitted to query PuppetDB")
    if by.world.knobs.puppetdb == "down":
        return Problem(400, "puppetdb-error", "PuppetDB cannot be reached")
    known = sorted(by.world.agents)
    try:
        if isinstance(query, list):
            return [node for node in known if _holds(query, node)]
        match = _PQL.fullmatch(query) if isinstance(query, str) else None
        if match is None or match[2].count('"') % 2 or match[2].count("{") != match[2].count("}"):
            return Problem(400, "query-error", f"The query cannot be parsed: {str(query)[:200]!r}")
        wanted = list(_patterns(match[2]))
        return [node for node in known if not wanted or any(re.search(one, node) for one in wanted)]
    except (re.error, ValueError, TypeError, IndexError):
        return Problem(400, "query-error", f"The query cannot be parsed: {str(query)[:200]!r}")


def _patterns(text: str) -> Iterator[str]:
    for operator, value in _CERTNAME.findall(text):
        for name in _QUOTED.findall(value):
            yield name if operator == "~" else f"^{re.escape(name)}$"
    for name in _QUOTED.findall(_CERTNAME.sub("", text)):
        yield re.escape(name)


def _holds(tree: list[Any], node: str) -> bool:
    operator, *rest = tree
    match operator:
        case "and":
            return all(_holds(one, node) for one in rest)
        case "or":
            return any(_holds(one, node) for one in rest)
        case "not":
            return not _holds(rest[0], node)
        case "from":
            return len(rest) < 2 or _holds(rest[1], node)
        case "=" | "~" | "in" | "null?" | ">" | "<" | ">=" | "<=":
            if rest[0] != "certname":
                return True
            if operator == "~":
                return re.search(rest[1], node) is not None
            return node in rest[1][1] if operator == "in" else node == rest[1]
    raise ValueError(f"no operator {operator!r}")
