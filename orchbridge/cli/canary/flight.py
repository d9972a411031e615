"""One flight of a canary, from the command to the commit. Whatever happens is its outcome, never an exception."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchbridge.cli.canary.errand import Errand
from orchbridge.cli.canary.perch import Landed, Perch
from orchbridge.core.errors import OrchbridgeError
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Scope

MARK = "orchbridge canary"  # the description of its jobs: for people, and to know one that still flies


@dataclass(frozen=True, slots=True)
class Flown:
    """How it went: `reason` is one of the catalogue's, "" for success. No value of a parameter is in it.

    `elsewhere` is that one of another worker still flies, so that none was sent.
    """

    reason: str = ""
    seconds: float = 0.0
    job: int | None = None
    recovered: bool = False
    elsewhere: bool = False
    error: str = ""
    hint: str = ""


async def fly(client: Client, errand: Errand, perch: Perch, last: int | None = None) -> Flown:
    """Start the task and wait until its certificate is committed; `last` is the job that was sent before."""
    job: int | None = None
    try:
        async with asyncio.timeout(errand.timeout_s):
            flying = await _flying(client, errand, last)
            if flying is not None:
                return _busy(flying, last)
            began = time.monotonic()
            ref = await client.commands.task(
                errand.task,
                errand.params,
                Scope(nodes=errand.nodes),
                environment=errand.environment,
                description=MARK,
            )
            job = ref.id
            landed = await perch.landed(job)
            return _judged(landed, Flown(seconds=time.monotonic() - began, job=job, recovered=ref.recovered))
    except TimeoutError:
        if job is None:
            where, hint = "no answer to the command", "is the orchestrator slow or away? orchbridge check tells"
        else:
            where = f"the certificate of job {job} is not in the sink"
            hint = "has the job ended in the console? if so, see what the status page says of the stream jobs"
        return Flown("timeout", job=job, error=f"{where} within {errand.timeout_s:g} s", hint=hint)
    except OrchbridgeError as error:
        return Flown(_reason(error), job=job, error=str(error), hint=error.hint)


async def _flying(client: Client, errand: Errand, last: int | None) -> int | None:
    """Return the canary that has not ended: there are never two at a time, not even of two workers.

    That is the one we know of, or the newest that another worker sent after it. Where we know of none,
    the list is read back for one interval, by the server's clock.
    """
    if last is not None:
        try:
            if not (await client.jobs.get(last)).over:
                return last
        except errors.UnknownJob:
            last = None  # pruned, or the server was put back to before it: its number tells nothing
    since: datetime | None = None
    async with aclosing(client.jobs.list()) as jobs:
        async for job in jobs:
            if last is not None and job.id <= last:
                break
            if job.task == errand.task and job.description == MARK:
                return None if job.over else job.id  # none is sent while one flies, so older ones have ended
            at = job.created or job.changed
            if at is not None and last is None:
                since = since or at - timedelta(seconds=errand.interval_s)
                if at < since:
                    break
    return None


def _busy(flying: int, last: int | None) -> Flown:
    if flying != last:
        return Flown(job=flying, elsewhere=True)
    hint = "look at its nodes in the console; stop it if nobody needs it"
    return Flown("busy", job=flying, error=f"the one before, job {flying}, has not ended", hint=hint)


def _judged(landed: Landed, flown: Flown) -> Flown:
    if landed.outcome != "success":
        said = f"job {flown.job} ended with {landed.outcome or 'no outcome'}"
        return Flown("failed", job=flown.job, error=said, hint="look at the job in the console")
    if not landed.complete:
        said = f"the certificate of job {flown.job} names what is missing"
        return Flown("incomplete", job=flown.job, error=said, hint="read it in the jobs topic")
    return flown


def _reason(error: OrchbridgeError) -> str:
    match error:
        case errors.Uncertain():
            return "uncertain"
        case errors.NotPermitted() | errors.TokenRefused():
            return "denied"
        case errors.Rejected():
            return "refused"
        case _:
            return "unreachable"
