"""Which nodes a command is about, as options say it, and in words for the question before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchbridge.cli.pe.telling import counted, short
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Scope

NAMES_MAX = 10
WAYS = "--nodes a,b, --query PQL or --node-group UUID"


def scope_of(nodes: Sequence[str], query: str | None, node_group: str | None) -> Scope:
    """Return the scope; raise ConfigError where none is given, or more than one."""
    given = [name for name, value in (("--nodes", nodes), ("--query", query), ("--node-group", node_group)) if value]
    if not given:
        raise ConfigError("on which nodes?", hint=f"name them with one of {WAYS}")
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} both say on which nodes; nothing was started", hint=f"give one of {WAYS}"
        )
    if nodes:
        return Scope(nodes=names_of(nodes))
    return Scope(query=query) if query else Scope(node_group=node_group)


def names_of(given: Sequence[str]) -> tuple[str, ...]:
    """Return certnames, each once, of comma lists and of files with one or more a line."""
    found: list[str] = []
    for text in given:
        if text.startswith("@"):
            try:
                text = Path(text[1:]).expanduser().read_text(encoding="utf-8")  # noqa: PLW2901
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise ConfigError(
                    f"--nodes {text}: the file cannot be read: {reason}", hint="--nodes @FILE reads FILE"
                ) from None
        found += text.replace(",", " ").split()
    if not found:
        raise ConfigError("--nodes names no node", hint="write --nodes a.example.com,b.example.com")
    return tuple(dict.fromkeys(found))


def words(scope: Scope) -> str:
    """Return which nodes these are: `2 nodes: a, b`."""
    if scope.nodes is not None:
        names = ", ".join(scope.nodes[:NAMES_MAX])
        more = len(scope.nodes) - NAMES_MAX
        return f"{counted(len(scope.nodes), 'node')}: {names}" + (f" and {more} more" if more > 0 else "")
    if scope.query is not None:
        return f"every node the query finds (only PuppetDB knows how many): {short(str(scope.query), 200)}"
    return f"every node of node group {scope.node_group} (only the server knows how many)"


async def absent(client: Client, scope: Scope) -> tuple[str, ...]:
    """Return which of the named nodes are not connected now; () where nobody can tell."""
    if scope.nodes is None:
        return ()
    try:
        rows = await client.inventory.of(scope.nodes)
    except errors.ApiError:
        return ()
    connected = {row.name for row in rows if row.connected}
    return tuple(name for name in scope.nodes if name not in connected)
