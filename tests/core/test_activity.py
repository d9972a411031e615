"""The activity stream by hand: what is told of a list without ids, and how its place is found again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from orchbridge.core import times
from orchbridge.core.activity import known as memory
from orchbridge.core.activity.stream import ActivityStream
from orchbridge.core.activity.work import ASKS_MAX, Reach
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import Commit, Deed, Job, Named, Odd
from orchbridge.core.normalize.activity import commit_record, digest
from orchbridge.core.normalize.context import Origin
from orchbridge.core.questions import Activity, Answer, JobDetail, Page, Question, Reply, Trouble
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules
from orchbridge.core.walk import Start
from tests.core.live import Life, Store, settings
from tests.core.machines.faults import TROUBLES

BEGIN = 1_700_000_000.0
ABSENT = Trouble("absent", "not found", status=404)
SMALL = Reach(limit=40, kept=24, overlap=4, room=6)
STARTS = st.sampled_from(["earliest", "now"])


def entry(number: int, *, at: float | None = None, text: str = "", **more: Any) -> Commit:
    message = text or f"Create Node {number}"
    raw = msgspec.json.encode({"events": [{"message": message}], "subject": {"id": "u1"}})
    stamp = times.text(BEGIN + number if at is None else at)
    objects = (Named(f"n{number}", f"n{number}.test", "node"),)
    return Commit(raw, stamp, Named("u1", "ops"), objects, (Deed(message, "create", "node"),), **more)


@dataclass
class Console:
    """A list, and how this server tells it. `trouble` is said instead, by version."""

    entries: list[Commit | Odd] = field(default_factory=list)
    newest_first: bool = False
    most: int = 10_000
    counts: bool = True
    trouble: dict[int, Trouble] = field(default_factory=dict)
    job: Answer | None = None
    asked: list[Question] = field(default_factory=list)

    def answer(self, question: Question, now: float) -> Answer:
        self.asked.append(question)
        if isinstance(question, JobDetail):
            return self.job or Trouble("missing", "unknown-job")
        assert isinstance(question, Activity)
        if question.version in self.trouble:
            return self.trouble[question.version]
        rows = self.entries[::-1] if self.newest_first else self.entries
        page = rows[question.offset : question.offset + min(question.limit, self.most)]
        return Page(tuple(page), total=len(rows) if self.counts else None)


def life(console: Console, start: str = "earliest", *, reach: Reach | None = None, **more: Any) -> Life:
    stream = ActivityStream(settings("activity-rbac", start=Start(start), poll_s=2.0, **more), reach or Reach())
    return Life(stream, console, now=BEGIN + 10_000)  # type: ignore[arg-type]


def numbers(store: Store) -> list[int]:
    """Return the entries told, by number, in order."""
    return [int(str(record.data["subject"]["name"]) and record.key[6:]) for record in told(store) if record.data]


def told(store: Store) -> list[Record]:
    return store.of("audit.activity.v1")


def notices(store: Store) -> list[str]:
    return [record.data["kind"] for record in store.of("bridge.notice.v1") if record.data]


def settled(one: Life, seconds: float = 10.0) -> Life:
    one.until(one.now + seconds)
    return one


def test_history_is_told_in_order_and_then_what_comes() -> None:
    console = Console([entry(n) for n in range(2_500)])
    one = settled(life(console))
    assert numbers(one.store) == list(range(2_500))
    console.entries += [entry(2_500), entry(2_501)]
    settled(one)
    assert numbers(one.store) == list(range(2_502))
    assert notices(one.store) == []


def test_a_record_says_who_did_what_to_what() -> None:
    job = Commit(
        b'{"ip_address":"10.0.0.9"}', "2024-03-09T10:15:43Z", Named("u1", "ops"),
        (Named("412", "412", "job"), Named("a.test", "a.test", "node")),
        (Deed("Request a task", "run_task", "node", "request_task"),), "10.0.0.9, 127.0.0.1",
    )  # fmt: skip
    (record,) = told(settled(life(Console([job]))).store)
    data = msgspec.json.decode(msgspec.json.encode(record.data))
    sha = digest("rbac", job, Origin("prod", Rules()))
    assert record.id == f"e1:act/rbac/{sha}/1"
    assert (record.channel, record.key, record.subject) == ("audit", "rbac/412", "activity/rbac")
    assert (record.time, record.service, record.correlation) == ("2024-03-09T10:15:43Z", "activity/v2", "job/412")
    assert data["subject"] == {"id": "u1", "name": "ops"}
    assert [each["id"] for each in data["objects"]] == ["412", "a.test"]
    assert data["events"] == [
        {"type": "run_task", "what": "node", "description": "request_task", "message": "Request a task"}
    ]
    assert (data["service"], data["ip_address"], data["time_basis"]) == ("rbac", "10.0.0.9, 127.0.0.1", "pe")


def test_secrets_are_hidden_and_no_digest_tells_them() -> None:
    origin = Origin("prod", Rules())
    one, other = (entry(1, text=f"Set password={word} on a.test") for word in ("hunter2hunter2", "correcthorse"))
    record = commit_record(origin, "e1", "rbac", one, "x/1", times.text(BEGIN), late=False)
    assert b"hunter2" not in msgspec.json.encode(record.data)
    assert record.data is not None
    assert record.data["redacted"]
    assert digest("rbac", one, origin) == digest("rbac", other, origin)


@pytest.mark.parametrize("huge", ["text", "objects", "deeds"])
def test_a_huge_entry_still_fits(huge: str) -> None:
    many = 20_000
    commit = entry(1, text="x" * 200_000) if huge == "text" else entry(1)
    if huge == "objects":
        commit = msgspec.structs.replace(commit, objects=tuple(Named(f"n{n}", "x" * 50, "node") for n in range(many)))
    if huge == "deeds":
        commit = msgspec.structs.replace(commit, deeds=tuple(Deed(f"did {n} " * 20) for n in range(many // 10)))
    record = commit_record(Origin("prod", Rules()), "e1", "rbac", commit, "x/1", times.text(BEGIN), late=False)
    assert len(msgspec.json.encode(record.data)) < 60_000


def test_both_versions_of_the_api_give_one_id() -> None:
    new = Commit(b"{}", "2024-03-09T10:15:43Z", Named("u", "ops"), (Named("1", "1", "job"),), (Deed("Did", "t", "w"),))
    old = Commit(b"{}", "2024-03-09T10:15:43.000Z", Named("u", "renamed"), (Named("1", "1"),), (Deed("Did"),))
    assert digest("rbac", new, Origin("prod", Rules())) == digest("rbac", old, Origin("prod", Rules()))
    assert digest("rbac", new, Origin("prod", Rules())) != digest("classifier", new, Origin("prod", Rules()))


def test_a_start_now_tells_only_what_comes() -> None:
    console = Console([entry(n) for n in range(3_000)])
    one = settled(life(console, "now"))
    assert told(one.store) == []
    assert "prod/activity-rbac" in one.store.documents, "where it began is remembered before anything happens"
    assert len(console.asked) < 8, "the end is found without reading everything"
    console.entries.append(entry(3_000))
    settled(one)
    assert numbers(one.store) == [3_000]


def test_a_start_now_on_an_empty_list_tells_the_first() -> None:
    console = Console()
    one = settled(life(console, "now"))
    console.entries.append(entry(1))
    settled(one)
    assert numbers(one.store) == [1]


def test_a_start_time_passes_over_what_is_older() -> None:
    console = Console([entry(n) for n in range(10)])
    stream = ActivityStream(settings("activity-rbac", start=Start("since", at=BEGIN + 6), poll_s=2.0))
    one = settled(Life(stream, console, now=BEGIN + 100))  # type: ignore[arg-type]
    assert numbers(one.store) == [6, 7, 8, 9]


@pytest.mark.parametrize(("job", "first"), [(Job(7, "running", b"{}", created=times.text(BEGIN + 8)), 8), (None, 0)])
def test_a_start_at_a_job_is_when_that_began(job: Job | None, first: int) -> None:
    console = Console([entry(n) for n in range(10)], job=job)
    stream = ActivityStream(settings("activity-rbac", start=Start("from", id=7), poll_s=2.0))
    one = settled(Life(stream, console, now=BEGIN + 100))  # type: ignore[arg-type]
    assert numbers(one.store) == list(range(first, 10))


@pytest.mark.parametrize(("most", "counts"), [(10_000, True), (10_000, False), (30, True)])
def test_a_purge_moves_the_place_and_nothing_else(most: int, counts: bool) -> None:
    console = Console([entry(n) for n in range(1_000)], most=most, counts=counts)
    one = settled(life(console))
    del console.entries[:900]
    console.entries += [entry(1_000), entry(1_001)]
    settled(one, 30.0)
    assert numbers(one.store) == list(range(1_002))
    assert notices(one.store) == []
    view = one.stream.view(one.state)  # type: ignore[attr-defined]
    assert view.position == 1_002, "the cursor never goes back within an epoch"


def test_a_restore_that_brings_back_what_was_purged_repeats_nothing() -> None:
    console = Console([entry(n) for n in range(5_000)])
    one = settled(life(console))
    whole = console.entries
    console.entries = whole[4_000:]
    settled(one)
    console.entries = [*whole, entry(5_000)]
    settled(one, 30.0)
    assert numbers(one.store) == list(range(5_001))
    assert notices(one.store) == []


def test_where_everything_known_was_purged_what_is_newer_is_told_in_a_new_epoch() -> None:
    console = Console([entry(n) for n in range(50)])
    one = settled(life(console))
    console.entries = [entry(n) for n in range(60, 65)]
    settled(one)
    assert numbers(one.store) == [*range(50), *range(60, 65)]
    assert notices(one.store) == ["source_reset"]
    assert {record.epoch for record in told(one.store)[50:]} == {"e2"}


def test_an_entry_of_a_clock_that_was_years_ahead_does_not_hide_what_follows_in_a_new_epoch() -> None:
    console = Console([entry(1), entry(2, at=BEGIN + 1e9)])
    one = settled(life(console))
    console.entries = [entry(3)]
    settled(one)
    assert numbers(one.store) == [1, 2, 3]


def test_a_restore_is_told_and_what_follows_is_a_new_epochs() -> None:
    console = Console([entry(n) for n in range(50)])
    one = settled(life(console))
    console.entries = [*console.entries[:40], *(entry(n) for n in range(100, 105))]
    settled(one)
    assert numbers(one.store) == [*range(50), *range(100, 105)]
    assert notices(one.store) == ["source_reset"]
    assert {record.id[:2] for record in told(one.store)[50:]} == {"e2"}


def test_a_restore_to_before_everything_known_repeats_nothing() -> None:
    console = Console([entry(n) for n in range(3_000)])
    one = settled(life(console))
    console.entries = [*console.entries[:1_000], entry(5_000)]
    settled(one, 30.0)
    assert numbers(one.store) == [*range(3_000), 5_000]
    assert notices(one.store) == ["source_reset"]


@pytest.mark.parametrize(
    ("before", "flood", "first", "then"),
    [(12, 24, [37, 38], [40, 41]), (20, 50, [71], range(72, 78)), (3, 30, [34, 35, 36], [37]), (14, 60, [75], [76])],
)
def test_a_restore_that_leaves_only_the_newest_known_ends_the_search(
    before: int, flood: int, first: list[int], then: Sequence[int]
) -> None:
    """The place was asked for without end: what is remembered was thought to stand below entries it is not below."""
    base: list[Commit | Odd] = [entry(n) for n in range(1, before + 1)]
    more: list[Commit | Odd] = [entry(n) for n in range(before + 1, before + flood + 1)]
    short: list[Commit | Odd] = [*base, *map(entry, first)]
    console = Console(base)
    one = settled(life(console, reach=SMALL))
    console.entries = short
    settled(one)
    console.most = 15
    console.entries = [*base, *more]
    one.until(one.now + 0.5)  # one look, and another list before it is confirmed
    console.entries = short
    one.until(one.now + 2.0)
    console.entries = [*short, *map(entry, then)]
    settled(one, 30.0)
    console.asked.clear()
    settled(one, 20.0)
    assert len(console.asked) <= 11, "it rests between looks"
    assert set(then) < set(numbers(one.store))
    assert len(set(one.store.ids)) == len(one.store.ids)
    assert len(numbers(one.store)) == len(set(numbers(one.store)))


def test_what_an_earlier_restore_took_back_is_no_news_when_another_brings_it_again() -> None:
    """Also where what went away had been purged in between, unseen."""
    whole: list[Commit | Odd] = [entry(n) for n in range(1, 41)]
    console = Console(whole)
    one = settled(life(console, reach=SMALL))
    console.entries = []
    one.claim()
    console.entries = whole[:36]
    settled(one)
    one.claim()
    console.entries = [*whole[3:], entry(41)]
    settled(one)
    assert numbers(one.store) == list(range(1, 42))
    assert notices(one.store) == ["source_reset"]


def test_what_was_purged_unseen_comes_back_and_only_that_is_told() -> None:
    """Nothing known was left, so an epoch began; the restore shows its last second once more, under the next one."""
    early: list[Commit | Odd] = [entry(n) for n in range(1, 6)]
    early.append(entry(5, text="in the same second"))
    unseen = [entry(n) for n in range(6, 22)]
    console = Console(early)
    one = settled(life(console, reach=SMALL))
    console.entries = [*unseen[-2:], *(entry(n) for n in range(22, 26))]
    settled(one)
    one.claim()
    console.entries = [*early, *unseen]
    settled(one)
    counted = Counter(numbers(one.store))
    assert counted == Counter([*range(1, 26), 5])
    assert {record.epoch for record in told(one.store) if record.data and record.data.get("late")} == {"e3"}
    assert notices(one.store) == ["source_reset"] * 2


def test_two_states_that_restores_go_back_and_forth_between_are_told_once_each() -> None:
    early: list[Commit | Odd] = [entry(n) for n in range(1, 61)]
    later: list[Commit | Odd] = [entry(n) for n in range(61, 67)]
    console = Console(early)
    one = settled(life(console, reach=SMALL))
    for there in (later, early, later, [*early, *later, entry(67)]):
        console.entries = there
        settled(one)
        one.claim()
    assert numbers(one.store) == list(range(1, 68))


def test_what_comes_back_as_others_vanish_is_still_in_mind() -> None:
    early: list[Commit | Odd] = [entry(n) for n in range(1, 61)]
    one_state, other = [entry(n) for n in range(61, 66)], [entry(n) for n in range(66, 86)]
    console = Console(early)
    one = settled(life(console, reach=SMALL))
    for more in (one_state, other, one_state):
        console.entries = [*early, *more]
        settled(one)
    assert numbers(one.store) == list(range(1, 86))


def test_what_is_purged_pushes_nothing_of_an_epochs_last_second_out_of_mind() -> None:
    early: list[Commit | Odd] = [entry(n) for n in range(1, 22)]
    same: list[Commit | Odd] = [entry(62, text=f"Create Node {n}") for n in range(61, 66)]
    later = [*(entry(n) for n in range(21, 61)), *same]
    console = Console(early)
    one = settled(life(console, reach=SMALL))
    for there in (later, early, later):
        console.entries = there
        settled(one)
    assert len(told(one.store)) == 21 + 39 + 5


def test_what_was_purged_is_no_news_where_an_old_servers_page_hides_which_way_it_runs() -> None:
    same = [entry(n, at=BEGIN + 1) for n in (1, 2)]
    console = Console(list(same))
    one = settled(life(console, reach=SMALL))
    console.entries = [same[1], entry(3)]
    settled(one)
    console.entries, console.newest_first = list(same), True
    settled(one)
    assert numbers(one.store) == [1, 2, 3]


def test_one_more_of_equal_entries_is_seen_across_the_pages_of_a_server_that_gives_out_few() -> None:
    """Each page by itself fits what is known; only together they show that there is one more."""
    console = Console([entry(n) for n in range(1, 26)], most=15)
    one = settled(life(console, reach=SMALL))
    same = entry(26, text="Log in")
    console.entries += [same] * 6
    settled(one)
    console.entries += [entry(n) for n in range(27, 31)]
    settled(one)
    console.entries.insert(25, same)
    settled(one)
    assert len(told(one.store)) == 25 + 7 + 4
    assert notices(one.store) == []


def test_one_that_shows_late_where_others_were_purged_hides_nothing_of_what_is_known_below_it() -> None:
    """The look begins with it, and the list ends soon behind: as few were looked for below it as stood behind."""
    console = Console([entry(n) for n in range(1, 89) if n != 85])
    one = settled(life(console, reach=SMALL))
    console.entries = [entry(n) for n in range(22, 89)]
    settled(one)
    assert sorted(numbers(one.store)) == list(range(1, 89))
    assert notices(one.store) == []


def test_equal_entries_that_do_not_tell_the_order_are_looked_at_from_the_bottom_once() -> None:
    """Twins on the upper page, what is missing between the pages: each sent the look to the other without end."""
    console = Console([entry(n) for n in range(1, 6)])
    one = settled(life(console, "now", reach=SMALL))
    base = [*console.entries, *(entry(n) for n in range(6, 11))]
    console.entries = [*base, *(entry(n) for n in range(11, 14))]
    settled(one)
    console.most = 15
    console.entries = base
    one.until(one.now + 2.0)  # one look, and another list before it is confirmed
    console.entries = [*base, *(entry(14, text="Log in") for _ in range(7))]
    settled(one, 20.0)
    console.asked.clear()
    settled(one, 20.0)
    assert len(console.asked) <= 11
    assert len(told(one.store)) == 5 + 3 + 7
    assert len(set(one.store.ids)) == len(one.store.ids)


def test_what_an_earlier_epoch_told_or_a_start_left_out_is_not_told_as_late() -> None:
    console = Console([entry(n) for n in range(1, 6)])
    one = settled(life(console, "now", reach=SMALL))
    whole: list[Commit | Odd] = [entry(n) for n in range(1, 22)]
    console.entries = whole[20:]  # what came since was purged with all that was known
    settled(one)
    assert numbers(one.store) == [21]
    one.claim()
    console.entries = whole
    settled(one)
    assert sorted(numbers(one.store)) == list(range(6, 22))


def test_a_page_of_one_does_not_show_a_restore_where_the_server_turned_its_list() -> None:
    """Also where an earlier search had been down to the bottom."""
    console = Console([entry(n, at=BEGIN + (n + 1) // 2) for n in range(1, 8)])
    one = settled(life(console, reach=SMALL))
    first = list(console.entries)
    console.entries = [*first, *(entry(n) for n in range(8, 11))]
    settled(one)
    console.entries = first
    settled(one)
    console.entries, console.newest_first = first[3:], True
    settled(one)
    assert numbers(one.store) == list(range(1, 11))
    assert notices(one.store) == ["source_reset"]


def test_one_of_equal_entries_that_was_purged_is_not_looked_for_among_what_is_new() -> None:
    same = [entry(1, text="Log in")] * 4
    console = Console(list(same))
    one = settled(life(console, reach=SMALL))
    console.entries = [*same[1:], *(entry(n) for n in range(2, 42))]
    settled(one)
    console.entries = list(same)
    settled(one)
    assert len(told(one.store)) == 4 + 40
    assert notices(one.store) == ["source_reset"]


def test_what_was_purged_as_a_new_epoch_began_is_not_new_when_it_comes_back() -> None:
    whole = [entry(n, at=BEGIN + (n + 1) // 2) for n in range(1, 21)]  # the last two of one second: no order to see
    console = Console(list(whole))
    one = settled(life(console, reach=SMALL))
    console.entries = [*whole, entry(21), entry(22)]
    settled(one)
    console.most = 15
    console.entries = list(whole)
    one.until(one.now + 2.0)
    console.entries = whole[1:]
    settled(one)
    console.entries = list(whole)
    settled(one)
    assert numbers(one.store) == list(range(1, 23))


def test_what_shows_late_below_all_that_a_new_epoch_knows_is_told() -> None:
    console = Console([entry(1)])
    one = settled(life(console))
    console.entries = [entry(3)]
    settled(one)
    console.entries = [entry(2), entry(3)]
    settled(one)
    assert numbers(one.store) == [1, 3, 2]


@pytest.mark.parametrize("start", ["now", "earliest"])
def test_an_unreadable_entry_is_not_taken_for_the_one_that_is_known(start: str) -> None:
    console = Console([entry(1)])
    one = settled(life(console, start))
    console.entries = [Odd(b"{", "torn"), entry(3)]
    one.until(one.now + 2.5)
    console.entries = [entry(2), entry(3)]
    settled(one)
    assert numbers(one.store)[-2:] == [2, 3]


def test_what_cannot_be_read_for_a_moment_does_not_hide_that_the_place_moved() -> None:
    """One became visible late, and a torn page fitted as if nothing had: the newest was told as another like it."""
    shown = [1, 2, 3, 4, 6, 7, 8]
    console = Console([entry(n) for n in shown])
    one = settled(life(console))
    console.entries = [entry(n) if n in {1, 3, 8} else Odd(b"{", "torn") for n in range(1, 9)]
    one.until(one.now + 2.5)
    console.entries = [entry(n) for n in range(1, 9)]
    settled(one)
    assert numbers(one.store) == [*shown, 5]
    assert notices(one.store) == []


def test_waiting_for_a_known_entry_is_not_held_against_what_follows_it() -> None:
    console = Console([entry(n) for n in range(1, 5)])
    one = settled(life(console))
    console.entries = [Odd(b"{", "torn")] * 6
    one.until(one.now + 4.5)
    console.entries = [entry(n) for n in range(1, 7)]
    settled(one)
    assert numbers(one.store) == list(range(1, 7))
    assert one.store.of("quarantine.v1") == []


def test_known_entries_that_stay_unreadable_hold_nothing_up() -> None:
    console = Console([entry(n) for n in range(5)])
    one = settled(life(console))
    console.entries[2] = Odd(b"{", "broken since")
    console.entries.append(entry(5))
    settled(one)
    assert numbers(one.store) == list(range(6))
    console.asked.clear()
    settled(one)
    assert len(console.asked) <= 6


@pytest.mark.parametrize("lie", ["short", "empty", "older", "another"])
def test_one_answer_from_a_replica_that_lags_changes_nothing(lie: str) -> None:
    console = Console([entry(n) for n in range(50)])
    one = settled(life(console))
    there = console.entries
    another = [entry(n) for n in range(900, 905)]
    console.entries = {"short": there[:45], "empty": [], "older": there[:10], "another": another}[lie]
    one.now += 2.0
    while one.lap():
        pass
    console.entries = [*there, entry(50)]
    settled(one)
    assert numbers(one.store) == list(range(51))
    assert notices(one.store) == []


def test_an_empty_list_says_nothing_however_often() -> None:
    console = Console([entry(n) for n in range(50)])
    one = settled(life(console))
    there, console.entries = console.entries, []
    settled(one, 60.0)
    console.entries = [*there, entry(50)]
    settled(one)
    assert numbers(one.store) == list(range(51))
    assert notices(one.store) == []


@pytest.mark.parametrize("depth", [1, 10, 19, 21, 150])
def test_what_becomes_visible_late_is_told_late(depth: int) -> None:
    console = Console([entry(n) for n in range(400)])
    one = settled(life(console))
    console.entries.insert(400 - depth, entry(999, at=BEGIN + 400 - depth))
    settled(one)
    assert sorted(numbers(one.store)) == [*range(400), 999]
    late = told(one.store)[-1]
    assert late.data is not None
    assert late.data["late"] is True
    assert notices(one.store) == []


def test_equal_entries_are_told_apart_by_their_number() -> None:
    same = entry(1, text="Log in")
    console = Console([same, same, entry(2), entry(3)])
    one = settled(life(console))
    console.entries += [entry(4, text="again"), entry(4, text="again")]
    one.claim()
    console.entries.append(entry(4, text="again"))
    settled(one)
    one.claim()
    console.entries.append(entry(4, text="again"))
    settled(one)
    suffixes = [record.id.rpartition("/")[2] for record in told(one.store)]
    assert suffixes == ["1", "2", "1", "1", "1", "2", "3", "4"]
    assert len(set(one.store.ids)) == len(one.store.ids)


@pytest.mark.parametrize("most", [10_000, 40])
@pytest.mark.parametrize("start", ["earliest", "now"])
def test_a_server_that_begins_with_the_newest_is_read_from_the_oldest(most: int, start: str) -> None:
    console = Console([entry(n) for n in range(500)], newest_first=True, most=most)
    one = settled(life(console, start), 20.0)
    console.entries += [entry(n) for n in range(500, 700)]
    settled(one, 20.0)
    assert numbers(one.store) == list(range(0 if start == "earliest" else 500, 700))
    one.claim()
    console.newest_first = False  # upgraded
    console.entries.append(entry(700))
    settled(one)
    assert numbers(one.store)[-1] == 700
    assert len(set(one.store.ids)) == len(one.store.ids)
    assert notices(one.store) == []


def test_a_quiet_list_costs_one_small_request_a_look() -> None:
    console = Console([entry(n) for n in range(500)])
    one = settled(life(console))
    console.asked.clear()
    one.until(one.now + 20.0)
    assert 9 <= len(console.asked) <= 11
    assert all(isinstance(asked, Activity) and asked.offset == 480 for asked in console.asked)


def test_a_count_that_is_wrong_is_no_reason_to_ask_for_ever() -> None:
    console = Console([entry(n) for n in range(50)])
    answer = console.answer
    console.answer = lambda question, now: msgspec.structs.replace(answer(question, now), total=70)  # type: ignore
    one = settled(life(console))
    console.asked.clear()
    one.until(one.now + 20.0)
    assert len(console.asked) <= 11
    assert numbers(one.store) == list(range(50))


@pytest.mark.parametrize("how", ["grows", "jumps", "turns", "tears"])
def test_whatever_a_server_answers_it_is_not_asked_without_end(how: str) -> None:
    console = Console()
    turns = count()

    def answer(question: Question, now: float) -> Answer:
        turn = next(turns)
        assert isinstance(question, Activity)
        numbers = range(turn * 100, turn * 100 + 15) if how != "grows" else range(question.offset, question.offset + 15)
        items = tuple(Odd(b"{%d" % n, "torn") if how == "tears" and n % 2 else entry(n) for n in numbers)
        items = items[::-1] if how == "turns" and turn % 3 == 0 else items
        return Page(items, total=question.offset + 1_000)

    console.answer = answer  # type: ignore[method-assign]
    one = life(console, reach=SMALL)
    one.until(one.now + 40.0)
    assert next(turns) <= 20 * ASKS_MAX


@given(st.data())
@settings_of(max_examples=30)
def test_no_answers_make_it_ask_more_than_its_share(data: st.DataObject) -> None:
    """Pages of anything, in any order, with any count, of any server that changes its mind each time."""
    number = st.integers(0, 60)
    items = st.lists(st.one_of(number.map(entry), number.map(lambda n: Odd(b"{%d" % n, "torn"))), max_size=45)
    run = st.tuples(number, st.integers(0, 40)).map(lambda pair: [entry(n) for n in range(pair[0], sum(pair))])
    rows = st.one_of(run, run, items, run.map(lambda told: told[::-1]))
    total = st.one_of(st.none(), st.integers(0, 120))
    page = st.builds(lambda rows, total, cut: Page(tuple(rows), total=total, cut=cut), rows, total, st.booleans())
    answers = st.one_of(page, page, page, st.sampled_from(list(TROUBLES.values())))
    script = data.draw(st.lists(answers, min_size=1, max_size=12))
    stream = ActivityStream(settings("activity-rbac", poll_s=2.0, start=Start(data.draw(STARTS))), SMALL)
    state, now, asked = stream.recall("w1").state(), BEGIN, Counter[int]()
    for turn in range(300):
        now += stream.due(state, now)
        (question,) = stream.ask(state, now)
        asked[int((now - BEGIN) // 2.0)] += 1
        state = stream.fold(state, [Reply(question, script[turn % len(script)], now, now)], now).state
    assert max(asked.values()) <= 2 * ASKS_MAX


def test_the_first_version_stands_in_for_the_second() -> None:
    console = Console([entry(1)], trouble={2: ABSENT})
    one = settled(life(console))
    assert numbers(one.store) == [1]
    assert one.troubles == []


def test_no_such_api_is_told_once_and_looked_for_again() -> None:
    console = Console([entry(1)], trouble={1: ABSENT, 2: ABSENT})
    one = life(console)
    one.until(one.now + 3_000, step=5.0)
    assert len(one.troubles) == 1
    assert len(console.asked) <= 12
    console.trouble.clear()
    one.until(one.now + 700, step=5.0)
    assert numbers(one.store) == [1]


def test_an_api_that_was_there_and_is_another_now_is_looked_for_soon_though_its_list_is_empty() -> None:
    console = Console(trouble={2: ABSENT})
    one = settled(life(console, "now"))
    console.trouble = {1: ABSENT}
    console.entries.append(entry(1))
    settled(one)
    assert numbers(one.store) == [1]


def test_a_refused_limit_is_lowered() -> None:
    console = Console([entry(n) for n in range(300)])
    answer = console.answer

    def strict(question: Question, now: float) -> Answer:
        if isinstance(question, Activity) and question.limit > 100:
            return Trouble("invalid", "limit is at most 100", status=400)
        return answer(question, now)

    console.answer = strict  # type: ignore[method-assign]
    assert numbers(settled(life(console)).store) == list(range(300))


def test_what_stays_unreadable_is_set_aside_once_and_passed() -> None:
    torn = Odd(b'{"timestamp":1e999}', "not JSON that can be read")
    console = Console([entry(1), torn, entry(2)])
    one = settled(life(console), 20.0)
    assert numbers(one.store) == [1, 2]
    assert len(one.store.of("quarantine.v1")) == 1
    one.claim()
    console.entries.append(entry(3))
    settled(one, 20.0)
    assert numbers(one.store) == [1, 2, 3]
    assert len(one.store.of("quarantine.v1")) == 1


def test_what_is_unreadable_for_a_moment_is_waited_for() -> None:
    console = Console([entry(1), Odd(b"{", "torn"), entry(3)])
    one = life(console)
    one.until(one.now + 1.0, step=0.5)
    assert numbers(one.store) == [1]
    console.entries[1] = entry(2)
    settled(one)
    assert numbers(one.store) == [1, 2, 3]
    assert one.store.of("quarantine.v1") == []


@pytest.mark.parametrize("fate", ["refused", "answer_lost"])
def test_a_commit_that_fails_repeats_and_loses_nothing(fate: str) -> None:
    console = Console([entry(n) for n in range(3_000)])
    one = life(console)
    one.until(one.now + 10.0, fates=iter(["ok", fate, "ok", fate]))
    assert numbers(one.store) == list(range(3_000))


def test_the_memory_stays_small_and_is_read_back() -> None:
    one = settled(life(Console([entry(n) for n in range(5_000)])))
    document = one.store.documents["prod/activity-rbac"]
    assert len(document) < 4_096
    _, known = memory.decode("prod/activity-rbac", document, url="https://pe.test", keys="bare", adopt=False)
    assert (known.position, len(known.digests)) == (5_000, 200)


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: told | {"v": 9},
        lambda told: told | {"url": "https://other.test"},
        lambda told: told | {"digests": "!"},
        lambda told: told | {"digests": "AAAA"},
        lambda told: told | {"high": 1},
    ],
)
def test_a_memory_that_cannot_be_ours_is_refused(damage: Any) -> None:
    one = settled(life(Console([entry(n) for n in range(50)])))
    document = one.store.documents["prod/activity-rbac"]
    one.store.documents["prod/activity-rbac"] = msgspec.json.encode(damage(msgspec.json.decode(document)))
    with pytest.raises(Corrupt):
        one.claim()
