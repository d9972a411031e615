"""A server of jobs as the machines move it: what happens now, what shows later, what is taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from dataclasses import replace as another
from random import Random

import msgspec

from orchbridge.core.facts import Job, JobEvent
from orchbridge.core.questions import Answer, JobDetail, JobEvents, JobNodes, JobsPage, Page, Question, Trouble
from tests.core.machines.faults import Faults
from tests.core.server import ScriptedJob, Server

replace = msgspec.structs.replace
OVER = {"finished", "failed", "stopped"}
STALE_S = 15.0
ENDS = ("finished", "failed", "errored", "skipped")


@dataclass
class ModelJob(ScriptedJob):
    """A job that knows which of all jobs that ever were it is; its events carry that number."""

    serial: int = 0
    serials: dict[int, int] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)
    kept: dict[bool, tuple[tuple[int, int], Job]] = field(default_factory=dict, repr=False, compare=False)

    def copy(self) -> ModelJob:
        """Return the job as it stands; what happens to either from now on does not happen to the other."""
        return another(
            self, states=[*self.states], events=[*self.events], serials={**self.serials}, begun={*self.begun},
            ends={**self.ends}, kept={},
        )  # fmt: skip

    @property
    def state(self) -> str:
        return self.states[-1][1]

    @property
    def over(self) -> bool:
        return self.state in OVER

    def words(self) -> list[str]:
        """Return the names of its states, a re-entered one with its count."""
        said: list[str] = []
        for _, word in self.states:
            count = sum(name.split("/")[0] == word for name in said)
            said.append(f"{word}/{count + 1}" if count else word)
        return said

    def shown_events(self, now: float) -> list[JobEvent]:
        return [
            replace(event, message=f"#{self.serial}.{self.serials[event.id]}") for event in super().shown_events(now)
        ]

    def fact(self, now: float, *, detail: bool = False) -> Job:
        """Return what is said of it; made once for as long as nothing happens, as it is asked for again and again."""
        stands = (len(self.states), len(self.events))
        if self.states[-1][0] > now or (self.events and self.events[-1][3] > now):
            return self._made(now, detail)  # as a replica that lags sees it
        kept = self.kept.get(detail)
        if kept is None or kept[0] != stands:
            kept = self.kept[detail] = (stands, self._made(now, detail))
        return kept[1]

    def _made(self, now: float, detail: bool) -> Job:
        return replace(super().fact(now, detail=detail), raw=b'{"serial":%d}' % self.serial)


@dataclass
class ModelServer(Server):
    """The server under test's eyes. `all` holds every job that ever was, by its own number."""

    faults: Faults = field(default_factory=Faults)
    random: Random = field(default_factory=lambda: Random(0))
    last_job: int = 0
    last_event: int = 0
    last_serial: int = 0
    all: dict[int, ModelJob] = field(default_factory=dict)
    pruned: set[int] = field(default_factory=set)
    lagged: float = 0.0  # when a list came from a replica
    denied: Counter[int] = field(default_factory=Counter)
    refused: dict[int, float] = field(default_factory=dict)  # when a question about each failed last

    def create(self, now: float, *, nodes: int, skip: int = 0, hidden: float = 0.0) -> ModelJob:
        """Begin a job; `skip` ids are lost, and it is `hidden` for so many seconds."""
        self.last_job += 1 + skip
        self.last_serial += 1
        names = [f"n{at}.test" for at in range(nodes)]
        owner = f"o{self.last_serial % 3}"
        job = ModelJob(
            self.last_job, now, [(now, "new")], [], names, now + hidden, owner=owner, serial=self.last_serial
        )
        self.jobs.append(job)
        self.all[job.serial] = job
        return job

    def event(self, job: ModelJob, now: float, type_: str, node: str | None = None, late: float = 0.0) -> None:
        """Append an event that shows `late` seconds from now."""
        self.last_event += 1
        self.last_serial += 1
        job.events.append((self.last_event, node, type_, now, late))
        job.serials[self.last_event] = self.last_serial
        if node is not None and type_ == "node_running":
            job.begun.add(node)
        elif node is not None:
            job.ends[node] = self.last_event

    def whole(self, at: float, nodes: int) -> None:
        """Have a job begin and end at one moment."""
        job = self.create(at, nodes=nodes)
        for node in job.nodes:
            self.event(job, at, "node_running", node)
            self.event(job, at, "node_finished", node)
        self.event(job, at, "job_finished")
        self.enter(job, at, "finished")

    def enter(self, job: ModelJob, now: float, state: str) -> None:
        job.states.append((now, state))

    def prune(self, jobs: Iterable[ModelJob]) -> None:
        """Forget these."""
        gone = {job.serial for job in jobs}
        self.pruned |= gone
        self.jobs = [job for job in self.jobs if job.serial not in gone]  # type: ignore[attr-defined]

    def backup(self) -> tuple[list[ModelJob], int, int]:
        """Return everything as it stands."""
        return [job.copy() for job in self.jobs], self.last_job, self.last_event  # type: ignore[return-value]

    def restore(self, backup: tuple[list[ModelJob], int, int]) -> None:
        """Be as it was; what came after never was, and its ids are given to others."""
        jobs, self.last_job, self.last_event = [job.copy() for job in backup[0]], backup[1], backup[2]
        self.jobs = list(jobs)
        self.all.update({job.serial: job for job in jobs})

    def answer(self, question: Question, now: float) -> Answer:
        asked = question
        limit = self.faults.limit
        if isinstance(question, JobsPage | JobNodes):
            if limit is not None and question.limit > limit:
                if self.faults.limit_form == "refused":
                    return Trouble("invalid", f"limit must be at most {limit}", status=400)
                asked = replace(question, limit=limit)
            if self.faults.no_offset and isinstance(question, JobsPage):
                asked = replace(asked, offset=0)
        seen_at = now
        if isinstance(question, JobsPage) and self.faults.at_work.get("JobsPage", ("", 0))[0] == "stale":
            del self.faults.at_work["JobsPage"]
            seen_at, self.lagged = now - STALE_S, now  # from a replica that lags
        answer = super().answer(asked, seen_at)
        heard = self.faults.change(question, answer, self.random)
        if isinstance(heard, Trouble) and heard is not answer:
            self._refused(question, heard, now)
        return heard

    def _refused(self, question: Question, trouble: Trouble, now: float) -> None:
        """Note whose answers failed, and who was said to be gone, though it is there."""
        if isinstance(question, JobDetail | JobEvents | JobNodes):
            for job in self.jobs:
                if job.id == question.job:
                    self.refused[job.serial] = now
                    self.denied[job.serial] += trouble.kind in {"missing", "absent"}


def listed(answer: Answer) -> list[int]:
    """Return the ids of a page of jobs."""
    return [item.id for item in answer.items if isinstance(item, Job)] if isinstance(answer, Page) else []


def torn(answer: Answer, ids: list[int], question: JobsPage) -> set[int]:
    """Return which of these ids could not be read in a page of jobs that should have shown them."""
    if not isinstance(answer, Page) or all(isinstance(item, Job) for item in answer.items):
        return set()
    there = sorted(ids, reverse=True)[question.offset : question.offset + question.limit]
    return set(there).difference(listed(answer))
