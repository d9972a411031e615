"""The draft of a batch: the working copy of a walked stream's state that one fold may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from orchbridge.core import head as heads
from orchbridge.core import memos, times
from orchbridge.core.batch import BATCH_RECORDS_MAX
from orchbridge.core.facts import Odd
from orchbridge.core.gaps import not_found, postpone, take
from orchbridge.core.handover import Eras, Handover, eras_key, handover, window_key
from orchbridge.core.normalize.happenings import happening_record
from orchbridge.core.normalize.notices import notice
from orchbridge.core.normalize.quarantine import list_asides
from orchbridge.core.pace import backoff
from orchbridge.core.questions import Answer, Page, Reply, Trouble
from orchbridge.core.records import Record
from orchbridge.core.redact import redact_text
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Happening, Left, Listed, Reset, Seen, Start, Walk
from orchbridge.core.walking import fold_page, merge
from orchbridge.core.window import BACKFILL

LIMIT_MIN = 10
UNREADABLE = frozenset({"forbidden", "oversize", "malformed", "invalid"})  # trying again will not mend these
BATCH_BYTES_MAX = 16 * 1024 * 1024  # of what PE wrote about the events of one batch
OPEN_ENDED_MAX = 64  # finished ones read at once while catching up; running ones do not count
RESTING_AS_ONE = 16  # so many that cannot be read now take the room of one: the sick must not keep out the others
LIST_AGAIN_S = 15.0  # at the longest: nothing else is asked while the list cannot be had
LARGER_AGAIN_S = 600.0  # after a limit was refused: it may have been a proxy, or for a while

replace = msgspec.structs.replace


class Tracked(Protocol):
    """A job or plan being followed; its memo is what is remembered of it."""

    @property
    def id(self) -> int: ...
    @property
    def memo(self) -> Any: ...
    @property
    def open(self) -> bool: ...
    @property
    def due(self) -> float: ...


T = TypeVar("T", bound=Tracked)


class Draft(Generic[T]):
    """One fold's changes, collected, until they are frozen into a batch."""

    def __init__(self, settings: StreamSettings, walk: Walk, tracks: Mapping[int, T], now: float) -> None:
        self.settings = settings
        self.now = now
        self.observed = times.text(now)
        self.walk = walk
        self.tracks = dict(tracks)
        self.records: list[Record] = []
        self.weight = 0
        self.left: list[Reply] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self.unread: set[int] = set()  # gone before anything of them was read
        self._changed: dict[int, Any] = {}
        self._notes: dict[str, bytes | None] = {}  # for the backfill beside this stream

    @property
    def epoch(self) -> str:
        return self.walk.head.epoch_name

    @property
    def full(self) -> bool:
        """Whether the rest has to wait for the next batch."""
        return len(self.records) >= BATCH_RECORDS_MAX or self.weight >= BATCH_BYTES_MAX

    def put(self, track: T) -> None:
        """Take the track's new state; its memo is written with the batch if it differs."""
        old = self.tracks.get(track.id)
        if old is None or old.memo is not track.memo:
            self._changed[track.id] = track.memo
        self.tracks[track.id] = track

    def drop(self, id_: int) -> None:
        """Stop tracking and forget the document."""
        if self.tracks.pop(id_, None) is not None:
            self._changed[id_] = None

    def forget(self, id_: int) -> None:
        """Forget the document of something that is not tracked."""
        self._changed[id_] = None

    def happened(self, happenings: tuple[Happening, ...]) -> None:
        """Act on what the walk revealed, and tell people."""
        for happening in happenings:
            if isinstance(happening, Reset):
                self._begin_epoch(happening.survivor)
            origin, stream = self.settings.origin, self.settings.id.kind
            self.records.append(happening_record(origin, stream, self.epoch, happening, self.observed))

    def _begin_epoch(self, survivor: int) -> None:
        """Keep only what both histories share and what is done with; the rest is read anew, as of the new epoch."""
        again = set()
        for id_, track in tuple(self.tracks.items()):
            if id_ <= survivor and not track.open and id_ not in self.walk.todo:
                continue  # certified, and over in both histories
            if id_ <= survivor:
                again.add(id_)  # it may be over by now and so not be on the list of unfinished ones
            self.drop(id_)
        todo = merge(self.walk.todo, again)
        head = heads.begun_again(self.walk.head, survivor, (id_ for id_ in todo if id_ <= survivor))
        self.walk = replace(self.walk, head=head, todo=todo)
        if head.handed:  # the backfill must not deliver what means other things now
            self._notes[eras_key(self.settings.name)] = memos.encode(Eras(head.eras))

    def _hand_over(self, left: Left, start: Start) -> None:
        """Leave the history to the backfill, in the commit that begins this stream's memory."""
        since = start.at if start.kind == "since" else None
        handed = handover(self.observed, self.walk, left, since)
        self._notes[window_key(self.settings.name)] = memos.encode(handed)
        self.walk = replace(self.walk, left=None)
        if handed.total:
            self.tell(
                f"{BACKFILL}_started",
                f"{handed.first}-{handed.last}",
                explanation=f"{handed.total} finished {self.settings.id.kind} from {handed.first} to {handed.last} "
                "are read beside what happens from now on",
                action="nothing; the status page shows how far it is",
            )

    def tell(self, kind: str, subject: str, *, explanation: str, action: str) -> None:
        """Add a notice."""
        origin, stream, seen = self.settings.origin, self.settings.id.kind, self.observed
        told = redact_text(explanation, origin.rules)[0]  # it may quote the server
        self.records.append(
            notice(origin, stream, self.epoch, kind, subject, explanation=told, action=action, observed=seen)
        )

    def listed(  # one answer, in its parts
        self, reply: Reply, offset: int, limit: int, seen: Sequence[Seen], page: Page, start: Start
    ) -> bool:
        """Walk on over one page of the list; return whether the whole list has now been seen and can be trusted."""
        self.set_aside([item for item in page.items if isinstance(item, Odd)])
        due = max(reply.asked_at + self.settings.poll_s, self.now)
        listed = Listed(offset, limit, seen, len(page.items), page.total, page.paged)
        apart = self.settings.backfill
        self.walk, happenings = fold_page(self.walk, listed, start, now=self.now, next_due=due, apart=apart)
        self.happened(happenings)
        if self.walk.left is not None:
            self._hand_over(self.walk.left, start)
        if self.walk.most and self.walk.scan is None and self.now - self.walk.lowered_at >= LARGER_AGAIN_S:
            self.walk = replace(self.walk, most=0)
        return self.walk.trusted and self.walk.scan is None

    def set_aside(self, odds: Sequence[Odd]) -> None:
        """Quarantine items of the list that are no jobs or plans, once; their ids stay gaps and end in a notice."""
        for odd in odds:
            self.troubles.append(("an item of the list", Trouble("malformed", odd.reason)))
        if odds and self.walk.begun:
            stream = self.settings.id.kind
            said, records = list_asides(
                self.settings.origin, self.epoch, stream, odds, self.walk.head.odd, self.observed
            )
            if records:
                self.records += records
                self.walk = replace(self.walk, head=replace(self.walk.head, odd=said), dirty=True)

    def gap_unreadable(self, id_: int, trouble: Trouble, noun: str, looks: int) -> None:
        """A look-up failed: that says nothing about the id, unless it fails again and again for good reasons."""
        if trouble.kind not in UNREADABLE:
            self.walk = postpone(self.walk, id_, self.now)
            return
        self.walk, given_up = not_found(self.walk, id_, self.now, looks=looks)
        if given_up:
            self.tell(
                "gap",
                f"{id_}-{id_}",
                explanation=f"{noun} {id_} cannot be read: {trouble.explanation}",
                action=f"look at the {noun} in the console; nothing of it is delivered",
            )

    def not_listed(self, answer: Answer, limit: int) -> None:
        """Wait before the list is asked again; nothing else is asked meanwhile."""
        trouble = answer if isinstance(answer, Trouble) else Trouble("malformed", "not a list")
        failures = self.walk.failures + 1
        pause = trouble.retry_after_s or backoff(self.settings.name, failures, longest_s=LIST_AGAIN_S)
        if trouble.kind == "invalid" and self.ask_for_less(limit):
            pause = 0.0
        self.slow_down(trouble)
        self.walk = replace(self.walk, scan=None, failures=failures, due=self.now + pause)
        self.troubles.append((f"the list of {self.settings.id.kind}", trouble))

    def ask_for_less(self, limit: int) -> bool:
        """The server refused a question with this limit; return whether a lower one is worth trying."""
        lower = max(LIMIT_MIN, limit // 2)
        self.walk = replace(self.walk, most=min(lower, self.walk.most or lower), lowered_at=self.now)
        return limit > LIMIT_MIN

    def slow_down(self, trouble: Trouble) -> None:
        """A server that asks to be left alone means all of our questions."""
        if trouble.kind == "throttled":
            pause = trouble.retry_after_s or backoff(self.settings.name, 1)
            self.walk = replace(self.walk, held=max(self.walk.held, self.now + pause))

    def valid(self, reply: Reply) -> bool:
        """Whether an answer about one id is about the history we read now."""
        return self.walk.trusted and reply.asked_at >= self.walk.since

    def take_up(self, ended: Sequence[T], make: Callable[[int], T]) -> None:
        """Begin tracking what the walk has to do, as far as there is room beside those `ended` and not yet read."""
        resting = sum(track.due > self.now for track in ended)
        busy = len(ended) - resting + resting // RESTING_AS_ONE
        self.walk, taken, happenings = take(self.walk, OPEN_ENDED_MAX - busy, self.now)
        self.happened(happenings)
        for id_ in taken:
            if id_ not in self.tracks:
                self.put(make(id_))

    def documents(self, encode: Callable[[Any], bytes]) -> dict[str, bytes | None]:
        """Return the memory that changed; the head travels with it whenever it changed."""
        name = self.settings.name
        changed: dict[str, bytes | None] = {
            f"{name}/{id_}": None if memo is None else encode(memo) for id_, memo in self._changed.items()
        }
        changed |= self._notes
        if self.walk.dirty and self.walk.begun:
            if self.settings.backfill and not self.walk.head.handed:  # a memory older than backfills: nothing is left
                changed[window_key(name)] = memos.encode(Handover(mark=self.observed))
                self.walk = replace(self.walk, head=replace(self.walk.head, handed=True))
            changed[name] = heads.encode(self.walk.head)
            self.walk = replace(self.walk, dirty=False)
        return changed
