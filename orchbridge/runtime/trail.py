"""What each stream is in the middle of, and since when: the moments that a watchdog judges."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, NamedTuple, TypeAlias

from orchbridge.core.ports import StreamId

Doing: TypeAlias = Literal["claim", "recall", "wait", "commit", "rest"]


class Step(NamedTuple):
    """Something a stream began at `since` and is not done with, and the task that does it."""

    doing: str
    since: float
    task: asyncio.Task[Any] | None
    own_s: float | None = None  # how long it may take by itself; None: as the watchdog knows


class Trail:
    """The steps of all streams of a worker. One moment is put down before every await that could hang.

    `now` are seconds in which the process ran and its loop turned: whoever judges moves it on. A process that is
    frozen, a machine that sleeps and a clock that is set do not move it, so none of them looks like a hang.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.claims = 0
        self.steps: dict[StreamId, Step] = {}
        self.questions: dict[tuple[StreamId, object], Step] = {}

    def begin(self, stream: StreamId, doing: Doing, own_s: float | None = None) -> None:
        """The stream is done with whatever it was doing, and begins this."""
        self.steps[stream] = Step(doing, self.now, asyncio.current_task(), own_s)

    def claim(self, stream: StreamId) -> int:
        """A claim begins; return its number among all of this process."""
        self.begin(stream, "claim")
        self.claims += 1
        return self.claims

    def end(self, stream: StreamId) -> None:
        """The stream's tail is over: parked, let go, or asked to stop."""
        self.steps.pop(stream, None)

    def asked(self, stream: StreamId, about: object) -> None:
        """A question goes out."""
        self.questions[stream, about] = Step("question", self.now, asyncio.current_task())

    def answered(self, stream: StreamId, about: object) -> None:
        """It came back, whatever with."""
        self.questions.pop((stream, about), None)


UNJUDGED = Trail()  # for a worker that nobody watches
