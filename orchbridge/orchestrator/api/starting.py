"""Commands that start something: sent once, and looked for where their answer is lost.

There is no idempotency key (orchestrator API, section 5). So before such a command is sent, the list
that will show what it starts is looked at; the command carries a nonce in its userdata where the
version keeps that; and without an answer the list is looked at again, a few times, down to where it
stood. What carries the nonce was started by us. Where nothing does, and the server itself has
answered that it failed, nothing was started, and only then is that said.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Literal, TypeAlias

from orchbridge.orchestrator import errors, fields
from orchbridge.orchestrator.api.drafts import Draft
from orchbridge.orchestrator.api.shelves import NONCE, Footing, Shelf, Sight, footing, look
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Reply, encoded, send
from orchbridge.orchestrator.decoding import decoded
from orchbridge.orchestrator.models.common import Ref

LOOKS_S = (0.0, 0.5, 1.0, 2.0, 4.0)  # pauses before the looks: what was committed shows within them

NAMED_MAX = 5
PE = "puppetlabs."  # what the kinds of PE's own errors begin with

Doubt: TypeAlias = Literal["none", "settled", "pending", "accepted"]


async def start(caller: Caller, draft: Draft, *shelves: Shelf) -> Ref:
    """Send a command and return what it made; the first shelf that this version has will show it.

    Raises NotStarted where PE itself failed and certainly nothing was started, Uncertain where
    something may have been, and any other ApiError where the server refused.
    """
    for shelf in shelves:
        before = await footing(caller, shelf)
        if before is not None:
            break
    carries = before is not None and before.carries is not False and shelf.keeps_userdata
    nonce = secrets.token_hex(16) if carries else ""
    call = _call(draft, nonce)
    outcome = await caller.outcome(call)
    unasked = before is not None and before.carries is None and "userdata" not in draft.body
    if nonce and unasked and isinstance(outcome, errors.Invalid):
        # An empty list does not tell whether userdata is known. The refusal means that nothing was started.
        nonce, call = "", _call(draft, "")
        outcome = await caller.outcome(call)
    if isinstance(outcome, Reply):
        made = made_id(outcome)
        if made is not None:
            return Ref(made)
    kind = doubt(outcome)
    if kind == "none" and isinstance(outcome, errors.ApiError):
        raise outcome
    return await _found(caller, draft, shelf, before, nonce, call, outcome, kind)


async def once(caller: Caller, call: Call, subject: str) -> Reply:
    """Send what changes something but starts nothing, and is not to be sent twice; raise ApiError.

    `subject` is what there is to look at where the answer is lost.
    """
    outcome = await caller.outcome(call)
    if isinstance(outcome, Reply):
        return outcome
    if doubt(outcome) == "none":
        raise outcome
    raise errors.Uncertain(
        f"no answer that tells whether it was done: {outcome.message}",
        hint=f"look at {subject} before you try again",
        status=outcome.status,
        kind=outcome.kind,
        call=str(call),
    )


def doubt(outcome: Reply | errors.ApiError) -> Doubt:
    """Return what an outcome says about whether a command was carried out.

    none      it certainly was not
    settled   it may have been, and the server has done with it: whatever it did, it did
    pending   it may have been, and the server may still be at it
    accepted  the server said yes, but not to what
    """
    match outcome:
        case Reply():
            return "accepted"
        case errors.Unreachable(status=None):
            if not outcome.sent:
                return "none"
            return "pending"  # who cut it, the server or something on the way, cannot be told
        case errors.Malformed(status=None):
            return "accepted"
        case errors.ApiError(status=int(status)) if status in {408, 504}:
            return "pending"
        case errors.ApiError(status=int(status)) if status >= 500 and outcome.word != "plan-already-finished":
            # Without a kind of PE's it is a balancer's or proxy's, which knows nothing of what is behind it.
            return "settled" if outcome.kind.startswith(PE) else "pending"
        case _:
            return "none"


def made_id(reply: Reply) -> int | None:
    """Return the id of what was made: bare, or in an object whose name differs between commands."""
    told = decoded(reply.body)
    if told is None:
        return None
    for name in ("job", "scheduled_job", "task_target"):
        if isinstance(told.get(name), dict):
            return fields.own_id(told[name])
    return fields.own_id(told)


def _call(draft: Draft, nonce: str) -> Call:
    mark = {"userdata": {**(draft.body.get("userdata") or {}), NONCE: nonce}} if nonce else {}
    content = encoded({**draft.body, **mark})
    return send(draft.template, content=content, hidden=draft.hidden)


async def _found(
    caller: Caller,
    draft: Draft,
    shelf: Shelf,
    before: Footing | None,
    nonce: str,
    call: Call,
    outcome: Reply | errors.ApiError,
    kind: Doubt,
) -> Ref:
    """Look for what may have been started; return it, or raise what can be said."""
    sight = Sight()
    for pause_s in LOOKS_S:
        if before is None:
            break
        await asyncio.sleep(pause_s)
        seen = await look(caller, shelf, before, draft, nonce)
        if seen.own is not None:
            return Ref(seen.own, recovered=True)
        if seen.whole or not sight.candidates:
            sight = seen  # the last one that shows something: ours may come after a stranger's
    why = outcome.message if isinstance(outcome, errors.ApiError) else "the answer does not tell what was started"
    status = outcome.status
    if kind == "settled" and sight.whole and not sight.candidates:
        raise errors.NotStarted(
            f"{why}; nothing was started", hint="it may be sent again", status=status, call=str(call)
        )
    raise _uncertain(why, status, call, shelf, nonce, sight)


def _uncertain(why: str, status: int | None, call: Call, shelf: Shelf, nonce: str, sight: Sight) -> errors.Uncertain:
    where = shelf.template
    if sight.candidates:
        which = ", ".join(sight.notes[:NAMED_MAX])
        message = f"{why}; it may have started {which}, which fits but carries no proof"
        hint = f"look at {where}/{sight.candidates[0]}, its owner and its time, before you try again"
    else:
        message = f"{why}; it may have been carried out, or still be"
        proof = f' for userdata with "{NONCE}": "{nonce}"' if nonce else ""
        hint = f"look through {where}{proof} before you try again"
    error = errors.Uncertain(message, hint=hint, status=status, call=str(call))
    error.candidates = sight.candidates
    error.nonce = nonce
    return error
