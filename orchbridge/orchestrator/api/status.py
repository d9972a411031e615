"""How the services are, as they say themselves (orchestrator API, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Reply, Value, read
from orchbridge.orchestrator.decoding import decoded
from orchbridge.orchestrator.errors import ServerFault
from orchbridge.orchestrator.models import Service
from orchbridge.orchestrator.models.common import Json

ROOT = "/status/v1"
_UNWELL = frozenset({503})  # a service that is not well says so with this status, and the same body


class Status:
    """`client.status`; needs no token. A service that is not well is an answer, not an error."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def services(self, *, level: str | None = None, timeout: int | None = None) -> Mapping[str, Service]:  # noqa: ASYNC109 - the server's
        """Return the services by name. `level` is critical, info or debug; `timeout` seconds, 30 by default.

        Raises Invalid for another level, ServerFault where nobody answers for them.
        """
        params: Mapping[str, Value] = {"level": level, "timeout": timeout}
        call = read("/services", params=params, root=ROOT, signed=False, answers=_UNWELL)
        return Service.read_all(self._object(call, await self._caller.reply(call)))

    async def service(self, name: str, *, level: str | None = None, timeout: int | None = None) -> Service:  # noqa: ASYNC109 - the server's
        """Return one service, such as orchestrator-service or broker-service. Raises NotFound for another name."""
        params: Mapping[str, Value] = {"level": level, "timeout": timeout}
        call = read("/services/:name", name, params=params, root=ROOT, signed=False, answers=_UNWELL)
        return Service.read(name, self._object(call, await self._caller.reply(call)))

    async def simple(self, name: str | None = None) -> str:
        """Return running, error or unknown, of one service or of all. Raises NotFound for an unknown name."""
        template, parts = ("/simple/:name", (name,)) if name else ("/simple", ())
        call = read(template, *parts, root=ROOT, signed=False, answers=_UNWELL)
        reply = await self._caller.reply(call)
        word = reply.body.decode("utf-8", "replace").strip()
        if not word.isalpha():
            raise self._fault(call, reply)
        return word

    def _object(self, call: Call, reply: Reply) -> Json:
        if reply.status == 503 and decoded(reply.body) is None:
            raise self._fault(call, reply)
        return self._caller.object(call, reply)

    def _fault(self, call: Call, reply: Reply) -> ServerFault:
        """Return the error of a 503 that somebody in between gave."""
        hint = "a proxy answered, or the services are starting: try again in a minute"
        return ServerFault("the answer is none of the status service's", hint=hint, status=reply.status, call=str(call))
