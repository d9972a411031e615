"""How long a replay waits for what does not answer, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchbridge.cli.exits import Unreachable, say
from orchbridge.core.errors import OrchbridgeError, SinkLost
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Api
from orchbridge.core.questions import Answer, Question, Trouble
from orchbridge.runtime.stop import Stop

LOOK_S, TELL_S = 0.25, 10.0
AWAY = frozenset({"unreachable", "timeout", "tls", "server", "throttled", "malformed"})  # the others are answers
NAMES = {"source": "the orchestrator", "sink": "the sink"}

T = TypeVar("T")


class Interrupted(Exception):
    """Asked to stop before the end."""


class Patience:
    """Told of every success and failure of source and sink; asks to stop when one of them fails for too long.

    `hint` is what a person can do then; `lost` says why it came to that.
    """

    def __init__(
        self, limit_s: float, stop: Stop, hint: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lost: OrchbridgeError | None = None
        self._limit_s, self._stop, self._hint, self._clock = limit_s, stop, hint, clock
        self._failing: dict[str, tuple[float, str]] = {}  # "source" or "sink" -> since when, and why
        self._told = -TELL_S

    def well(self, what: str) -> None:
        """Note that source or sink did what it was asked to."""
        self._failing.pop(what, None)

    def failed(self, what: str, why: str) -> None:
        """Note that it did not."""
        since, _ = self._failing.get(what, (self._clock(), ""))
        self._failing[what] = (since, why)

    @property
    def waiting(self) -> str | None:
        """What is being waited for, in words; None where all is well."""
        for what, (since, why) in self._failing.items():
            left = max(0.0, self._limit_s - (self._clock() - since))
            return f"waiting for {NAMES[what]}: {why}; giving up in {left:.0f} s"
        return None

    async def watch(self) -> None:
        """Ask to stop as soon as one of them has failed for too long."""
        while True:
            for what, (since, why) in self._failing.items():
                if self.lost is None and self._clock() - since >= self._limit_s:
                    kind = SinkLost if what == "sink" else Unreachable
                    self.lost = kind(f"gave up waiting for {NAMES[what]}: {why}", hint=self._hint())
                    self._stop.ask()
            await asyncio.sleep(LOOK_S)

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the work returns, begun again while the sink is away; raise what was lost, or Interrupted."""
        failures = 0
        while not self._stop.asked:
            try:
                async with self._stop.cutting():
                    done = await work()
                    self.well("sink")
                    return done
            except SinkLost as loss:
                failures += 1
                self.failed("sink", str(loss))
                await self.rest(failures)
        raise self.lost or Interrupted

    async def rest(self, failures: int) -> None:
        """Pause after so many failures in a row, having said what is being waited for now and then."""
        now = self._clock()
        if self.waiting is not None and now - self._told >= TELL_S:
            self._told = now
            say(self.waiting)
        await self._stop.rest(backoff("replay", failures, first_s=0.5, longest_s=10.0))


class Heard:
    """An orchestrator whose answers are told to a patience."""

    def __init__(self, api: Api, patience: Patience) -> None:
        self._api = api
        self._patience = patience

    async def answer(self, question: Question) -> Answer:
        """Return the answer; see `Api.answer`."""
        answer = await self._api.answer(question)
        if isinstance(answer, Trouble) and answer.kind in AWAY:
            self._patience.failed("source", answer.explanation)
        else:
            self._patience.well("source")
        return answer

    def changed(self) -> bool:
        """See `Api.changed`."""
        return self._api.changed()
