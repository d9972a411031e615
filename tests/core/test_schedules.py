"""The schedules stream by hand: what is told of scheduled jobs, and of runs that did not happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from orchbridge.core import times
from orchbridge.core.errors import Corrupt
from orchbridge.core.facts import LastRun, Odd, Owner, Schedule, TaskMeta
from orchbridge.core.questions import Answer, Page, Question, Schedules, TaskMetadata, Trouble
from orchbridge.core.records import Record
from orchbridge.core.schedules.stream import UNTOLD, ScheduleStream
from orchbridge.core.walk import Start
from tests.core.live import Life, Store, settings

BEGIN = 1_700_000_000.0
ABSENT = Trouble("absent", "not found", status=404)


def schedule(
    id_: int = 31, *, planned: float | None = 1_000.0, every: float | None = 3_600.0, last: LastRun | None = None,
    kind: str = "plan", params: dict[str, Any] | None = None, **more: Any,
) -> Schedule:  # fmt: skip
    parameters = {name: {"value": value} for name, value in (params or {"batch": 5}).items()}
    what = {"name": "rollout::web", "parameters": parameters}
    parts = {"input": msgspec.json.encode(what), "description": b'"weekly"', "schedule": b'{"interval":1}'}
    given = {"owner": Owner("u1", "ops"), "environment": "production", "description": "weekly", **more}
    return Schedule(
        id_, msgspec.json.encode({"name": str(id_), "input": what}), kind, "rollout::web", interval_s=every,
        planned=None if planned is None else times.text(BEGIN + planned), last=last, parts=parts, **given,
    )  # fmt: skip


def run(at: float, id_: int = 82, error: bytes | None = None) -> LastRun:
    stamp = times.text(BEGIN + at)
    return LastRun(stamp, None, None, error) if error else LastRun(stamp, "plan", id_)


@dataclass
class Orchestrator:
    """Scheduled jobs of the newer API, of the older one, or of neither."""

    items: list[Schedule | Odd] = field(default_factory=list)
    old: list[Schedule] | None = None
    newer: bool = True
    trouble: Trouble | None = None
    tasks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    most: int = 1_000
    hidden: int = 0  # rows that the server counts and does not show
    ahead: float | None = None  # of the bridge's clock, where it tells its own
    asked: list[Question] = field(default_factory=list)

    def answer(self, question: Question, now: float) -> Answer:
        self.asked.append(question)
        if isinstance(question, TaskMetadata):
            found = self.tasks.get(question.task)
            return Trouble("missing", "unknown-task") if found is None else TaskMeta(question.task, found)
        assert isinstance(question, Schedules)
        if self.trouble is not None:
            return self.trouble
        rows = self.old if question.old else self.items if self.newer else None
        if rows is None:
            return ABSENT
        page = rows[question.offset : question.offset + min(question.limit, self.most)]
        return Page(tuple(page), total=len(rows) + self.hidden, at=None if self.ahead is None else now + self.ahead)


def life(server: Orchestrator, start: str = "now", **more: Any) -> Life:
    given = {"start": Start(start), "poll_s": 10.0, "missed_after_s": 60.0, **more}
    return Life(ScheduleStream(settings("schedules", **given)), server, now=BEGIN)  # type: ignore[arg-type]


def settled(one: Life, seconds: float = 30.0) -> Life:
    one.until(one.now + seconds, step=5.0)
    return one


def words(store: Store) -> list[str]:
    """Return what was told: `31 created`."""
    return [f"{r.subject.partition('/')[2]} {r.type[9:-3]}" for r in store.records if r.type.startswith("schedule.")]


def data(record: Record) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record.data))
    return told


@pytest.mark.parametrize(("start", "told"), [("now", []), ("earliest", ["31 created", "32 created"])])
def test_what_was_there_before_is_news_only_where_history_is_wanted(start: str, told: list[str]) -> None:
    one = settled(life(Orchestrator([schedule(31), schedule(32)], most=1), start))
    assert words(one.store) == told
    assert {"prod/schedules", "prod/schedules/31", "prod/schedules/32"} <= set(one.store.documents)


def test_made_changed_switched_off_and_gone() -> None:
    server = Orchestrator()
    one = settled(life(server))
    server.items = [schedule()]
    settled(one)
    server.items = [schedule(params={"batch": 9})]
    settled(one)
    server.items = [schedule(params={"batch": 9}, enabled=False)]
    settled(one)
    server.items = []
    settled(one, 60.0)
    assert words(one.store) == ["31 created", "31 changed", "31 disabled"]
    ids = [record.id for record in one.store.records if record.key == "schedule/31"]
    assert ids == [f"e1:schedule/31/revision/{n}" for n in (1, 2, 3)]
    created, changed, disabled = (record for record in one.store.records if record.key == "schedule/31")
    assert (created.channel, created.subject) == ("jobs", "schedule/31")
    about = data(created)["schedule"]
    assert (about["name"], about["owner"]["login"], about["interval_s"]) == ("rollout::web", "ops", 3600.0)
    assert data(changed)["changed"] == ["input"]
    assert data(disabled)["reason"] == "switched_off"


def test_one_that_vanishes_is_disabled_once_two_readings_agree() -> None:
    server = Orchestrator([schedule(31), schedule(32)])
    one = settled(life(server))
    server.items = [schedule(32)]
    one.until(one.now + 5.0, step=5.0)
    server.items = [schedule(31), schedule(32)]
    settled(one)
    assert words(one.store) == []
    server.items = [schedule(32)]
    settled(one)
    assert words(one.store) == ["31 disabled"]
    record = one.store.records[-1]
    assert (data(record)["reason"], data(record)["confirmed_by"]) == ("vanished", 2)
    assert data(record)["schedule"]["name"] == "rollout::web"
    server.items = [schedule(31), schedule(32)]
    settled(one)
    assert words(one.store)[-1] == "31 changed", "it is there again, which is no second birth"
    assert len(set(one.store.ids)) == len(one.store.ids)


def test_an_empty_list_has_to_say_so_three_times() -> None:
    server = Orchestrator([schedule()])
    one = settled(life(server))
    server.items = []
    for _ in range(2):
        one.now += 10.0
        one.lap()
    assert words(one.store) == []
    one.now += 10.0
    one.lap()
    assert words(one.store) == ["31 disabled"]


def test_one_that_was_for_once_and_is_over_is_removed() -> None:
    server = Orchestrator([schedule(every=None), schedule(32)])
    one = settled(life(server))
    server.items = [schedule(every=None, planned=None, last=run(0.0)), schedule(32)]
    settled(one)
    server.items = [schedule(32)]
    settled(one)
    assert words(one.store) == ["31 removed"]
    assert data(one.store.records[-1])["reason"] == "over"
    assert "prod/schedules/31" not in one.store.documents
    server.items = [schedule(31), schedule(32)]
    settled(one)
    assert one.store.ids[-1] == "e1:schedule/31/revision/3", "no id comes twice, though its document is gone"


@pytest.mark.parametrize("old", [[schedule(32)], []])
def test_the_older_api_tells_what_was_deleted_but_never_by_an_empty_list(old: list[Schedule]) -> None:
    server = Orchestrator(newer=False, old=[schedule(31), schedule(32)])
    one = settled(life(server))
    server.old = old
    settled(one, 300.0)
    assert words(one.store) == (["31 removed"] if old else [])


def test_the_older_api_moves_the_time_with_each_run_and_tells_of_no_run_so_none_is_missed() -> None:
    def row(planned: float) -> Schedule:
        return schedule(31, planned=planned, every=None, runs_told=False)

    server = Orchestrator(newer=False, old=[row(20.0), schedule(32)])
    one = settled(life(server))
    for planned in (320.0, 620.0):
        server.old = [row(planned), schedule(32)]
        settled(one, 300.0)
    assert words(one.store) == []
    settled(one, 300.0)
    assert words(one.store) == [], "what is late there says nothing"
    server.old = [schedule(32)]
    settled(one)
    assert words(one.store) == ["31 removed"]
    assert data(one.store.records[-1])["reason"] == "over"


def test_no_such_api_is_told_once_and_looked_for_again() -> None:
    server = Orchestrator(newer=False)
    one = life(server, "earliest")
    one.until(one.now + 3_000, step=5.0)
    assert len(one.troubles) == 1
    assert len(server.asked) <= 14
    server.newer, server.items = True, [schedule(planned=9_000.0)]
    one.until(one.now + 700, step=5.0)
    assert words(one.store) == ["31 created"]


def test_a_run_that_does_not_come_is_missed_once() -> None:
    server = Orchestrator([schedule(planned=20.0, last=run(-3_580.0))])
    one = settled(life(server), 75.0)
    assert words(one.store) == [], "it has a while to show"
    settled(one, 60.0)
    assert words(one.store) == ["31 run.missed"]
    record = one.store.records[-1]
    assert record.id == f"e1:schedule/31/missed/{times.text(BEGIN + 20)}"
    assert (data(record)["planned_at"], data(record)["reason"]) == (times.text(BEGIN + 20), "no_run")
    assert data(record)["last_run"]["started"] == "plan/82"
    one.claim()
    server.items = [schedule(planned=3_620.0, last=run(-3_580.0))]
    settled(one, 100.0)
    assert words(one.store) == ["31 run.missed"]


def test_a_run_that_is_skipped_over_is_missed_when_its_time_is_over() -> None:
    server = Orchestrator([schedule(planned=20.0, last=run(-3_580.0))])
    one = settled(life(server))
    server.items = [schedule(planned=3_620.0, last=run(-3_580.0))]
    settled(one, 100.0)
    assert words(one.store) == ["31 run.missed"]


@pytest.mark.parametrize(("error", "reasons"), [(None, ["no_run"]), (b"{}", ["no_run", "submission_error"])])
def test_a_run_that_is_left_out_is_missed_when_the_next_one_shows_first(
    error: bytes | None, reasons: list[str]
) -> None:
    server = Orchestrator([schedule(planned=20.0, every=60.0)])
    one = settled(life(server, missed_after_s=300.0), 30.0)
    server.items = [schedule(planned=80.0, every=60.0)]
    settled(one, 55.0)
    server.items = [schedule(planned=1_000.0, every=60.0, last=run(80.0, 83, error=error))]
    settled(one, 100.0)
    told = [data(record) for record in one.store.records if record.type == "schedule.run.missed.v1"]
    assert [record["reason"] for record in told] == reasons
    assert [record["planned_at"] for record in told] == [times.text(BEGIN + at) for at in (20, 80)[: len(told)]]


def test_a_run_that_nobody_looked_for_may_have_been_though_the_next_one_shows_first() -> None:
    server = Orchestrator([schedule(planned=20.0, every=60.0)])
    one = settled(life(server, missed_after_s=300.0), 10.0)
    server.trouble = Trouble("server", "starting", status=503)
    settled(one, 75.0)
    server.trouble, server.items = None, [schedule(planned=140.0, every=60.0, last=run(80.0, 83))]
    settled(one, 40.0)
    assert words(one.store) == []


@pytest.mark.parametrize("late", [0.0, 40.0])
def test_a_run_that_comes_is_none_that_is_missed(late: float) -> None:
    server = Orchestrator([schedule(planned=20.0, last=run(-3_580.0))])
    one = settled(life(server), 20.0 + late)
    server.items = [schedule(planned=3_620.0, last=run(21.0 + late, 83))]
    settled(one, 300.0)
    assert words(one.store) == []


def test_a_run_that_could_not_be_submitted_is_missed_with_the_reason() -> None:
    server = Orchestrator([schedule(planned=20.0)])
    one = settled(life(server))
    error = b'{"kind":"puppetlabs.orchestrator/unknown-environment","msg":"password=hunter2hunter2"}'
    server.items = [schedule(planned=3_620.0, last=run(20.0, error=error))]
    settled(one, 200.0)
    assert words(one.store) == ["31 run.missed"]
    told = data(one.store.records[-1])
    assert told["reason"] == "submission_error"
    assert told["error"]["kind"] == "puppetlabs.orchestrator/unknown-environment"
    assert "hunter2" not in str(told)


def test_an_outcome_that_comes_after_all_is_not_told_as_a_second_miss() -> None:
    server = Orchestrator([schedule(planned=20.0)])
    one = settled(life(server), 200.0)
    server.items = [schedule(planned=20.0, last=run(22.0, error=b"{}"))]
    settled(one, 100.0)
    assert words(one.store) == ["31 run.missed"]


@pytest.mark.parametrize("at", [10.0, 60.0])
def test_a_run_that_is_moved_is_not_missed(at: float) -> None:
    server = Orchestrator([schedule(planned=20.0)])
    one = life(server)
    one.until(one.now + at, step=5.0)
    moved = msgspec.structs.replace(schedule(planned=900.0), parts={"schedule": b"2"})
    server.items = [moved]
    settled(one, 200.0)
    assert words(one.store) == ["31 changed"]


def test_what_was_missed_before_the_start_is_history() -> None:
    past = [schedule(31, planned=-900.0), schedule(32, last=run(-9.0, error=b"{}"))]
    assert words(settled(life(Orchestrator(list(past))), 200.0).store) == []
    told = words(settled(life(Orchestrator(list(past)), "earliest"), 200.0).store)
    assert sorted(told) == ["31 created", "31 run.missed", "32 created", "32 run.missed"]


def test_a_bridge_that_was_away_tells_a_run_that_did_not_happen_meanwhile() -> None:
    server = Orchestrator([schedule(planned=20.0)])
    one = life(server)
    one.until(one.now + 10.0, step=5.0)
    one.now += 50_000.0
    one.claim()
    server.items = [schedule(planned=54_000.0)]
    settled(one, 40.0)
    assert words(one.store) == [], "it may be about to catch up"
    settled(one, 40.0)
    assert words(one.store) == ["31 run.missed"]


@pytest.mark.parametrize("planned", [20.0, 3_620.0], ids=["still planned", "planned anew"])
@pytest.mark.parametrize("down", [10.0, 50.0], ids=["before it is due", "while it is looked for"])
@pytest.mark.parametrize("comes", [True, False])
def test_a_run_that_is_caught_up_after_an_outage_is_none_that_is_missed(
    planned: float, down: float, comes: bool
) -> None:
    server = Orchestrator([schedule(planned=20.0, last=run(-3_580.0))])
    one = settled(life(server), down)
    server.trouble = Trouble("unreachable", "down")
    settled(one, 300.0)
    server.trouble, server.items = None, [schedule(planned=planned, last=run(-3_580.0))]
    asked = len(server.asked)
    while len(server.asked) == asked:
        one.until(one.now + 1.0, step=1.0)
    settled(one, 10.0)
    assert words(one.store) == []
    if comes:
        server.items = [schedule(planned=3_620.0, last=run(one.now - BEGIN, 83))]
    settled(one, 100.0)
    assert words(one.store) == ([] if comes else ["31 run.missed"])


@pytest.mark.parametrize("ahead", [-1_000.0, 1_000.0])
def test_what_is_due_is_told_by_the_servers_clock(ahead: float) -> None:
    server = Orchestrator([schedule(planned=20.0 + ahead, last=run(-3_580.0))], ahead=ahead)
    one = settled(life(server, "earliest"), 75.0)
    assert words(one.store) == ["31 created"]
    settled(one, 30.0)
    assert words(one.store) == ["31 created", "31 run.missed"]


def test_looks_that_are_seldom_tell_of_a_miss_all_the_same() -> None:
    server = Orchestrator([schedule(planned=20.0)])
    one = life(server, poll_s=1_000.0)
    one.until(one.now + 2_100.0, step=50.0)
    assert words(one.store) == ["31 run.missed"]


def test_sensitive_parameters_are_hidden_and_their_changes_with_them() -> None:
    params = {"size": "large", "api": "s3cr3ts3cr3t"}
    server = Orchestrator([schedule(params=params, sensitive=("api",))])
    one = settled(life(server, "earliest"))
    server.items = [schedule(params={**params, "api": "0ther0ther"}, sensitive=("api",))]
    settled(one)
    assert words(one.store) == ["31 created"]
    everything = msgspec.json.encode([record.data for record in one.store.records])
    assert b"s3cr3t" not in everything
    assert b"large" in everything


@pytest.mark.parametrize(("declared", "shown"), [(("pin",), True), (None, False)])
def test_parameters_of_a_task_wait_for_what_it_declares(declared: tuple[str, ...] | None, shown: bool) -> None:
    tasks = {} if declared is None else {"rollout::web": declared}
    server = Orchestrator([schedule(kind="task", params={"pin": "4711471147", "size": "large"})], tasks=tasks)
    one = settled(life(server, "earliest"))
    (record,) = one.store.of("schedule.created.v1")
    text = msgspec.json.encode(record.data)
    assert b"4711" not in text
    assert (b"large" in text) is shown


def test_a_task_that_can_be_read_again_makes_no_change() -> None:
    server = Orchestrator([schedule(kind="task", params={"size": "large"})])
    one = settled(life(server, "earliest"))
    server.tasks = {"rollout::web": ()}
    one.claim()
    settled(one)
    server.tasks = {}
    one.claim()
    settled(one)
    assert words(one.store) == ["31 created"]


def test_rows_that_are_none_are_set_aside_and_nobody_is_gone_for_them() -> None:
    server = Orchestrator([schedule(31), schedule(32)])
    one = settled(life(server))
    server.items = [Odd(b'{"name":1e999}', "not JSON that can be read"), schedule(32)]
    settled(one, 100.0)
    assert words(one.store) == []
    assert len(one.store.of("quarantine.v1")) == 1


@pytest.mark.parametrize("why", ["a row without an id", "rows that are counted and not shown"])
@pytest.mark.parametrize("most", [1, 1_000])
def test_a_list_that_is_not_whole_tells_what_is_new_and_says_that_nobody_is_held_to_be_gone(
    why: str, most: int
) -> None:
    odd: list[Schedule | Odd] = [Odd(b'{"x":1}', "no id")] if "id" in why else []
    server = Orchestrator([*odd, schedule(31)], most=most, hidden=0 if odd else 2)
    one = settled(life(server))
    assert words(one.store) == []
    server.items = [*odd, schedule(31), schedule(32)]
    settled(one)
    assert words(one.store) == ["32 created"]
    server.items = [*odd, schedule(32)]
    said = one.troubles.count(("the schedules", Trouble("malformed", UNTOLD)))
    assert said >= 4
    settled(one, 100.0)
    assert words(one.store) == ["32 created"], "31 may be what cannot be read"
    assert one.troubles.count(("the schedules", Trouble("malformed", UNTOLD))) >= said + 9
    server.items, server.hidden = [schedule(32)], 0
    settled(one)
    assert words(one.store) == ["32 created", "31 disabled"]


def test_a_list_that_ends_too_early_once_makes_nothing_new() -> None:
    server = Orchestrator([schedule(31)], hidden=1)
    one = life(server)
    one.until(one.now + 5.0, step=5.0)
    server.items, server.hidden = [schedule(31), schedule(32)], 0
    settled(one)
    assert words(one.store) == []


@pytest.mark.parametrize("trouble", ["server", "unreachable", "malformed", "throttled"])
def test_no_list_is_no_news(trouble: str) -> None:
    server = Orchestrator([schedule()])
    one = settled(life(server))
    server.trouble = Trouble(trouble, "not now")
    settled(one, 300.0)
    server.trouble = None
    settled(one, 100.0)
    assert words(one.store) == []


@pytest.mark.parametrize("fate", ["refused", "answer_lost"])
def test_a_commit_that_fails_repeats_and_loses_nothing(fate: str) -> None:
    server = Orchestrator([schedule(n, planned=20.0) for n in range(1, 6)], most=2)
    one = life(server, "earliest")
    one.until(one.now + 200.0, step=5.0, fates=iter(["ok", fate] * 10))
    told = words(one.store)
    assert sorted(told) == sorted(f"{n} {what}" for n in range(1, 6) for what in ("created", "run.missed"))
    assert len(set(one.store.ids)) == len(one.store.ids)


def test_a_disabled_one_is_forgotten_after_a_while_without_a_word() -> None:
    server = Orchestrator([schedule(31), schedule(32)])
    one = settled(life(server, forget_after_s=500.0))
    server.items = [schedule(32)]
    settled(one, 600.0)
    assert words(one.store) == ["31 disabled"]
    assert "prod/schedules/31" not in one.store.documents


def test_a_strange_document_is_refused() -> None:
    one = settled(life(Orchestrator([schedule()])))
    one.store.documents["prod/schedules/x"] = b"{}"
    with pytest.raises(Corrupt):
        one.claim()
