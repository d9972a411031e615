"""Plans under everything a server can do, and a worker that dies between any two steps."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from orchbridge.core import times
from orchbridge.core.facts import Owner, Plan, PlanEvent
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.questions import Answer, Page, PlanDetail, PlanEvents, PlanEventWhole, PlansPage, Question
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carried import CarriedMachine, seeds
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PASSING
from tests.core.machines.judging import every_id_is_accounted_for
from tests.core.machines.ledger import Ledger, Told
from tests.core.server import MISSING

BEGIN = 1_000_000.0
delays = st.sampled_from([0.0, 0.0, 0.0, 1.5, 6.0, 20.0])
pauses = st.sampled_from([0.0, 0.0, 1.0, 4.0])
GRACE_S, POLL_S, STALE_S = 10.0, 2.0, 15.0
picks = st.integers(0, 1_000)
CUT = 1_024  # bytes of a text that the list shows
texts = st.sampled_from(["", "x" * 990, "x" * 3_000, "ä" * 600, "€" * 900])
pads = st.integers(0, 40)


@dataclass
class ModelPlan:
    """A plan, and its events with when each shows."""

    id: int
    serial: int
    created: float
    visible: float
    state: str = "running"
    ended: float | None = None
    events: list[tuple[float, PlanEvent]] = field(default_factory=list)

    def fact(self, now: float) -> Plan:
        over = self.ended is not None and self.ended <= now
        ended = times.text(self.ended) if over and self.ended is not None else None
        made = times.text(self.created)
        owner = Owner(f"o{self.serial % 3}", "ops")
        return Plan(
            self.id,
            self.state if over else "running",
            b"{}",
            "p",
            created=made,
            finished=ended,
            stamp=ended or made,
            owner=owner,
        )


class PlansMachine(CarriedMachine):
    """A server of plans, a plans stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: dict[int, ModelPlan] = {}
        self.last, self.last_event, self.serial = 0, 0, 0
        self.backups: list[tuple[dict[int, ModelPlan], int, int]] = []
        self.random = Random(0)
        self.frozen: set[int] = set()
        self.epoch = 0
        self.base = 0
        self.restores = 0
        self.sick = False
        self.pruned: set[int] = set()
        self.excused: set[int] = set()  # pruned when it was over, and there again
        self.gone: dict[int, ModelPlan] = {}  # what was pruned while it was followed
        self.ledger = Ledger(name="prod/plans")
        given = {"late_window_s": 40.0, "grace_s": GRACE_S, "poll_s": POLL_S}
        self.carrier = Carrier(PlanStream(settings("plans", **given)), self, self.ledger, BEGIN)
        self.carrier.most = self._most

    def answer(self, question: Question, now: float) -> Answer:
        seen_at = now
        if isinstance(question, PlansPage) and self.faults.at_work.get("PlansPage", ("", 0))[0] == "stale":
            del self.faults.at_work["PlansPage"]
            seen_at = now - STALE_S  # from a replica that lags
        shown = {id_: plan for id_, plan in sorted(self.plans.items(), reverse=True) if seen_at >= plan.visible}
        match question:
            case PlansPage(limit=limit, offset=offset):
                if self.ledger.head is None:
                    self.base = min(shown, default=0)
                items = [plan.fact(seen_at) for plan in shown.values()][offset : offset + limit]
                answer: Answer = Page(tuple(items), total=len(shown))
            case PlanDetail(plan=id_) if id_ in shown:
                answer = shown[id_].fact(now)
            case PlanEvents(plan=id_, start=start) if id_ in shown:
                events = [event for at, event in shown[id_].events if at <= now and (event.id or 0) >= (start or 0)]
                answer = Page(tuple(_short(event) for event in events))
            case PlanEventWhole(plan=id_, event=event_id) if id_ in shown:
                answer = next((event for _, event in shown[id_].events if event.id == event_id), MISSING)
            case _:
                answer = MISSING
        return self.faults.change(question, answer, self.random)

    def _event(self, plan: ModelPlan, type_: str, late: float, text: str = "") -> None:
        self.last_event += 1
        self.serial += 1
        raw, stamp = b'{"serial":%d}' % self.serial, times.text(self.now)
        message = f"#{plan.serial}.{self.serial}.{text}"
        plan.events.append((self.now + late, PlanEvent(self.last_event, type_, raw, stamp, message=message)))

    def _running(self, pick: int) -> ModelPlan | None:
        plans = [plan for plan in self.plans.values() if plan.ended is None and plan.serial not in self.frozen]
        return plans[pick % len(plans)] if plans else None

    @initialize(before=st.integers(0, 3))
    def begin(self, before: int) -> None:
        for _ in range(before):
            self.create(0, 0.0, 0.0)

    @rule(skip=st.sampled_from([0, 0, 1, 3]), hidden=st.sampled_from([0.0, 0.0, 6.0, 20.0, 50.0]), pause=pauses)
    def create(self, skip: int, hidden: float, pause: float) -> None:
        self.last += 1 + skip
        self.serial += 1
        self.plans[self.last] = ModelPlan(self.last, self.serial, self.now, self.now + hidden)
        self.carrier.until(self.now + pause, Random(1))

    @rule(
        pick=picks, kind=st.sampled_from(["task_start", "out_message", "out_message", "apply_start"]), late=delays,
        text=texts, pad=pads, pause=pauses,
    )  # fmt: skip
    def goes_on(self, pick: int, kind: str, late: float, text: str, pad: int, pause: float) -> None:
        plan = self._running(pick)
        if plan is not None:
            self._event(plan, kind, late, "." * pad + text if kind == "out_message" else "")
            self.carrier.until(self.now + pause, Random(1))

    @rule(pick=picks, state=st.sampled_from(["success", "failure"]), late=delays, pause=pauses)
    def ends(self, pick: int, state: str, late: float, pause: float) -> None:
        plan = self._running(pick)
        if plan is not None:
            self._event(plan, "plan_finished" if state == "success" else "plan_failed", late)
            plan.state, plan.ended = state, self.now
            self.carrier.until(self.now + pause, Random(1))

    @precondition(lambda self: not self.sick)
    @rule(pick=picks, late=st.sampled_from([1.5, 6.0]))
    def ends_in_peace(self, pick: int, late: float) -> None:
        """What shows within the grace after a plan's end is told within the next tick, not with a late look."""
        plan = self._running(pick)
        if plan is None or self.frozen:
            return
        self.carrier.fates = []
        self.carrier.until(self.now + 4.0, Random(1))
        self._event(plan, "plan_finished", late)
        plan.state, plan.ended = "success", self.now
        self.carrier.until(self.now + late + POLL_S + 0.1, Random(1))
        told = [told for key, told in self.ledger.told.items() if key[1] == plan.id]
        if self.now - plan.visible > late + 8.0 and plan.id > self.base:
            assert any(plan.events[-1][1].id in one.events for one in told), f"{plan} is told late"

    @rule(how=st.sampled_from(["behind", "stale"]))
    def fall_behind(self, how: str) -> None:
        """One list lacks the newest plans, or comes from a replica that lags; the next is right again."""
        self.carrier.until(self.now + 3.0, Random(1))
        self.faults.at_work["PlansPage"] = (how, 1)
        self.carrier.until(self.now + 3.0, Random(1))

    @rule(how=st.sampled_from(["oldest", "over", "everything"]))
    def prune(self, how: str) -> None:
        if self.frozen:
            return  # what would show that the server was restored
        newest = max((id_ for id_, plan in self.plans.items() if plan.visible <= self.now), default=0)
        over = [id_ for id_, plan in sorted(self.plans.items()) if plan.ended is not None or how == "everything"]
        for id_ in over[:1] if how == "oldest" else over:
            plan = self.plans.pop(id_)
            self.pruned.add(plan.serial)
            if id_ in self.carrier.state.tracks:
                self.gone[id_] = plan
        self.restores += bool(self.plans) and newest not in self.plans  # so it looks after a restore

    @precondition(lambda self: self.backups)
    @rule(pick=picks, others=st.integers(0, 3))
    def restore(self, pick: int, others: int) -> None:
        backup = self.backups[pick % len(self.backups)]
        head = self.ledger.head
        shown = [id_ for id_, plan in backup[0].items() if self.now >= plan.visible]
        if head is None or not shown or max(shown) >= head.high or self.carrier.state.walk.suspect:
            return  # not to be told from the server it was
        self.backups = [one for one in self.backups if one[1] <= backup[1]]
        self.carrier.now += 2.0
        self.restores += 1
        self.faults.at_work.pop("PlansPage", None)
        self.plans, self.last, self.last_event = deepcopy(backup)
        self.frozen, self.epoch = {plan.serial for plan in self.plans.values()}, head.epoch
        self.excused |= {plan.serial for plan in self.plans.values() if plan.ended is not None} & self.pruned
        for _ in range(others):
            self.create(0, 0.0, 0.0)
            self.frozen.add(self.serial)  # nothing tells its events from those of the one that had its id

    @rule(seconds=st.sampled_from([0.0, 1.0, 1.0, 4.0, 15.0, 60.0]), seed=seeds)
    def live(self, seconds: float, seed: int) -> None:
        self.backups = [*self.backups[-4:], (deepcopy(self.plans), self.last, self.last_event)]
        self.carrier.until(self.now + seconds, Random(seed))

    @rule(
        question=st.sampled_from(["PlansPage", "PlanDetail", "PlanEvents", "PlanEventWhole"]),
        how=st.sampled_from([*PASSING, "absent", "torn", "repeated", "cut", "empty"]), times_=st.integers(1, 3),
    )  # fmt: skip
    def sicken(self, question: str, how: str, times_: int) -> None:
        self.faults.at_work[question] = (how, times_)
        self.sick = True

    def _most(self) -> int | None:
        """One list, every running plan, whose events nothing hints at, and one late look."""
        if self.sick or self.frozen or self.restores or self.faults.at_work or self.ledger.head is None:
            return None
        tracks = self.carrier.state.tracks
        new = sum((1, id_) not in self.ledger.told and id_ not in tracks for id_ in self.plans)
        over = sum(
            not track.memo.ended and id_ in self.plans and self.plans[id_].ended is not None
            for id_, track in tracks.items()
        )
        return (
            sum(track.open or bool(track.held) for track in tracks.values()) + new + over + 2
        )  # what ends is read again

    @invariant()
    def of_one_history(self) -> None:
        head = self.ledger.head
        assert head is None or head.epoch - 1 <= self.restores, "an epoch for nothing"
        if not self.sick and not self.restores:
            gaps = {str(notice["subject"]) for notice in self.ledger.notices("gap")}
            slow = [plan.id for plan in self.plans.values() if plan.visible - plan.created <= 20.0]
            hasty = [id_ for id_ in slow if f"{id_}-{id_}" in gaps]
            assert not hasty, f"plans {hasty} were only slow"
        if self.frozen and head is not None and head.epoch > self.epoch:
            self.frozen = set()
        for (epoch, id_), told in self.ledger.told.items():
            assert len(told.serials) <= 1, f"e{epoch}:plan/{id_} mixes {told.serials}"

    def teardown(self) -> None:
        self.faults.at_work.clear()
        self.carrier.fates = []
        self.carrier.until(self.now + 200.0, Random(1), step=2.0)
        self.of_one_history()
        for plan in self.plans.values():
            if plan.serial in self.excused:
                continue
            parts = {key: told for key, told in self.ledger.told.items() if key[1] == plan.id}
            assert plan.id < self.base or any(_whole(plan, told, sick=self.sick) for told in parts.values()), (
                f"{plan} in {parts}"
            )
        self._what_was_pruned_is_said()
        every_id_is_accounted_for(self.ledger, self.base)
        walk, running = self.carrier.state.walk, {id_ for id_, plan in self.plans.items() if plan.ended is None}
        assert walk.trusted or not self.plans
        assert not walk.todo
        assert not walk.gaps
        left = set(self.carrier.state.tracks)
        assert left <= running, f"still tracked: {left - running}"

    def _what_was_pruned_is_said(self) -> None:
        """A plan that went before its last state was told has a notice of its own."""
        noted = {notice["subject"] for notice in self.ledger.notices("pruned_unread")}
        for id_, plan in self.gone.items():
            if self.restores or id_ in self.plans:
                continue
            over = plan.ended is not None and plan.state in self.ledger.told[1, id_].states
            assert over or f"plan-{id_}" in noted, f"nothing is said of {plan}, which is gone"


def _short(event: PlanEvent) -> PlanEvent:
    message = (event.message or "").encode()[:CUT].decode(errors="ignore")
    return PlanEvent(event.id, event.type, event.raw, event.stamp, message=message)


def _whole(plan: ModelPlan, told: Told, *, sick: bool) -> bool:
    for _, event in plan.events:
        data = told.events.get(event.id or 0, {})
        if data.get("message") != event.message and not (sick and data.get("message_truncated")):
            return False
    serials = {event.id for _, event in plan.events}
    states = ["running"] if plan.ended is None else ["running", plan.state]
    return set(told.events) == serials and told.serials <= {plan.serial} and told.states == states


TestPlans = PlansMachine.TestCase
TestPlans.settings = budget(120, 40)
