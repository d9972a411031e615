"""Questions under way: asked at once, bounded, answered in whatever order the server likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

from orchbridge.core.errors import Denied
from orchbridge.core.ports import Api, StreamId
from orchbridge.core.questions import Page, Question, Reply, subject
from orchbridge.runtime.stop import Stop
from orchbridge.runtime.trail import UNJUDGED, Trail

UNDER_WAY_MAX = 24
WAITING_BYTES_MAX = 8 * 1024 * 1024  # of answers not folded yet; what is under way comes on top


class Asking:
    """The questions of one claim. A slow answer holds up nobody but its own subject."""

    def __init__(
        self, api: Api, group: asyncio.TaskGroup, clock: Callable[[], float], stream: StreamId, trail: Trail = UNJUDGED
    ) -> None:
        self._api, self._group, self._clock = api, group, clock
        self._stream, self._trail = stream, trail
        self._under_way: dict[tuple[str, object], asyncio.Task[None]] = {}
        self._replies: list[Reply] = []
        self._denied: Denied | None = None
        self._news = asyncio.Event()

    def ask(self, questions: Iterable[Question], waiting: Sequence[Reply]) -> None:
        """Send what is neither under way nor already answered and waiting to be folded.

        There is always room for a list: slow answers about single things must not hide what else goes on.
        """
        unfolded = (*waiting, *self._replies)
        answered = {subject(reply.question) for reply in unfolded}
        full = sum(map(_weight, unfolded)) > WAITING_BYTES_MAX
        for question in questions:
            about = subject(question)
            single = about[1] is not None
            if single and (full or len(self._under_way) >= UNDER_WAY_MAX):
                continue
            if about not in self._under_way and about not in answered:
                self._under_way[about] = self._group.create_task(self._answer(question, about))

    async def _answer(self, question: Question, about: tuple[str, object]) -> None:
        asked_at = self._clock()
        self._trail.asked(self._stream, about)
        try:
            answer = await self._api.answer(question)
            self._replies.append(Reply(question, answer, asked_at, self._clock()))
        except Denied as denied:
            self._denied = denied  # raised where no commit can be torn by it
        finally:
            del self._under_way[about]
            self._trail.answered(self._stream, about)
            self._news.set()

    async def some(self, seconds: float, stop: Stop) -> tuple[Reply, ...]:
        """Return the answers that came; wait for the first at most so long, or until asked to stop."""
        if not self._replies and self._denied is None:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as wait:
                    waiting = [wait.create_task(self._news.wait()), wait.create_task(stop.wait())]
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in waiting:
                        task.cancel()
        if self._denied is not None:
            raise self._denied
        replies, self._replies = tuple(self._replies), []
        return replies

    def cancel(self) -> None:
        """Give up every question under way."""
        for task in self._under_way.values():
            task.cancel()


def _weight(reply: Reply) -> int:
    """Return about how many bytes an answer holds, from a few of its items."""
    items = reply.answer.items if isinstance(reply.answer, Page) else ()
    some = items[:: len(items) // 8 + 1]
    return sum(len(getattr(item, "raw", b"")) for item in some) * len(items) // max(len(some), 1)
