"""Jobs under everything a server can do, and a worker that dies between any two steps."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchbridge.core.head import Anchor
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.questions import JobsPage
from orchbridge.core.walk import Seen, Start
from tests.core.live import settings
from tests.core.machines.budget import budget
from tests.core.machines.carrier import Carrier, together
from tests.core.machines.faults import PAGES, PASSING
from tests.core.machines.ledger import Ledger, Told
from tests.core.machines.model import ENDS, ModelJob, ModelServer

WINDOW_S, GRACE_S = 40.0, 10.0
BEGIN = 1_000_000.0
delays = st.sampled_from([0.0, 0.0, 0.0, 1.5, 6.0, 20.0])
STARTS = [Start("earliest"), Start("earliest"), Start("now"), Start("from", id=3), Start("since", at=BEGIN - 575)]
starts = st.sampled_from(STARTS)
picks = st.integers(0, 1_000)
pauses = st.sampled_from([0.0, 0.0, 1.0, 4.0])
seeds = st.integers(0, 2**16)


class JobsMachine(RuleBasedStateMachine):
    """A server of jobs, a jobs stream, often a backfill beside it, and the memory that they commit to."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ModelServer()
        self.ledger = Ledger()
        self.backups: list[tuple[list[ModelJob], int, int]] = []
        self.excused: set[int] = set()
        self.frozen: set[int] = set()
        self.begun = False
        self.sick = self.bounded = self.beside = False
        self.start = Start()
        self.restores = 0
        self.low = self.base = 0  # the lowest id of the first list; the first id that the live stream has to explain
        self.first: set[int] = set()
        self.facts: dict[int, object] = {}
        self.moved: set[int] = set()
        self.judged: dict[tuple[int, int], int] = {}
        self.carrier: Carrier
        self.carriers: list[Carrier] = []

    @initialize(
        start=starts, beside=st.booleans(),
        before=st.lists(st.sampled_from(["over", "over", "running", "hidden"]), max_size=6),
    )  # fmt: skip
    def begin(self, start: Start, beside: bool, before: list[str]) -> None:
        for at, how in enumerate(before):
            if how == "running":
                self.server.create(BEGIN - 600.0 + 10 * at, nodes=1)
            else:
                self._whole(BEGIN - 600.0 + 10 * at, nodes=1)
                self.server.jobs[-1].visible = BEGIN + 5.0 if how == "hidden" else None
        if start.kind in {"from", "since"}:
            beside = True
        self.start, self.beside = start, beside
        given = {"start": start, "late_window_s": WINDOW_S, "grace_s": GRACE_S, "poll_s": 2.0}
        self.carrier = Carrier(JobStream(settings("jobs", backfill=beside, **given)), self, self.ledger, BEGIN)
        self.carrier.most = self._most
        self.carriers = [self.carrier]
        if beside:
            self.carriers.append(Carrier(JobWindow(settings("jobs-backfill", **given)), self, self.ledger, BEGIN))

    # The server's life

    @property
    def now(self) -> float:
        return self.carrier.now

    def answer(self, question: object, now: float) -> object:
        answer = self.server.answer(question, now)  # type: ignore[arg-type]
        if isinstance(question, JobsPage) and self.ledger.head is None:
            shown: list[ModelJob] = [job for job in self.server.jobs if job.shown(now)]  # type: ignore[misc]
            self.first = {job.serial for job in shown if job.over and not self._chosen(job)}
            self.low = self.base = min((job.id for job in shown), default=0)  # 0: the first id ever told
            if shown and (self.beside or self.start.kind == "now"):
                self.base = max(job.id for job in shown) + 1
        return answer

    def _chosen(self, job: ModelJob) -> bool:
        return self.start.chooses(Seen(Anchor(job.id), not job.over, job.created))

    def _live(self, seconds: float, seed: int = 1, step: float = 0.25) -> None:
        together(self.carriers, self.now + seconds, Random(seed), step)

    def _pass(self, seconds: float) -> None:
        for carrier in self.carriers:
            carrier.now += seconds

    def _whole(self, at: float, nodes: int) -> None:
        job = self.server.create(at, nodes=nodes)
        for node in job.nodes:
            self.server.event(job, at, "node_running", node)
            self.server.event(job, at, "node_finished", node)
        self.server.event(job, at, "job_finished")
        self.server.enter(job, at, "finished")

    def _enter(self, job: ModelJob, state: str) -> None:
        self._pass(0.01 if job.states[-1][0] >= self.now else 0.0)  # no two states at one moment
        self.server.enter(job, self.now, state)

    def _one(self, pick: int, *, over: bool | None = None) -> ModelJob | None:
        jobs = [job for job in self.server.jobs if (over is None or job.over is over) and job.serial not in self.frozen]  # type: ignore[attr-defined]
        return jobs[pick % len(jobs)] if jobs else None  # type: ignore[return-value]

    @rule(
        nodes=st.integers(0, 3),
        skip=st.sampled_from([0, 0, 0, 1, 3]),
        hidden=st.sampled_from([0.0, 0.0, 1.5, 6.0, 20.0, 50.0]),
        pause=pauses,
    )
    def create(self, nodes: int, skip: int, hidden: float, pause: float) -> None:
        self.server.create(self.now, nodes=nodes, skip=skip, hidden=hidden)
        self._live(pause)

    @rule(count=st.sampled_from([2, 5, 70]))
    def burst(self, count: int) -> None:
        for _ in range(count):
            self._whole(self.now, nodes=count < 70)

    @rule(pick=picks, node=picks, end=st.sampled_from(ENDS), late=delays, pause=pauses)
    def node_moves(self, pick: int, node: int, end: str, late: float, pause: float) -> None:
        job = self._one(pick, over=False)
        if job is None:
            return
        open_ = [name for name in job.nodes if name not in job.ends]
        if not open_:
            return
        name = open_[node % len(open_)]
        if job.state != "running":
            self._enter(job, "running")
        if name in job.begun or end in {"errored", "skipped"}:
            self.server.event(job, self.now, f"node_{end}", name, late)
        else:
            self.server.event(job, self.now, "node_running", name, late)
        self._live(pause)

    @rule(pick=picks, state=st.sampled_from(["ready", "running", "stopping", "running"]))
    def job_moves(self, pick: int, state: str) -> None:
        job = self._one(pick, over=False)
        if job is not None and job.state != state:
            self._enter(job, state)
            if state == "stopping":
                self.server.event(job, self.now, "job_stopping")

    @rule(
        pick=picks, state=st.sampled_from(["finished", "failed", "stopped"]), whole=st.booleans(), late=delays,
        last=st.sampled_from(["job_finished", "job_finished", "job_aborted", ""]), pause=pauses,
    )  # fmt: skip
    def job_ends(self, pick: int, state: str, whole: bool, late: float, last: str, pause: float) -> None:
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
        self._enter(job, state)
        self._live(pause)

    # What is taken back

    @rule(how=st.sampled_from(["oldest", "over", "read", "everything"]), pick=picks, pause=pauses)
    def prune(self, how: str, pick: int, pause: float) -> None:
        if self.frozen:
            return  # what would show that the server was restored
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
        self._live(pause)

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
        self._pass(2.0)
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
        self._live(seconds, seed)

    @rule(
        seed=seeds, share=st.sampled_from([0.3, 1.0]), most=st.integers(1, 4), after=st.sampled_from([0.0, 0.4, 1.1]),
        which=st.integers(0, 1),
    )  # fmt: skip
    def step(self, seed: int, share: float, most: int, after: float, which: int) -> None:
        """Ask, let some be answered, fold a few; the rest stays under way while the world moves on."""
        random, carrier = Random(seed), self.carriers[which % len(self.carriers)]
        carrier.ask()
        carrier.serve(random, share)
        self._pass(after)
        carrier.fold(random, most)

    @rule(fates=st.lists(st.sampled_from(["ok", "refused", "answer_lost"]), min_size=1, max_size=3), which=picks)
    def fate(self, fates: list[str], which: int) -> None:
        self.carriers[which % len(self.carriers)].fates = fates

    @rule(which=picks)
    def crash(self, which: int) -> None:
        self.carriers[which % len(self.carriers)].claim()

    @rule(
        question=st.sampled_from(["JobsPage", "JobDetail", "JobEvents", "JobNodes"]),
        how=st.sampled_from([*PASSING, "forbidden", "invalid", "missing", "absent", *PAGES]), times=st.integers(1, 4),
    )  # fmt: skip
    def sicken(self, question: str, how: str, times: int) -> None:
        self.server.faults.at_work[question] = (how, times)
        self.sick = True

    @rule(how=st.sampled_from(["behind", "stale"]))
    def fall_behind(self, how: str) -> None:
        """One list lacks the newest jobs, or comes from a replica that lags; the next is right again."""
        self._live(3.0)
        self.server.faults.at_work["JobsPage"] = (how, 1)
        self._live(3.0)

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
    def certificates_wait(self) -> None:
        """A first certificate counts what showed at the end: events were asked for once that was known."""
        for key, told in self.ledger.told.items():
            if not told.counted or key in self.judged:
                continue
            self.judged[key] = 1
            job = next((job for job in self.server.jobs if job.id == key[1]), None)
            if self.sick or self.bounded or self.restores or job is None or told.certificates[0]["truncated"]:
                continue
            ended = job.states[-1][0]
            shown = {id_ for id_, _, _, at, late in job.events if at + late <= ended}
            assert shown <= told.counted[0], f"job {job.id} is certified without {shown - told.counted[0]}"

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

    def _most(self) -> int | None:
        """K + 2: K jobs moved, or have not had everything told that the list counts, or are new to this owner."""
        facts = {job.serial: job.fact(self.now) for job in self.server.jobs if job.shown(self.now)}  # type: ignore[attr-defined]
        news = {fact.id for serial, fact in facts.items() if fact != self.facts.get(serial)}
        self.moved = moved = news if self.carrier.listed else news | self.moved
        self.facts = facts  # type: ignore[assignment]
        if self.sick or self.bounded or self.frozen or self.restores or self.ledger.head is None:
            return None
        if "JobsPage" in self.server.faults.at_work or not self.carrier.state.walk.trusted:
            return None
        jobs = {job.id: job for job in self.server.jobs}
        moved = moved | {id_ for id_ in jobs if (1, id_) not in self.ledger.told}  # no list need show it
        for id_, track in self.carrier.state.tracks.items():
            job, told = jobs.get(id_), self.ledger.told[1, id_]
            if track.open and (job is None or ("JobEvents", id_) not in self.carrier.heard or self._untold(job, told)):  # type: ignore[arg-type]
                moved = moved | {id_}
        return len(moved) + 2

    def _untold(self, job: ModelJob, told: Told) -> bool:
        nodes = {id_ for id_, node, _, at, _ in job.events if node is not None and at <= self.now}
        return bool(nodes - set(told.events)) or job.over

    def _true(self, epoch: int, id_: int, told: Told, certificate: dict[str, object]) -> None:
        if not certificate["complete"] or not told.serials:
            return
        job = self.server.all[next(iter(told.serials))]
        lost = set(job.ends) - told.ended
        assert not lost, f"e{epoch}:job/{id_} is called complete without the end of {lost}"

    def teardown(self) -> None:
        if not self.carriers:
            return
        self.server.faults.at_work.clear()
        self.server.faults.limit = None
        self.server.faults.no_offset = False
        for carrier in self.carriers:
            carrier.fates = []
        self._live(420.0 if self.sick else 150.0, step=2.0)
        self.thaw()
        self.certificates_are_true()
        self._everything_is_told()
        self._nothing_is_left()

    def _everything_is_told(self) -> None:
        for job in self.server.jobs:
            # A job below all that the first list showed can only be found while one page shows it.
            if job.serial in self.excused or job.id < self.low or self._out_of_sight(job):  # type: ignore[attr-defined]
                continue
            parts = {key: told for key, told in self.ledger.told.items() if key[1] == job.id}
            if job.id < self.base and any(_given_up(told) for told in parts.values()):
                continue  # of history that could not be read at its turn, the certificate says so
            whole = [epoch for (epoch, _), told in parts.items() if _whole(job, told, sick=self.sick)]  # type: ignore[arg-type]
            assert whole, f"job {job} is not whole in {parts}"

    def _out_of_sight(self, job: ModelJob) -> bool:
        """Whether a job became visible after the patience with its gap, and below what lists show by then."""
        newer = sum(other.id > job.id for other in self.server.jobs)
        gaps = {notice["subject"] for notice in self.ledger.notices("gap")}
        return f"{job.id}-{job.id}" in gaps and (self.bounded or newer >= 25)

    def _nothing_is_left(self) -> None:
        walk, open_ = self.carrier.state.walk, {job.id for job in self.server.jobs if not job.over}  # type: ignore[attr-defined]
        assert walk.trusted or not self.server.jobs
        assert not walk.todo
        assert not walk.gaps
        left = set(self.carrier.state.tracks)
        assert left <= open_, f"still tracked: {left - open_}"
        keys = {"prod/jobs", *(f"prod/jobs/{id_}" for id_ in left)}
        if self.beside:
            past, beside = self.carriers[1].stream, self.carriers[1].state
            assert isinstance(past, JobWindow)
            assert past.done(beside) or self.ledger.head is None, f"the backfill stands at {past.view(beside)}"
            keys |= {f"prod/jobs-backfill{end}" for end in ("", "/window", "/eras")}
        assert set(self.ledger.documents) <= keys, f"documents of nobody: {set(self.ledger.documents) - keys}"
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


def _given_up(told: Told) -> bool:
    last = told.certificates[-1] if told.certificates else {"reasons": ()}
    return any(reason.startswith("it could not be read") for reason in last["reasons"])


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
TestJobs.settings = budget(80, 40)
