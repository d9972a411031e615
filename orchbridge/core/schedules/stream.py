"""The schedules stream as a pure function of what the orchestrator said.

A list shows the scheduled jobs there are, with their next and their last run: no events, no order. So each one is
remembered, and what differs is told. One that is missing has to be missing twice, and a list without any says
nothing before it has said so three times; from the older API, which may be switched off, it never says anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchbridge.core import head as heads
from orchbridge.core import memos
from orchbridge.core.batch import Batch
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Odd, Schedule
from orchbridge.core.head import Head
from orchbridge.core.pace import backoff
from orchbridge.core.ports import Recalled, StreamId
from orchbridge.core.questions import Answer, Page, Question, Reply, Schedules, TaskMetadata, Trouble
from orchbridge.core.schedules.memo import Memo
from orchbridge.core.schedules.work import Listing, SchedulesState, Work, replace
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView

CONFIRMATIONS, EMPTY_CONFIRMATIONS = 2, 3
ABSENT_RETRY_S = 600.0
LIMIT_MIN = 10
UNTOLD = "the list hides rows or has some without an id, so it cannot be told which schedules are gone"


class SchedulesRecall:
    """A schedules memory being read back: the head, and one document per schedule."""

    def __init__(self, settings: StreamSettings, owner: str) -> None:
        self._settings, self._owner = settings, owner
        self._head: bytes | None = None
        self._memos: dict[int, bytes] = {}

    def learn(self, document: Recalled) -> None:
        """Take in one document, the newest of its key so far; raise Corrupt where its key cannot be ours."""
        number = document.key.rpartition("/")[2]
        if document.key == self._settings.name:
            self._head = document.value
        elif not number.isdecimal():
            raise Corrupt(
                f"the cursor document {document.key} is of no stream of ours",
                hint="was another program writing to the cursor topic? remove that key's record",
            )
        elif document.value is None:
            self._memos.pop(int(number), None)
        else:
            self._memos[int(number)] = document.value

    def state(self) -> SchedulesState:
        """Return the state that the documents describe."""
        settings = self._settings
        if self._head is None:
            return SchedulesState(Head(url=settings.url, keys=settings.keys, owner=self._owner))
        head = heads.decode(settings.name, self._head, url=settings.url, keys=settings.keys, adopt=settings.adopt)
        known = {id_: memos.decode(Memo, f"{settings.name}/{id_}", value) for id_, value in self._memos.items()}
        return SchedulesState(replace(head, owner=self._owner), known)


class ScheduleStream:
    """Scheduled jobs; implements `Stream` of core/ports.py."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.id: StreamId = settings.id
        self.channels: tuple[str, ...] = ()

    def recall(self, owner: str) -> SchedulesRecall:
        """Return the memory to be filled; see `Stream.recall`."""
        return SchedulesRecall(self.settings, owner)

    def ask(self, state: SchedulesState, now: float) -> tuple[Question, ...]:
        """Return the next page of the list when it is due, and what tasks declare sensitive."""
        page = (_page(state, now),) if state.due <= now else ()
        return (*page, *state.wanted)

    def fold(self, state: SchedulesState, replies: Sequence[Reply], now: float) -> Batch:
        """Return what these answers amount to."""
        work = Work(self.settings, state, now)
        for at, reply in enumerate(replies):
            if work.full:
                work.left.extend(replies[at:])
                break
            question, answer = reply.question, reply.answer
            if isinstance(question, TaskMetadata):
                work.learn(question, answer)
            elif isinstance(question, Schedules) and question == _page(work.state, now):
                if isinstance(answer, Page):
                    _list(work, question, answer, reply.asked_at)
                else:
                    _failed(work, question, answer)
        return work.batch()

    def due(self, state: SchedulesState, now: float) -> float:
        """Return seconds until the next look."""
        return 0.0 if state.wanted else max(0.0, state.due - now)

    def view(self, state: SchedulesState) -> StreamView:
        """Return the state as numbers for gauges and the status page."""
        there = [memo for memo in state.memos.values() if memo.enabled and memo.gone is None]
        types = [str(memo.about.get("type") or "none") for memo in there]
        count = len(there)
        return StreamView(
            cursor=f"{count} schedules",
            position=count,
            source_position=count,
            tracked=count,
            epoch=state.head.epoch_name,
            schedules={type_: types.count(type_) for type_ in types},
        )


def _page(state: SchedulesState, now: float) -> Schedules:
    """Return the next question of the list; the newer API is looked for again now and then."""
    old = state.old and (state.listing.offset > 0 or now < state.newer_at)
    return Schedules(state.limit, state.listing.offset, old)


def _list(work: Work, question: Schedules, page: Page, asked_at: float) -> None:
    """Fold one page of the list."""
    state = work.state
    work.clock = work.now if page.at is None else page.at
    if question.old != state.old:
        work.change(old=question.old, listing=Listing())
    items = {item.id: item for item in page.items if isinstance(item, Schedule)}
    odds = [item for item in page.items if isinstance(item, Odd)]
    work.change(failures=0, absent=False)
    for item in items.values():
        work.present(item)
    if odds:
        work.set_aside(odds)
        work.troubles += [("a row of the schedules", Trouble("malformed", odd.reason)) for odd in odds[:1]]
    listing = work.state.listing
    seen = listing.seen | items.keys() | {odd.id for odd in odds if odd.id is not None}
    offset = listing.offset + len(page.items)
    unreadable = any(odd.id is None for odd in odds)
    listing = Listing(offset, frozenset(seen), listing.whole and not unreadable)
    ends = not page.items or (page.total is not None and offset >= page.total and not page.cut)
    if not ends:
        work.change(listing=listing, due=work.now)
        return
    short = state.short + 1 if page.total is not None and offset < page.total else 0
    work.change(short=short, listing=Listing(), listed_at=work.now, due=max(work.now, asked_at + work.settings.poll_s))
    if listing.whole and not short:
        believed = _judge(work, listing)
    else:
        believed = not short or short >= CONFIRMATIONS
        work.troubles.append(("the schedules", Trouble("malformed", UNTOLD)))
    if believed and not work.state.head.seeded and not work.state.wanted:  # what comes from now on is new
        work.change(head=replace(work.state.head, seeded=True), dirty=True)
    _forget(work)


def _judge(work: Work, listing: Listing) -> bool:
    """The list was read to its end: what it lacks is doubtful, and gone when it lacks it again. Return whether the
    list is believed."""
    state = work.state
    there = {id_ for id_, memo in work.memos.items() if memo.gone is None}
    empty = state.empty + 1 if there and not listing.seen else 0
    work.change(empty=empty)
    if empty and (state.old or empty < EMPTY_CONFIRMATIONS):
        return False
    doubts = {id_: state.doubts.get(id_, 0) + 1 for id_ in there - listing.seen}
    for id_, times_ in sorted(doubts.items()):
        polls = max(times_, empty)
        if polls >= CONFIRMATIONS:
            work.vanished(id_, polls)
    work.change(doubts={id_: times_ for id_, times_ in doubts.items() if times_ < CONFIRMATIONS and not empty})
    return True


def _forget(work: Work) -> None:
    """Let go of schedules that have been gone for long."""
    limit = work.now - work.settings.forget_after_s
    for id_ in [id_ for id_, memo in work.memos.items() if memo.gone is not None and memo.gone < limit]:
        work.put(id_, None)


def _failed(work: Work, question: Schedules, answer: Answer) -> None:
    """No list is no news. An API that is not there is told once, and looked for again now and then."""
    trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a list of schedules")
    work.change(listing=Listing())
    if trouble.kind in {"absent", "missing"}:
        if not question.old:
            work.change(old=True, newer_at=work.now + ABSENT_RETRY_S, due=work.now)
            return
        if not work.state.absent:
            work.troubles.append(("the schedules", trouble))
        moved = work.state.listed_at and not work.state.absent  # it was there: upgraded, most likely
        pause = work.settings.poll_s if moved else ABSENT_RETRY_S
        work.change(absent=True, old=False, due=work.now + pause)
        return
    failures = work.state.failures + 1
    pause = trouble.retry_after_s or backoff(work.settings.name, failures)
    if trouble.kind in {"invalid", "oversize"} and work.state.limit > LIMIT_MIN:
        work.change(limit=max(LIMIT_MIN, work.state.limit // 2))
        pause = 0.0
    work.change(failures=failures, due=work.now + pause)
    work.troubles.append(("the schedules", trouble))
