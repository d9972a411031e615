"""Sends the calls of the public client: one answer, or one error as a value, never a blind second try."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx

from orchbridge.orchestrator import errors
from orchbridge.orchestrator.access import MEBIBYTE, ROOT, Access
from orchbridge.orchestrator.body import Body
from orchbridge.orchestrator.calls import Call, Reply
from orchbridge.orchestrator.decoding import decoded
from orchbridge.orchestrator.denials import Denials
from orchbridge.orchestrator.exchange import ERROR_BYTES_MAX, Exchange
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.large import unread
from orchbridge.orchestrator.reach import before_answer
from orchbridge.orchestrator.refusals import broken, denied, look_of, malformed, refusal
from orchbridge.orchestrator.share import Slots
from orchbridge.orchestrator.tokens import Token

RETRIES = 2
PAUSE_S = (0.1, 0.5)
PAUSE_MAX_S = 5.0
BODY_BYTES_MAX = 128 * MEBIBYTE  # decoded at once; a page or one job's events, not history
_PASSING = {429, 502, 503, 504}


class Caller:
    """What all namespaces of a client share: its places, token, budget, observer and denials."""

    def __init__(
        self, access: Access, token: Token, denials: Denials, slots: Slots, exchange: Callable[[], Exchange]
    ) -> None:
        self._access = access
        self._token = token
        self._denials = denials
        self._slots = slots
        self._exchange = exchange

    async def told(self, call: Call) -> dict[str, Any]:
        """Return the object that was answered; raise ApiError."""
        return self.object(call, await self.reply(call))

    async def reply(self, call: Call) -> Reply:
        """Return the answer; raise ApiError."""
        outcome = await self.outcome(call)
        if isinstance(outcome, errors.ApiError):
            raise outcome
        return outcome

    def object(self, call: Call, reply: Reply) -> dict[str, Any]:
        """Return the JSON object of an answer; raise Malformed where it is none."""
        told = decoded(reply.body)
        if told is None:
            look = look_of(reply.body, lambda text: self._token.hide(call.hidden.text(text)))
            raise malformed(call, f"the answer is not what was asked for: {look}")
        return told

    async def outcome(self, call: Call) -> Reply | errors.ApiError:
        """Return the answer, or what came instead of it."""
        async with self._slots:
            standing = self._denials.standing() if call.signed else None
            if standing:
                return denied(Denial(standing.kind, str(standing), standing.hint, everything=True), call)
            try:
                async with asyncio.timeout(self._access.total_s) as deadline:
                    return await self._authorised(call, deadline)
            except TimeoutError as error:
                return broken(call, self._exchange().access, error, sent=True)

    async def _authorised(self, call: Call, deadline: asyncio.Timeout) -> Reply | errors.ApiError:
        """Send with the token; on a refusal read its file again, and send once more if it holds another.

        A refused token means that nothing was done, so a command may be sent again as well.
        """
        if not call.signed:
            return await self._persistent(call, deadline)
        refused = self._token.read_if_changed()
        if refused:
            return denied(refused, call)
        used = self._token.generation
        outcome = await self._persistent(call, deadline)
        if not isinstance(outcome, errors.TokenRefused):
            return outcome
        refused = self._token.read()
        if not refused and self._token.generation != used:
            outcome = await self._persistent(call, deadline)
        if isinstance(outcome, errors.TokenRefused) and call.request.path.startswith(ROOT):
            self._denials.add(Denial(outcome.kind, str(outcome), outcome.hint, everything=True), call.request.endpoint)
        return outcome

    async def _persistent(self, call: Call, deadline: asyncio.Timeout) -> Reply | errors.ApiError:
        """Try a read again where that may help; anything else only where it was never sent."""
        attempt = 0
        while True:
            outcome = await self._once(call, deadline)
            pause_s = random.uniform(*PAUSE_S)  # noqa: S311 - jitter, not a secret
            if attempt == RETRIES or not isinstance(outcome, errors.Unavailable):
                return outcome
            if not (_passing(outcome) and (call.again or _never_sent(outcome))):
                return outcome
            attempt += 1
            await asyncio.sleep(min(PAUSE_MAX_S, outcome.retry_after_s or pause_s))

    async def _once(self, call: Call, deadline: asyncio.Timeout) -> Reply | errors.ApiError:
        async def read(response: httpx.Response, body: Body) -> Reply | errors.ApiError:
            return await self._read(call, response, body)

        request, exchange = call.request, self._exchange()
        try:
            return await exchange.send(
                request, request.params[0], deadline, read, signed=call.signed, fresh=not call.again
            )
        except (httpx.TransportError, OSError) as error:
            found = broken(call, exchange.access, error, sent=True)
            # Why it broke is in the text; the error itself holds what was being written.
            found.lasting = not before_answer(error)
            return found

    async def _read(self, call: Call, response: httpx.Response, body: Body) -> Reply | errors.ApiError:
        fine = response.is_success or response.status_code in call.answers
        limit = BODY_BYTES_MAX if fine else ERROR_BYTES_MAX
        taken: list[bytes] = []
        async with aclosing(body.chunks()) as pieces:
            async for piece in pieces:
                taken.append(piece)
                if body.count > limit:
                    break
        whole = b"".join(taken)
        if not fine:
            return refusal(call, self._access, self._token, response.status_code, response.headers, whole)
        trouble = unread(body)
        if trouble or body.count > limit:
            return malformed(call, trouble.explanation if trouble else f"the answer is larger than {limit} bytes")
        return Reply(response.status_code, whole)


def _passing(outcome: errors.Unavailable) -> bool:
    """Whether the next try may fare better."""
    if isinstance(outcome, errors.Unreachable):
        return not outcome.lasting and not isinstance(outcome, errors.TooSlow)
    return outcome.status in _PASSING or outcome.word == "server-error"


def _never_sent(outcome: errors.Unavailable) -> bool:
    return isinstance(outcome, errors.Unreachable) and outcome.status is None and not outcome.sent
