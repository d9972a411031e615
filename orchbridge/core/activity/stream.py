"""The activity stream as a pure function of what the activity service said.

Its list has no ids, only an order, and from its lower end entries are purged. So the cursor is a position that
holds only together with what stands there: each look reads a few known entries again, and where they are not found
the place is searched for by content. Nothing is believed of a list that went back before it said so twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchbridge.core import times
from orchbridge.core.activity import known as memory
from orchbridge.core.activity.fold import fold_page
from orchbridge.core.activity.known import Head, Known
from orchbridge.core.activity.work import ActivityState, Reach, Work, place
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Job
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Recalled, StreamId
from orchbridge.core.questions import Activity, Answer, JobDetail, Page, Question, Reply, Trouble
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.walk import Start

LIMIT_MIN = 50
ABSENT_RETRY_S = 600.0
KIND = "activity-"


class ActivityRecall:
    """An activity memory being read back: one document."""

    def __init__(self, settings: StreamSettings, owner: str, reach: Reach) -> None:
        self._settings, self._owner, self._reach = settings, owner, reach
        self._head: bytes | None = None

    def learn(self, document: Recalled) -> None:
        """Take in one document; raise Corrupt where its key cannot be ours."""
        if document.key != self._settings.name:
            raise Corrupt(
                f"the cursor document {document.key} is of no stream of ours",
                hint="was another program writing to the cursor topic? remove that key's record",
            )
        self._head = document.value

    def state(self) -> ActivityState:
        """Return the state that the document describes; without one the start rule applies."""
        settings, reach = self._settings, self._reach
        if self._head is not None:
            head, known = memory.decode(
                settings.name, self._head, url=settings.url, keys=settings.keys, adopt=settings.adopt
            )
            head = msgspec.structs.replace(head, owner=self._owner)
            return ActivityState(
                head, known, begun=True, start=None, newest_first=head.newest_first, limit=reach.limit, reach=reach
            )
        head = Head(url=settings.url, keys=settings.keys, owner=self._owner)
        fresh = ActivityState(
            head, Known(whole=True), begun=False, start=settings.start, limit=reach.limit, reach=reach
        )
        return _started(fresh, settings.start)


class ActivityStream:
    """Who did what in one service; implements `Stream` of core/ports.py."""

    def __init__(self, settings: StreamSettings, reach: Reach = Reach()) -> None:  # noqa: B008 - cannot change
        self.settings, self.reach = settings, reach
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()
        self.service = settings.id.kind.removeprefix(KIND)

    def recall(self, owner: str) -> ActivityRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return ActivityRecall(self.settings, owner, self.reach)

    def ask(self, state: ActivityState, now: float) -> tuple[Question, ...]:
        """Return the next page of the list when it is due: one question at a time."""
        if state.due > now:
            return ()
        if state.start is not None and state.start.kind == "from":
            return (JobDetail(state.start.id),)
        offset, limit = place(state)
        return (Activity(self.service, limit, offset, state.version),)

    def fold(self, state: ActivityState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to; one at a time, since each says where the next one begins."""
        work = Work(self.settings, self.service, state, now)
        for reply in replies:
            question, answer = reply.question, reply.answer
            if question not in self.ask(work.state, now):
                continue  # the place is another by now
            if isinstance(question, JobDetail):
                _job(work, answer)
            elif isinstance(question, Activity) and isinstance(answer, Page):
                fold_page(work, question, answer, reply.asked_at)
            else:
                _failed(work, answer)
            work.count()
        return work.batch()

    def due(self, state: ActivityState, now: float) -> float:
        """Return seconds until the next look."""
        return max(0.0, state.due - now)

    def view(self, state: ActivityState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        known = state.known
        return StreamView(
            cursor=f"{known.high} entries" if state.begun else "",
            position=known.high,
            source_position=max(known.high, (state.total or 0) + known.gone),
            epoch=state.head.epoch_name,
        )


def _started(state: ActivityState, start: Start) -> ActivityState:
    """Return the state as the start rule has it; "now" has to find the end first, a job is asked when it began."""
    if start.kind in {"now", "from"}:
        return state
    head = msgspec.structs.replace(state.head, floor=start.at if start.kind == "since" else None)
    return msgspec.structs.replace(state, head=head, start=None, begun=True)


def _job(work: Work, answer: Answer) -> None:
    """ "job:N" concerns jobs; entries start at that job's creation, or at the earliest where it is gone."""
    if isinstance(answer, Trouble) and answer.kind != "missing":
        _failed(work, answer)
        return
    at = times.seconds(answer.created) if isinstance(answer, Job) else None
    start = Start("earliest") if at is None else Start("since", at=at)
    work.state = msgspec.structs.replace(_started(work.state, start), failures=0)


def _failed(work: Work, answer: Answer) -> None:
    """No list is no news. An API that is not there is told once, and looked for again now and then."""
    state = work.state
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a list of commits")
    if trouble.kind in {"absent", "missing"}:
        if state.version == 2:
            work.change(version=1)
            return
        if not state.absent:
            work.troubles.append((f"the activity of {work.service}", trouble))
        seen = bool(state.known.position) or state.total is not None
        moved = seen and not state.absent  # it was there: upgraded, most likely
        work.wait(work.settings.poll_s if moved else ABSENT_RETRY_S, version=2, absent=True)
        return
    failures = state.failures + 1
    pause = trouble.retry_after_s or backoff(work.settings.name, failures)
    if trouble.kind in {"invalid", "oversize"} and state.limit > LIMIT_MIN:
        work.change(limit=max(LIMIT_MIN, state.limit // 2))
        pause = 0.0
    work.wait(pause, failures=failures)
    work.troubles.append((f"the activity of {work.service}", trouble))
