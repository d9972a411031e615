"""A worker of a large site: 10,000 jobs of 200 tasks in 50 environments, and 100,000 nodes, from the core itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import Connection, Job, JobEvent, NodeRow, Plan, StatusItem
from orchbridge.core.idset import IdSet
from orchbridge.core.inventory.node import Node
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.inventory.work import summed
from orchbridge.core.jobs.memo import Memo
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.track import Track
from orchbridge.core.normalize import certificate, jobs, plans
from orchbridge.core.normalize.context import Origin
from orchbridge.core.ports import StreamId
from orchbridge.core.questions import Inventory, Page, Reply
from orchbridge.core.records import Record
from orchbridge.core.redact import Rules
from orchbridge.core.settings import StreamSettings
from orchbridge.core.view import StreamView
from orchbridge.core.window import BACKFILL, Progress
from orchbridge.ops import catalogue
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.watch import OpsWatch
from orchbridge.ops.watched import Watched
from tests.ops.stage import START, Asked, Clock, batch, quiet_log

JOBS, TASKS, PLANS, ENVIRONMENTS, NODES, BROKERS = 10_000, 200, 100, 50, 100_000, 12
KINDS = ("jobs", "plans", "inventory", "jobs-backfill", "plans-backfill")
AT_ONCE = 500
ENDPOINTS = (
    "/jobs", "/jobs/:id", "/jobs/:id/events", "/jobs/:id/nodes", "/plan_jobs", "/plan_jobs/:id",
    "/plan_jobs/:id/events", "/plan_jobs/:id/event/:event", "/inventory", "/tasks/:module/:task", "/status",
)  # fmt: skip


class Large:
    """The watch of one source with everything it can have, and its metrics."""

    def __init__(self, node_series: int = 0) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        origin = Origin("prod", Rules(), job_url="https://pe.example.com/#/run/jobs/{job}")
        settings = StreamSettings(StreamId("prod", "jobs"), "https://pe.example.com", origin, node_series=node_series)
        self.jobs = JobStream(settings)
        self.inventory = InventoryStream(msgspec.structs.replace(settings, id=StreamId("prod", "inventory")))
        sources = [Watched("prod", "pe.example.com:8143", dict.fromkeys(KINDS, 2.0), lambda: 41.0)]
        self.watch = OpsWatch(sources, self.metrics, self._view, version="1", clock=self.clock, log=quiet_log())
        for kind in KINDS:
            self.watch.claimed(StreamId("prod", kind), None)

    def _view(self, stream: StreamId, state: Any) -> StreamView:
        if state is None or stream.kind not in {"jobs", "inventory"}:
            return StreamView(progress=Progress(1, 2) if stream.kind.endswith(BACKFILL) else None)
        return (self.jobs if stream.kind == "jobs" else self.inventory).view(state)

    def fill(self) -> None:
        """Let everything happen."""
        for endpoint in ENDPOINTS:
            for code in ("200", "404", "500", "503", "unreachable", "timeout"):
                self.watch.observed(Asked(code, endpoint=endpoint))
        self.read_inventory()
        self.end_jobs()
        self.end_plans()
        for kind in KINDS:
            self.watch.read(StreamId("prod", kind), 1)
            self.watch.quarantined(StreamId("prod", kind), "publish", "too large")

    def read_inventory(self) -> None:
        """Take over all nodes but the last as remembered, then read the whole list."""
        rows = self.rows(NODES)
        nodes = {row.name: Node(True, row.broker, row.since, START, 1) for row in rows[:-1]}
        state = summed(msgspec.structs.replace(self.inventory.recall("w1").state(), nodes=nodes), 0)
        fold = self.inventory.fold(state, [Reply(Inventory(), Page(rows), START, START)], START)
        self._carry(self.inventory.id, fold)

    @staticmethod
    def rows(count: int) -> tuple[Connection, ...]:
        """Return so many nodes, all connected."""
        return tuple(
            Connection(f"node{n:06}.example.com", True, f"pcp://broker{n % BROKERS:02}.example.com/server")
            for n in range(count)
        )

    def end_jobs(self) -> None:
        """Let every job run and end, one in ten badly; all are still tracked."""
        found: list[Record] = []
        tracks: dict[int, Track] = {}
        for number in range(1, JOBS + 1):
            job = _job(number)
            found += _records(job, self.jobs.settings.origin)
            memo = Memo(1, events=IdSet.of((3 * number,)), ended=START, certified=START * (number % 2), counted=1)
            tracks[number] = Track(number, memo, job)
            if len(found) >= AT_ONCE:
                self.watch.committed(self.jobs.id, batch(*found), 0.02)
                found = []
        state = msgspec.structs.replace(self.jobs.recall("w1").state(), tracks=tracks)
        self._carry(self.jobs.id, msgspec.structs.replace(batch(*found), state=state))

    def end_plans(self) -> None:
        """Let runs of every plan end."""
        origin, found = self.jobs.settings.origin, list[Record]()
        for number in range(1, 2 * PLANS + 1):
            state = "failure" if number % 5 == 0 else "success"
            plan = Plan(number, state, b"{}", f"site::plan{number % PLANS:03}", finished=times.text(START))
            context = plans.context(plan, origin, "e1", frozenset(), ())
            found.append(plans.state_record(context, plan, state, "running", plan.finished, times.text(START)))
        for kind in ("plans", "jobs-backfill", "plans-backfill"):
            self._carry(StreamId("prod", kind), batch(*found) if kind == "plans" else batch())

    def later(self) -> None:
        """Let a second and a lap of every stream pass: whatever was looked at has to be looked at anew."""
        self.clock.now += 1.0
        for kind in KINDS:
            fate = self.watch._fates[StreamId("prod", kind)]
            fate.become(fate.state)

    def _carry(self, stream: StreamId, fold: Any) -> None:
        self.watch.committed(stream, fold, 0.02)
        self.watch.lapped(stream, fold, START)


def _job(number: int) -> Job:
    state = "failed" if number % 10 == 0 else "finished"
    type_ = "task" if number % 3 else catalogue.JOB_TYPES[number // 3 % len(catalogue.JOB_TYPES)]
    created, ran, ended = (times.text(START - seconds) for seconds in (60.0, 58.0, 1.0))
    status = (StatusItem("new", created, ran), StatusItem("running", ran, ended), StatusItem(state, ended))
    return Job(
        number, state, b"{}", type=type_, command=type_, created=created, finished=ended, stamp=ended, node_count=2,
        node_states={"finished": 1, "failed": 1} if state == "failed" else {"finished": 2}, status=status,
        task=f"site::task{number % TASKS:03}" if type_ == "task" else None,
        environment=f"env{number % ENVIRONMENTS:02}",
    )  # fmt: skip


def _records(job: Job, origin: Origin) -> Iterator[Record]:
    context = jobs.context(job, origin, "e1", frozenset(), (), False)
    seen = times.text(START)
    status = job.status or ()
    for item, name in zip(status, jobs.state_names(status), strict=True):
        yield jobs.state_record(context, job, item, name, None, seen)
    for place, result in enumerate(("node_failed" if job.state == "failed" else "node_finished", "node_finished")):
        event = JobEvent(
            2 * job.id + place, result, b"{}", seen, f"node{job.id + place:06}.example.com", None, "Failed"
        )
        yield jobs.event_record(context, event, seen, late=False, began=None)
    verdict = certificate.judge([NodeRow("a", "finished")], {"a": "finished"}, closed=True)
    summary = certificate.Summary(verdict, 1, IdSet.of((1, 2)), None)
    fields = certificate.summary_data(job, summary)
    yield certificate.summary_record(context, job, fields, seen)
    yield certificate.document_record(context, job, {}, fields, 1, seen)
