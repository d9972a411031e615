"""Jobs under everything a server can do, and a worker that dies between any two steps."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.questions import JobEvents, JobsPage
from orchbridge.core.walk import Start
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carrier import Carrier
from tests.core.machines.faults import PAGES, PASSING
from tests.core.machines.ledger import Ledger, Told
from tests.core.machines.model import ENDS, ModelJob, ModelServer

WINDOW_S, GRACE_S = 40.0, 10.0
BEGIN = 1_000_000.0
delays = st.sampled_from([0.0, 0.0, 0.0, 1.5, 6.0, 20.0])
picks = st.integers(0, 1_000)
seeds = st.integers(0, 2**16)


class JobsMachine(RuleBasedStateMachine):
    """A server of jobs, a jobs stream, and the memory it commits to."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ModelServer()
        self.ledger = Ledger()
        self.backups: list[tuple[list[ModelJob], int, int]] = []
        self.excused: set[int] = set()
        self.frozen: set[int] = set()
        self.begun = False
        self.sick = self.late_start = self.behind = self.bounded = False
        self.restores = 0
        self.base = 0
        self.first: set[int] = set()
        self.carrier: Carrier

    @initialize(start=st.sampled_from(["earliest", "earliest", "now"]), before=st.integers(0, 4))
    def begin(self, start: str, before: int) -> None:
        for _ in range(before):
            self._whole(BEGIN - 600.0, nodes=1)
        self.late_start = start == "now"  # which leaves out what was over by then
        given = {"start": Start(start), "late_window_s": WINDOW_S, "grace_s": GRACE_S, "poll_s": 2.0}
        stream = JobStream(settings("jobs", **given))
        self.carrier = Carrier(stream, self, self.ledger, BEGIN)

    # The server's life

    @property
    def now(self) -> float:
        return self.carrier.now

    def answer(self, question: object, now: float) -> object:
        answer = self.server.answer(question, now)  # type: ignore[arg-type]
        if isinstance(question, JobsPage) and self.ledger.head is None:
            shown = [job for job in self.server.jobs if job.shown(now)]
            self.first = {job.serial for job in shown if job.over}  # type: ignore[attr-defined]
            self.base = min((job.id for job in shown), default=0)  # 0: the first id ever told
            if self.late_start and shown:
                self.base = max(job.id for job in shown) + 1
        return answer

    def _whole(self, at: float, nodes: int) -> None:
        job = self.server.create(at, nodes=nodes)
        for node in job.nodes:
            self.server.event(job, at, "node_running", node)
            self.server.event(job, at, "node_finished", node)
        self.server.event(job, at, "job_finished")
        self.server.enter(job, at, "finished")

    def _one(self, pick: int, *, over: bool | None = None) -> ModelJob | None:
        jobs = [job for job in self.server.jobs if (over is None or job.over is over) and job.serial not in self.frozen]  # type: ignore[attr-defined]
        return jobs[pick % len(jobs)] if jobs else None  # type: ignore[return-value]

    @rule(
        nodes=st.integers(0, 3),
        skip=st.sampled_from([0, 0, 0, 1, 3]),
        hidden=st.sampled_from([0.0, 0.0, 1.5, 6.0, 20.0, 50.0]),
    )
    def create(self, nodes: int, skip: int, hidden: float) -> None:
        self.server.create(self.now, nodes=nodes, skip=skip, hidden=hidden)

    @rule(count=st.sampled_from([2, 5, 70]))
    def burst(self, count: int) -> None:
        for _ in range(count):
            self._whole(self.now, nodes=count < 70)

    @rule(pick=picks, node=picks, end=st.sampled_from(ENDS), late=delays)
    def node_moves(self, pick: int, node: int, end: str, late: float) -> None:
        job = self._one(pick, over=False)
        if job is None:
            return
        open_ = [name for name in job.nodes if name not in job.ends]
        if not open_:
            return
        name = open_[node % len(open_)]
        if job.state != "running":
            self.server.enter(job, self.now, "running")
        if name in job.begun or end in {"errored", "skipped"}:
            self.server.event(job, self.now, f"node_{end}", name, late)
        else:
            self.server.event(job, self.now, "node_running", name, late)

    @rule(pick=picks, state=st.sampled_from(["ready", "running", "stopping", "running"]))
    def job_moves(self, pick: int, state: str) -> None:
        job = self._one(pick, over=False)
        if job is not None and job.state != state:
            self.server.enter(job, self.now, state)
            if state == "stopping":
                self.server.event(job, self.now, "job_stopping")

    @rule(
        pick=picks, state=st.sampled_from(["finished", "failed", "stopped"]), whole=st.booleans(), late=delays,
        last=st.sampled_from(["job_finished", "job_finished", "job_aborted", ""]),
    )  # fmt: skip
    def job_ends(self, pick: int, state: str, whole: bool, late: float, last: str) -> None:
        job = self._one(pick, over=False)
        if job is None:
            return
        for name in job.nodes:
            if whole and name not in job.ends:
                if name not in job.begun:
                    self.server.event(job, self.now, "node_running", name)
                self.server.event(job, self.now, "node_finished", name, late)
        if last:
            self.server.event(job, self.now, last)  # before the ends of nodes that show late
        self.server.enter(job, self.now, state)

    # What is taken back

    @rule(how=st.sampled_from(["oldest", "over", "read", "everything"]), pick=picks)
    def prune(self, how: str, pick: int) -> None:
        jobs: list[ModelJob] = sorted(self.server.jobs, key=lambda job: job.id)  # type: ignore[arg-type]
        over = [job for job in jobs if job.over]
        match how:
            case "oldest":
                gone = over[: 1 + pick % 3]
            case "over":
                gone = over
            case "read":
                gone = [job for job in jobs if job.id in self.carrier.state.tracks][:1]
            case _:
                gone = jobs
        newest = max((job.id for job in jobs), default=0)
        self.server.prune(gone)
        if any(job.id == newest for job in gone) and self.server.jobs:
            self.restores += 1  # the newest is gone and older ones are not: so it looks after a restore

    @precondition(lambda self: self.backups)
    @rule(pick=picks, others=st.integers(0, 3), nodes=st.integers(0, 2))
    def restore(self, pick: int, others: int, nodes: int) -> None:
        """As after a restore or a promotion: the newest that was read is no more, its id may be another's by now."""
        backup = self.backups[pick % len(self.backups)]
        head = self.ledger.head
        kept = [job for job in backup[0] if job.shown(self.now)]
        shown = max((job.id for job in kept), default=0)
        if head is None or not kept or shown >= head.high or self.carrier.state.walk.suspect:
            return  # not to be told from the server it was
        self.backups = [one for one in self.backups if one[1] <= backup[1]]
        self.carrier.now += 2.0
        self.server.restore(backup)
        self.frozen = {job.serial for job in self.server.jobs}  # type: ignore[attr-defined]
        self.epoch = head.epoch
        self.restores += 1
        self.server.faults.at_work.pop("JobsPage", None)
        for _ in range(others):
            self.server.create(self.now, nodes=nodes)

    # The worker's life

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 1.0, 4.0, 15.0, 60.0]), seed=seeds)
    def live(self, seconds: float, seed: int) -> None:
        self.backups = [*self.backups[-4:], self.server.backup()]
        self.carrier.until(self.now + seconds, Random(seed))

    @rule(seed=seeds, share=st.sampled_from([0.3, 1.0]), most=st.integers(1, 4), after=st.sampled_from([0.0, 0.4, 1.1]))
    def step(self, seed: int, share: float, most: int, after: float) -> None:
        """Ask, let some be answered, fold a few; the rest stays under way while the world moves on."""
        random = Random(seed)
        self.carrier.ask()
        self.carrier.serve(random, share)
        self.carrier.now += after
        self.carrier.fold(random, most)

    @rule(fates=st.lists(st.sampled_from(["ok", "refused", "answer_lost"]), min_size=1, max_size=3))
    def fate(self, fates: list[str]) -> None:
        self.carrier.fates = fates

    @rule()
    def crash(self) -> None:
        self.carrier.claim()

    @rule(
        question=st.sampled_from(["JobsPage", "JobDetail", "JobEvents", "JobNodes"]),
        how=st.sampled_from([*PASSING, "forbidden", "invalid", "missing", "absent", *PAGES]), times=st.integers(1, 4),
    )  # fmt: skip
    def sicken(self, question: str, how: str, times: int) -> None:
        self.server.faults.at_work[question] = (how, times)
        self.sick = True

    @precondition(lambda self: not self.behind)
    @rule()
    def fall_behind(self) -> None:
        """One list lacks the newest jobs, as from a replica; twice in a row nobody could know better."""
        self.server.faults.at_work["JobsPage"] = ("behind", 1)
        self.behind = True

    @rule(limit=st.sampled_from([None, 10, 25]), form=st.sampled_from(["clamped", "refused"]), no_offset=st.booleans())
    def bound(self, limit: int | None, form: str, no_offset: bool) -> None:
        faults, self.bounded = self.server.faults, True
        faults.limit, faults.limit_form, faults.no_offset = limit, form, no_offset and limit is None

    # What must be true

    @invariant()
    def thaw(self) -> None:
        """Jobs of a restored server go on once that was noticed; before, nothing could tell what happened to them."""
        head = self.ledger.head
        if head is not None and not self.begun:
            self.begun = True
            if self.late_start:
                self.excused |= self.first
        if self.frozen and head is not None and head.epoch > self.epoch:
            self.frozen = set()

    @invariant()
    def certificates_are_true(self) -> None:
        for (epoch, id_), told in self.ledger.told.items():
            assert len(told.serials) <= 1, f"e{epoch}:job/{id_} mixes {told.serials}"
            for certificate in told.certificates[-1:]:
                self._true(epoch, id_, told, certificate)

    @invariant()
    def nothing_is_hasty(self) -> None:
        """No new epoch of a server that is the same, and no gap where a job was only slow to show."""
        head = self.ledger.head
        assert head is None or head.epoch - 1 <= self.restores, "an epoch for nothing"
        if self.sick:
            return
        gaps = {
            notice["subject"] for notice in self.ledger.notices("gap") if head and notice["epoch"] == head.epoch_name
        }
        for job in self.server.jobs:
            slow = (job.visible or 0.0) - job.created
            assert slow > 20.0 or f"{job.id}-{job.id}" not in gaps or self.restores, f"job {job.id} was only slow"

    def _true(self, epoch: int, id_: int, told: Told, certificate: dict[str, object]) -> None:
        if not certificate["complete"] or not told.serials:
            return
        job = self.server.all[next(iter(told.serials))]
        lost = set(job.ends) - told.ended
        assert not lost, f"e{epoch}:job/{id_} is called complete without the end of {lost}"

    def teardown(self) -> None:
        if not hasattr(self, "carrier"):
            return
        self.server.faults.at_work.clear()
        self.server.faults.limit = None
        self.server.faults.no_offset = False
        self.carrier.fates = []
        self.carrier.until(self.now + (420.0 if self.sick else 150.0), Random(1), step=2.0)
        self.thaw()
        self.certificates_are_true()
        self._everything_is_told()
        self._nothing_is_left()

    def _everything_is_told(self) -> None:
        for job in self.server.jobs:
            # A job below all that the first list showed can only be found while one page shows it.
            if job.serial in self.excused or job.id < self.base or self._out_of_sight(job):  # type: ignore[attr-defined]
                continue
            parts = {key: told for key, told in self.ledger.told.items() if key[1] == job.id}
            whole = [epoch for (epoch, _), told in parts.items() if _whole(job, told, sick=self.sick)]  # type: ignore[arg-type]
            assert whole, f"job {job} is not whole in {parts}"

    def _out_of_sight(self, job: ModelJob) -> bool:
        """Whether a job became visible after the patience with its gap, and below what lists show by then."""
        newer = sum(other.id > job.id for other in self.server.jobs)
        gaps = {notice["subject"] for notice in self.ledger.notices("gap")}
        return f"{job.id}-{job.id}" in gaps and (self.bounded or newer >= 25)

    def _nothing_is_left(self) -> None:
        walk, open_ = self.carrier.state.walk, {job.id for job in self.server.jobs if not job.over}  # type: ignore[attr-defined]
        assert walk.trusted
        assert not walk.todo
        assert not walk.gaps
        left = set(self.carrier.state.tracks)
        assert left <= open_, f"still tracked: {left - open_}"
        keys = {"prod/jobs", *(f"prod/jobs/{id_}" for id_ in left)}
        assert set(self.ledger.documents) <= keys, f"documents of nobody: {set(self.ledger.documents) - keys}"
        asked = self.carrier.tick
        assert sum(isinstance(question, JobEvents) for question in asked) <= len(open_) + 2, f"unkind: {asked}"
        self._every_id_is_accounted_for()

    def _every_id_is_accounted_for(self) -> None:
        head = self.ledger.head
        if head is None:
            return
        told = {id_ for epoch, id_ in self.ledger.told if epoch == head.epoch}
        resets = self.ledger.notices("source_reset")
        assert len(resets) == head.epoch - 1
        survivor = int(resets[-1]["explanation"].rpartition(" ")[2]) if resets else 0
        first = survivor + 1 if survivor else 0 if resets else self.base
        for kind in ("gap", "pruned_unread"):
            for notice in self.ledger.notices(kind):
                if notice["epoch"] == f"e{head.epoch}":
                    low, _, high = str(notice["subject"]).partition("-")
                    told |= set(range(int(low), int(high) + 1))
        first = first or min(told, default=head.high + 1)
        silent = set(range(first, head.high + 1)) - told
        assert not silent, f"no word about {silent}"


def _whole(job: ModelJob, told: Told, *, sick: bool) -> bool:
    """Whether everything about a job is told, and its last certificate says so."""
    if set(told.events) != {id_ for id_, *_ in job.events} or (told.serials and told.serials != {job.serial}):
        return False
    if told.states != job.words():
        return False
    if not job.over:
        return True
    if not told.certificates or told.certificates[-1]["delivered"]["events"] != len(job.events):
        return False
    return sick or bool(told.certificates[-1]["complete"])  # a sick server may not have shown the nodes in time


TestJobs = JobsMachine.TestCase
TestJobs.settings = budget(40, 40)
