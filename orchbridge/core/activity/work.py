"""The activity stream's state between two folds, and the draft of its next batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from orchbridge.core import times
from orchbridge.core.activity import known as memory
from orchbridge.core.activity.known import WILD, Head, Known
from orchbridge.core.activity.match import Held
from orchbridge.core.batch import Batch
from orchbridge.core.facts import Commit, Odd
from orchbridge.core.normalize.activity import commit_record
from orchbridge.core.normalize.notices import notice
from orchbridge.core.normalize.quarantine import list_asides
from orchbridge.core.questions import Trouble
from orchbridge.core.records import Record
from orchbridge.core.settings import StreamSettings
from orchbridge.core.walk import Start

replace = msgspec.structs.replace

BATCH_BYTES_MAX = 8 * 1024 * 1024  # of what PE wrote
AHEAD_S = 86_400.0  # an entry from further ahead was made while the server's clock was wrong: what follows is older
ASKS_MAX = 100  # in one interval, whatever a server answers: what is left to read or to look for waits for the next


class Reach(msgspec.Struct, frozen=True):
    """How much is read and remembered.

    limit    of one page: the server's own default
    kept     digests of the newest entries; what becomes visible further below is not seen
    overlap  known entries that each look reads again
    room     for what came since the server last said how many there are, where it begins with the newest
    """

    limit: int = 1_000
    kept: int = 200
    overlap: int = 20
    room: int = 100


class ActivityState(msgspec.Struct, frozen=True):
    """An activity stream between two folds.

    begun        there is a memory, or the start rule has made one
    start        where a stream without a memory begins; None while a job has to be asked for when that was
    seek         start "now": where the end of the list is looked for next
    search       where the place is looked for next, None while it is known
    held         the stretch that this search has read so far, where one answer did not reach up to all that is known
    looked       the lowest place that was looked at in this search, where it went below where it began
    suspicion    what the newest answer says of the list's history, to be confirmed by another one
    newest_first this server cannot order its list: it begins with the newest
    total        how many there are by the server's own count: a hint, never a place
    torn         how often the next entry could not be read
    veiled       how often known entries could not be read while something new followed them
    asks         how often something was asked in the interval that began at `since`
    absent       neither version of the API is there, and that was told
    """

    head: Head
    known: Known
    begun: bool
    start: Start | None
    dirty: bool = True
    seek: int = 0
    search: int | None = None
    held: Held | None = None
    looked: int | None = None
    suspicion: tuple[str, ...] | None = None
    version: int = 2
    newest_first: bool = False
    total: int | None = None
    limit: int = Reach().limit
    torn: int = 0
    veiled: int = 0
    asks: int = 0
    since: float = 0.0
    absent: bool = False
    due: float = 0.0
    failures: int = 0
    reach: Reach = Reach()


class Work:
    """One fold's changes, collected."""

    def __init__(self, settings: StreamSettings, service: str, state: ActivityState, now: float) -> None:
        self.settings, self.service, self.state, self.now = settings, service, state, now
        self.observed = times.text(now)
        self.records: list[Record] = []
        self.troubles: list[tuple[str, Trouble]] = []
        self.counts = state.known.counted()
        self.vanished = Counter(state.known.vanished)
        self.listed = False

    def change(self, **news: object) -> None:
        """Take the state's next form."""
        self.state = replace(self.state, **news)

    def wait(self, seconds: float, **news: object) -> None:
        """Ask nothing for so long."""
        self.change(due=self.now + seconds, **news)

    def count(self) -> None:
        """Count one question; where there were too many in this interval, the next one waits for its end."""
        state, now, poll_s = self.state, self.now, self.settings.poll_s
        fresh = not 0.0 <= now - state.since < poll_s
        self.change(asks=1, since=now) if fresh else self.change(asks=state.asks + 1)
        if self.state.asks >= ASKS_MAX:
            self.change(due=max(state.due, self.state.since + poll_s))

    def deliver(self, item: Commit | Odd, digest: str | None, *, late: bool) -> None:
        """Make the record of one entry, unless it only came back; what cannot be read is set aside, once."""
        state, origin = self.state, self.settings.origin
        head = state.head
        if digest is None or isinstance(item, Odd):
            odds = [item] if isinstance(item, Odd) else []
            said, asides = list_asides(origin, head.epoch_name, self.settings.id.kind, odds, head.odd, self.observed)
            self.records += asides
            self.change(head=replace(head, odd=said))
            return
        which, moment = self._counted(digest), times.seconds(item.stamp)
        if head.floor is not None and (moment is None or moment < head.floor):
            return
        if self.vanished[brief := memory.short(digest)]:
            self.vanished[brief] -= 1
            return
        self._dated(item, digest)
        name = f"{digest}/{which}"
        self.records.append(commit_record(origin, head.epoch_name, self.service, item, name, self.observed, late=late))

    def pass_over(self, item: Commit | Odd, digest: str | None) -> None:
        """Count an entry as known without telling of it."""
        if digest is not None and isinstance(item, Commit):
            self._counted(digest)
            self._dated(item, digest)

    def _counted(self, digest: str) -> int:
        """Return which of equal entries this one is."""
        brief = memory.short(digest)
        self.counts[brief] = which = self.counts.get(brief, 0) + 1
        return which

    def _dated(self, item: Commit, digest: str) -> None:
        """Keep in mind the newest second, and what was made in it."""
        known, moment = self.state.known, times.seconds(item.stamp)
        newest = times.seconds(known.newest) or 0.0
        if moment is not None and newest <= moment <= self.now + AHEAD_S:
            before = known.edge if moment == newest else ()
            edge = (*before, memory.short(digest))[-self.state.reach.kept :]
            self.change(known=replace(known, newest=item.stamp, edge=edge))

    def remember(self, digests: Sequence[str], position: int, *, whole: bool, purged: int = 0) -> None:
        """Take these (as `brief` makes them) as the newest that are known, up to a position; so many were purged."""
        known, most = self.state.known, self.state.reach.kept
        near = digests[max(0, len(digests) - most) :]
        kept = tuple(near[max(0, len(near) - position) :])  # what was purged has no place any more
        counts = {digest: count for digest in set(kept) if (count := self.counts.get(digest, 1)) > 1}
        counts.pop(WILD, None)
        whole = whole and len(kept) == position == len(digests)  # one that was purged may come back
        vanished = memory.without(known.vanished, memory.without(kept, known.digests))
        gone = [*memory.without(known.digests, digests), *near[: len(near) - len(kept)]]
        vanished = [*memory.without(gone, vanished), *vanished][-most:]  # what was purged is let go of first
        known = replace(known, position=position, gone=known.gone + purged, digests=kept, counts=counts, whole=whole)
        self.change(known=replace(known, vanished=tuple(vanished)), dirty=True, begun=True)

    def miss(self, digests: Sequence[str]) -> None:
        """Keep in mind what vanished from among the known ones: where it comes back, it is no news.

        That makes no room yet: what comes back with the same look is let go of first, in `remember`.
        """
        vanished = (*self.state.known.vanished, *digests)
        self.vanished = Counter(vanished)
        self.change(known=replace(self.state.known, vanished=vanished))

    def tell(self, kind: str, subject: str, *, explanation: str, action: str) -> None:
        """Say something to people."""
        stream, epoch = self.settings.id.kind, self.state.head.epoch_name
        self.records.append(
            notice(
                self.settings.origin, stream, epoch, kind, subject,
                explanation=explanation, action=action, observed=self.observed,
            )
        )  # fmt: skip

    def batch(self) -> Batch:
        """Return the batch; the head travels with whatever it vouches for."""
        state, documents = self.state, dict[str, bytes | None]()
        if state.begun and state.dirty and self.listed:
            documents[self.settings.name] = memory.encode(
                replace(state.head, newest_first=state.newest_first), state.known
            )
            state = replace(state, dirty=False)
        return Batch(tuple(self.records), documents, state, (), tuple(self.troubles))


def brief(digests: Sequence[str | None]) -> list[str]:
    """Return what is remembered of entries with these SHA-256s; None, one that could not be read, looks like any."""
    return [WILD if digest is None else memory.short(digest) for digest in digests]


def begin(state: ActivityState) -> int:
    """Return where the next stretch begins, counted from the oldest entry."""
    if state.start is not None:
        return state.seek
    if state.search is not None:
        return state.search
    return max(0, state.known.position - _overlap(state.known.digests, state.reach.overlap))


def _overlap(digests: Sequence[str], least: int) -> int:
    """Return how many known entries to read again: the first must be one of a kind, or a shift could not be seen."""
    count = min(least, len(digests))
    while count < len(digests) and digests[-count] in digests[len(digests) - count + 1 :]:
        count += 1
    return count


def place(state: ActivityState) -> tuple[int, int]:
    """Return offset and limit of the next question."""
    first = begin(state)
    if not state.newest_first:
        return first, state.limit
    total = state.total or 0
    offset = max(0, total - first - state.limit)
    return offset, state.limit if offset else min(state.limit, max(1, total - first) + state.reach.room)
