"""The schedules stream's state between two folds, and the draft of its next batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchbridge.core import head as heads
from orchbridge.core import memos, times
from orchbridge.core.batch import BATCH_RECORDS_MAX, Batch
from orchbridge.core.facts import LastRun, Odd, Schedule, TaskMeta
from orchbridge.core.head import Head
from orchbridge.core.normalize import schedules as records
from orchbridge.core.normalize.quarantine import list_asides
from orchbridge.core.questions import Reply, TaskMetadata, Trouble
from orchbridge.core.records import Record
from orchbridge.core.schedules.memo import Memo, Missed, Wait, awaited, first, overdue
from orchbridge.core.settings import StreamSettings

replace = msgspec.structs.replace

META_TRIES = 3
META_S = 3_600.0
GAP_POLLS = 2  # a longer gap between two looks was not spent looking


class Meta(msgspec.Struct, frozen=True):
    """What is known of a task's sensitive parameters: `names` None where that cannot be read; asked again `after`."""

    names: frozenset[str] | None = None
    tries: int = 0
    after: float = 0.0


class Listing(msgspec.Struct, frozen=True):
    """One reading of the list so far; `whole` is false where something in it could not be told apart."""

    offset: int = 0
    seen: frozenset[int] = frozenset()
    whole: bool = True


class SchedulesState(msgspec.Struct, frozen=True):
    """A schedules stream between two folds; `memos` is never changed in place.

    listing  the reading under way
    doubts   schedule -> readings in a row that did not show it
    empty    readings in a row that showed none at all, though some are remembered
    short    readings in a row that ended before the server's own count of rows
    waits    schedule -> how long its run that is due was looked for; begins anew with the claim, as all of these
    metas    sensitive parameters by task and environment; `wanted`: those to be asked for
    old      the newer API is not there; it is looked for again at `newer_at`
    """

    head: Head
    memos: Mapping[int, Memo] = {}
    dirty: bool = True
    listing: Listing = Listing()
    doubts: Mapping[int, int] = {}
    empty: int = 0
    short: int = 0
    waits: Mapping[int, Wait] = {}
    metas: Mapping[tuple[str, str], Meta] = {}
    wanted: tuple[TaskMetadata, ...] = ()
    old: bool = False
    newer_at: float = 0.0
    absent: bool = False
    listed_at: float = 0.0
    limit: int = 200
    due: float = 0.0
    failures: int = 0


class Work:
    """One fold's changes, collected."""

    def __init__(self, settings: StreamSettings, state: SchedulesState, now: float) -> None:
        self.settings, self.state, self.now = settings, state, now
        self.clock = now  # the server's, where it tells
        self.observed = times.text(now)
        self.records: list[Record] = []
        self.left: list[Reply] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self._changed: dict[int, Memo | None] = {}
        self.memos = dict(state.memos)
        self.waits = dict(state.waits)

    @property
    def full(self) -> bool:
        return len(self.records) >= BATCH_RECORDS_MAX

    def change(self, **news: object) -> None:
        """Take the state's next form."""
        self.state = replace(self.state, **news)

    def put(self, id_: int, memo: Memo | None) -> None:
        """Remember a schedule, or forget it."""
        if memo is None:
            revision = self.memos.pop(id_).revision
            head = self.state.head
            self.change(head=replace(head, forgotten=max(head.forgotten, revision)), dirty=True)
        elif self.memos.get(id_) == memo:
            return
        else:
            self.memos[id_] = memo
        self._changed[id_] = memo

    def present(self, item: Schedule) -> None:
        """Take in a schedule that is listed: new, changed, switched off, or as before."""
        names, unknown, known = self._names(item)
        before, grace = self.memos.get(item.id), self.settings.missed_after_s
        head, origin = self.state.head, self.settings.origin
        ctx = records.context(item, origin, head.epoch_name, names, unknown=unknown)
        parts = records.digests(ctx, item)
        if before is None:
            if not known:
                return  # its parameters cannot be shown or hidden yet
            past = head.seeded or self.settings.start.kind == "earliest"
            memo, missed = first(item, self.clock, grace, past=past)
            memo = replace(
                memo, revision=head.forgotten + 1, parts=parts, veiled=unknown, about=records.about(ctx, item)
            )
            if past:
                self._say(ctx, item, "created", memo.revision, {})
        else:
            differing = [name for name in sorted(parts) if parts[name] != before.parts.get(name)]
            if unknown or before.veiled:
                differing = [name for name in differing if name != "input"]
            off = before.enabled and not item.enabled
            back = item.enabled and not before.enabled
            news = bool(differing) or off or back
            if news and not known:
                return
            waited = self._waited(item.id, before)
            memo, missed = awaited(
                replace(before, gone=None), item, self.clock,
                over=waited > grace, unseen=self._unseen(item, waited), changed=news,
            )  # fmt: skip
            memo = replace(memo, parts=parts, veiled=unknown, about=records.about(ctx, item), enabled=item.enabled)
            if news:
                memo = replace(memo, revision=before.revision + 1)
                more: dict[str, Any] = {"changed": [*differing, *(["enabled"] if off or back else [])]}
                if off:
                    more = {"reason": "switched_off", "confirmed_by": 1}
                self._say(ctx, item, "disabled" if off else "changed", memo.revision, more)
        self.put(item.id, memo)
        if missed is not None:
            self._missed(item.id, memo, missed, item.last)

    def _waited(self, id_: int, memo: Memo) -> float:
        """Return for how many seconds a schedule's run that is due was looked for, this look included."""
        planned, before = overdue(memo, self.clock), self.waits.pop(id_, None)
        if planned is None:
            return 0.0
        self.waits[id_] = Wait.longer(before, planned, self.now, GAP_POLLS * self.settings.poll_s)
        return self.waits[id_].seconds

    def _unseen(self, item: Schedule, waited: float) -> bool:
        """Whether a run was looked for so long that the schedule's next one came meanwhile."""
        gap = GAP_POLLS * self.settings.poll_s
        return item.interval_s is not None and item.interval_s > gap and waited >= item.interval_s - gap

    def _say(self, ctx: Any, item: Schedule, what: str, revision: int, more: Mapping[str, Any]) -> None:
        self.records.append(records.revision_record(ctx, item, what, revision, self.observed, more))

    def _missed(self, id_: int, memo: Memo, missed: Missed, last: LastRun | None) -> None:
        origin, epoch = self.settings.origin, self.state.head.epoch_name
        self.records.append(
            records.missed_record(
                origin, epoch, id_, memo.about, self.observed,
                planned=missed.planned, reason=missed.reason, error=missed.error, last=last,
            )
        )  # fmt: skip

    def vanished(self, id_: int, polls: int) -> None:
        """Take in that a schedule is not listed any more, confirmed by so many readings."""
        memo, origin, epoch = self.memos[id_], self.settings.origin, self.state.head.epoch_name
        self.waits.pop(id_, None)
        if not memo.enabled:
            self.put(id_, replace(memo, gone=self.now))  # told already
            return
        over = memo.planned is None and memo.about.get("interval_s") is None
        if self.state.old:  # which lists a schedule as long as there is a run to come
            over = (times.seconds(memo.planned) or self.clock) <= self.clock
        what = "removed" if over or self.state.old else "disabled"
        reason = "over" if over else "deleted" if self.state.old else "vanished"
        revision = memo.revision + 1
        self.records.append(
            records.ended_record(
                origin, epoch, id_, memo.about, what, revision, self.observed, reason=reason, polls=polls
            )
        )
        memo = replace(memo, revision=revision, enabled=False, gone=self.now, planned=None)
        self.memos[id_] = memo
        self.put(id_, None if what == "removed" else memo)
        if what == "disabled":
            self._changed[id_] = memo

    def set_aside(self, odds: Sequence[Odd]) -> None:
        """Quarantine items that are none, once."""
        head, origin = self.state.head, self.settings.origin
        said, new = list_asides(origin, head.epoch_name, self.settings.id.kind, odds, head.odd, self.observed)
        if new:
            self.records += new
            self.change(head=replace(head, odd=said), dirty=True)

    def _names(self, item: Schedule) -> tuple[frozenset[str], bool, bool]:
        """Return its sensitive parameters, whether the others must be hidden too, and whether that is settled."""
        own = frozenset(item.sensitive)
        if item.type != "task" or item.name is None or self.settings.origin.rules.unknown_task != "redact":
            return own, False, True
        question = TaskMetadata(item.name, item.environment or "production")
        meta = self.state.metas.get((question.task, question.environment), Meta())
        if meta.after <= self.now and question not in self.state.wanted:
            self.change(wanted=(*self.state.wanted, question))
        if meta.names is not None:
            return own | meta.names, False, True
        return own, True, meta.tries >= META_TRIES

    def learn(self, question: TaskMetadata, answer: object) -> None:
        """Take in what a task declares sensitive. What cannot be read is asked for again, and hidden meanwhile."""
        place = (question.task, question.environment)
        meta = self.state.metas.get(place, Meta())
        if isinstance(answer, TaskMeta):
            meta = Meta(frozenset(answer.sensitive), META_TRIES, self.now + META_S)
        else:
            passing = isinstance(answer, Trouble) and answer.kind not in {"missing", "absent", "forbidden", "invalid"}
            tries = meta.tries + 1 if passing else META_TRIES
            after = self.now + (self.settings.poll_s if tries < META_TRIES else META_S)
            meta = Meta(meta.names, tries, after)
        wanted = tuple(each for each in self.state.wanted if each != question)
        self.change(metas={**self.state.metas, place: meta}, wanted=wanted)
        if not wanted:
            self.change(due=min(self.state.due, self.now))  # what waited for it can be told

    def batch(self) -> Batch:
        """Return the batch; the head travels with it when it changed."""
        name, documents = self.settings.name, dict[str, bytes | None]()
        for id_, memo in self._changed.items():
            documents[f"{name}/{id_}"] = None if memo is None else memos.encode(memo)
        state = replace(self.state, memos=self.memos, waits=self.waits)
        if state.dirty and (state.listed_at or documents or self.records):
            documents[name] = heads.encode(state.head)
            state = replace(state, dirty=False)
        return Batch(tuple(self.records), documents, state, tuple(self.left), tuple(self.troubles))
