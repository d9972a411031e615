"""Jobs under everything a server can do, and a worker that dies between any two steps."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchbridge.core.gaps import FRESH_MAX
from orchbridge.core.head import Anchor
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.jobs.window import JobWindow
from orchbridge.core.questions import JobsPage
from orchbridge.core.walk import Seen, Start
from tests.core.live import settings
from tests.core.machines import judging
from tests.core.machines.budget import budget
from tests.core.machines.carrier import Carrier, together
from tests.core.machines.faults import PAGES, PASSING
from tests.core.machines.judging import excused, whole
from tests.core.machines.kindness import Kindness
from tests.core.machines.ledger import Ledger, Told
from tests.core.machines.model import ENDS, ModelJob, ModelServer, listed, torn

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
        self.pages = ""
        self.start = Start()
        self.restores = 0
        self.low = self.base = 0  # the lowest id of the first list; the first id that the live stream has to explain
        self.first: set[int] = set()
        self.kindness = Kindness(self.server, self.ledger)
        self.judged: set[tuple[int, int]] = set()
        self.sound: dict[tuple[int, int], int] = {}
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
                self.server.whole(BEGIN - 600.0 + 10 * at, nodes=1)
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
            seen = {job.serial: Seen(Anchor(job.id), not job.over, job.created) for job in shown}
            self.first = {job.serial for job in shown if job.over and not self.start.chooses(seen[job.serial])}
            self.first |= {job.serial for job in shown if job.id in torn(answer, [job.id for job in shown], question)}
            self.low = self.base = min((job.id for job in shown), default=0)  # 0: the first id ever told
            if self.server.faults.no_offset or self.sick:  # what its one page does not show is not to be had
                self.low = min(listed(answer), default=self.low)
            if shown and (self.beside or self.start.kind == "now"):
                self.base = max(job.id for job in shown) + 1
        return answer

    def _live(self, seconds: float, seed: int = 1, step: float = 0.25) -> None:
        together(self.carriers, self.now + seconds, Random(seed), step)

    def _pass(self, seconds: float) -> None:
        for carrier in self.carriers:
            carrier.now += seconds

    def _enter(self, job: ModelJob, state: str) -> None:
        self._pass(0.01 if job.states[-1][0] >= self.now else 0.0)  # no two states at one moment
        self.server.enter(job, self.now, state)

    def _one(self, pick: int, *, over: bool | None = None) -> ModelJob | None:
        jobs = [job for job in self.server.jobs if (over is None or job.over is over) and job.serial not in self.frozen]  # type: ignore[attr-defined]
        return jobs[pick % len(jobs)] if jobs else None  # type: ignore[return-value]

    @rule(
        nodes=st.integers(0, 3), skip=st.sampled_from([0, 0, 0, 1, 3]),
        hidden=st.sampled_from([0.0, 0.0, 1.5, 6.0, 20.0, 50.0]), pause=pauses,
    )  # fmt: skip
    def create(self, nodes: int, skip: int, hidden: float, pause: float) -> None:
        self.server.create(self.now, nodes=nodes, skip=skip, hidden=hidden)
        self._live(pause)

    @rule(count=st.sampled_from([2, 5, 70]))
    def burst(self, count: int) -> None:
        for _ in range(count):
            self.server.whole(self.now, nodes=count < 70)

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
        newest = max((job.id for job in jobs if job.shown(self.now)), default=0)
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
        self.frozen = {job.serial for job in self.server.jobs}
        self.excused |= {job.serial for job in self.server.jobs if job.over} & self.server.pruned  # and there again
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
        if (question, how) == ("JobsPage", "invalid"):  # it is asked for less from then on
            if self.pages == "one":
                return
            self.pages, self.bounded = "limit", True
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
        faults = self.server.faults
        self.pages = self.pages or ("limit" if limit is not None else "one" if no_offset else "")
        faults.limit, faults.limit_form = limit if self.pages == "limit" else None, form
        faults.no_offset, self.bounded = no_offset and self.pages == "one", True  # with both, nothing could be found

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
            news = len(told.certificates) - self.sound.get((epoch, id_), 0)  # later the job may be restored and go on
            self.sound[epoch, id_] = len(told.certificates)
            for certificate in told.certificates[-news:] if news else ():
                judging.true(f"e{epoch}:job/{id_}", self.server, told, certificate)

    @invariant()
    def certificates_wait(self) -> None:
        """A first certificate counts what showed at the end: events were asked for once that was known."""
        for key, told in self.ledger.told.items():
            if not told.counted or key in self.judged:
                continue
            self.judged.add(key)
            if not (self.sick or self.bounded or self.restores or told.certificates[0]["truncated"]):
                judging.counts_what_showed(key[1], told, self.server)

    @invariant()
    def nothing_is_hasty(self) -> None:
        """No new epoch of a server that is the same, and no gap where a job was only slow to show."""
        head = self.ledger.head
        assert head is None or head.epoch - 1 <= self.restores, "an epoch for nothing"
        if not (self.sick or self.restores):
            judging.no_gap_was_only_slow(self.ledger, self.server)

    def _most(self) -> int | None:
        if self.sick or self.bounded or self.restores:
            return None
        return self.kindness.most(self.carrier, judged=not self.frozen)

    def teardown(self) -> None:
        if not self.carriers:
            return
        self.server.faults.heal()
        for carrier in self.carriers:
            carrier.fates = []
        self._live(420.0 if self.sick else 150.0, step=2.0)
        self.thaw()
        self.certificates_are_true()
        self._everything_is_told()
        self._nothing_is_left()

    def _everything_is_told(self) -> None:
        # A job below all that was ever shown can only be found while one page shows it.
        low = self.low or (self.ledger.first if self.ledger.first > FRESH_MAX else 1)
        for job in self.server.jobs:
            if job.serial in self.excused or job.id < low:
                continue
            if judging.unwatched(job, self.server, self.ledger, self.base, bounded=self.bounded):
                continue
            parts = [told for key, told in self.ledger.told.items() if key[1] == job.id] or [Told()]
            if any(excused(job, told, self.server, WINDOW_S, history=job.id < self.base) for told in parts):
                continue
            assert any(whole(job, told, sick=self.sick) for told in parts), f"job {job} is not whole in {parts}"

    def _nothing_is_left(self) -> None:
        judging.nothing_is_open(self.carrier, self.server)
        left = set(self.carrier.state.tracks)
        keys = {"prod/jobs", *(f"prod/jobs/{id_}" for id_ in left)}
        if self.beside:
            past, beside = self.carriers[1].stream, self.carriers[1].state
            assert isinstance(past, JobWindow)
            assert past.done(beside) or self.ledger.head is None, f"the backfill stands at {past.view(beside)}"
            keys |= {f"prod/jobs-backfill{end}" for end in ("", "/window", "/eras")}
        assert set(self.ledger.documents) <= keys, f"documents of nobody: {set(self.ledger.documents) - keys}"
        judging.every_id_is_accounted_for(self.ledger, self.base)


TestJobs = JobsMachine.TestCase
TestJobs.settings = budget(80, 40)
