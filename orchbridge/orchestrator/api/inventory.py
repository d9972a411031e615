"""Which nodes are connected to the brokers (orchestrator API, section 9)."""

from __future__ import annotations

from collections.abc import Sequence

from orchbridge.orchestrator.api.paging import all_made, made
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, encoded, read, send
from orchbridge.orchestrator.errors import NotFound, Unsupported
from orchbridge.orchestrator.models import Connection

NAMES_AT_ONCE = 1_000


class Inventory:
    """`client.inventory`; since 2016.5. Needs orchestrator:view:*.

    Everything here raises BrokerDown while the PCP broker cannot be reached: then it is unknown
    which nodes are connected. `connected` can lag behind by up to 15 minutes.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def all(self) -> tuple[Connection, ...]:
        """Return the nodes that are connected now, in one answer; tens of thousands are possible.

        An empty answer while brokers start does not mean that all nodes left: look at
        `client.status.service("broker-service")`.
        """
        return await self._told(read("/inventory"))

    async def one(self, node: str) -> Connection:
        """Return one node; `connected` is False for one that nobody knows."""
        call = read("/inventory/:node", node)
        try:
            return made(call, await self._caller.told(call), Connection.read)
        except Unsupported:
            raise
        except NotFound:
            return Connection(node, connected=False, broker=None, since=None, raw={})

    async def of(self, nodes: Sequence[str]) -> tuple[Connection, ...]:
        """Return these nodes, connected or not, in no particular order; asked for by the thousand."""
        found: list[Connection] = []
        for start in range(0, len(nodes), NAMES_AT_ONCE):
            content = encoded({"nodes": list(nodes[start : start + NAMES_AT_ONCE])})
            found.extend(await self._told(send("/inventory", content=content, again=True)))
        return tuple(found)

    async def _told(self, call: Call) -> tuple[Connection, ...]:
        return all_made(call, await self._caller.told(call), Connection.read)
