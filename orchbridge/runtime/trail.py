"""What each stream is in the middle of, and since when: the moments that a watchdog judges."""

from __future__ import annotations

import asyncio
import linecache
from collections import Counter
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from orchbridge.core.ports import StreamId

Doing: TypeAlias = Literal["claim", "recall", "wait", "commit", "rest"]


class Step(NamedTuple):
    """Something a stream began at `since` and is not done with, and the task that does it."""

    doing: str
    since: float
    task: asyncio.Task[Any] | None
    own_s: float | None = None  # how long it may take by itself; None: as the watchdog knows


class Out(NamedTuple):
    """A question under way: since when, and how many of its stream had been answered by then."""

    step: Step
    answers: int


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
        self.questions: dict[tuple[StreamId, object], Out] = {}
        self.answers: Counter[StreamId] = Counter()
        self.answered_at: dict[str, float] = {}  # by source

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
        step = Step("question", self.now, asyncio.current_task())
        self.questions[stream, about] = Out(step, self.answers[stream])

    def answered(self, stream: StreamId, about: object) -> None:
        """It came back, whatever with."""
        self.questions.pop((stream, about), None)
        self.answers[stream] += 1
        self.answered_at[stream.source] = self.now


UNJUDGED = Trail()  # for a worker that nobody watches


def stack(task: asyncio.Task[Any]) -> tuple[str, ...]:
    """Return where a waiting task stands: lines of code, outermost first, without the values of variables."""
    found = []
    at: Any = task.get_coro()
    while at is not None:
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(at, f"{kind}_frame")), None)
        if kind is None:
            break
        frame = getattr(at, f"{kind}_frame")
        if frame is not None:
            code = frame.f_code
            text = linecache.getline(code.co_filename, frame.f_lineno)
            found.append(line(Path(code.co_filename), frame.f_lineno, code.co_qualname, text))
        at = getattr(at, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return tuple(found)


def line(path: Path, number: int, name: str, text: str) -> str:
    """Return one line of a stack, with the last folders of the path."""
    return f"{'/'.join(path.parts[-3:])}:{number} {name}: {text.strip()}"
