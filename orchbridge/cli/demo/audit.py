"""What really lies in the files, read back at the end and held against the simulator's truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec


class _Certificate(msgspec.Struct):
    outcome: str | None = None
    complete: bool | None = None


class _Event(msgspec.Struct):
    """What the audit needs of one line."""

    id: str
    source: str
    type: str
    subject: str
    data: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def kind(self) -> str:
        return self.type.removeprefix("io.orchbridge.pe.").rpartition(".")[0]


class _Fact(msgspec.Struct):
    fact: str
    job: int | None = None
    id: int | None = None
    state: str | None = None


@dataclass(slots=True)
class Audit:
    """Counts of one demo. Jobs and facts are named as in records: `job/12`, `job/12/event/97`, `job/12/state/ready`."""

    files: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> (records, bytes)
    kinds: Counter[str] = field(default_factory=Counter)
    jobs: set[str] = field(default_factory=set)
    outcomes: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, bool] = field(default_factory=dict)
    plans: set[str] = field(default_factory=set)
    plans_ended: set[str] = field(default_factory=set)
    twice: list[str] = field(default_factory=list)
    delivered: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    facts: int = 0

    @property
    def incomplete(self) -> list[str]:
        """Finished jobs without a complete certificate."""
        return sorted(job for job in self.outcomes if not self.certificates.get(job))

    @property
    def sound(self) -> bool:
        """Whether everything is there, and once."""
        return not (self.twice or self.missing or self.invented or self.incomplete)


def audit(files: Iterable[Path], truth: Path, due: Iterable[str]) -> Audit:
    """Read all files and compare them with the truth about every finished job, and about those that are `due`."""
    found = Audit()
    seen: set[tuple[str, str]] = set()
    for file in sorted(files):
        records = 0
        for event in _events(file):
            records += 1
            if (event.source, event.id) in seen:
                found.twice.append(event.id)
            seen.add((event.source, event.id))
            _take(found, event)
        found.files[str(file)] = (records, file.stat().st_size)
    _compare(found, truth, due)
    return found


def _events(file: Path) -> Iterator[_Event]:
    decoder = msgspec.json.Decoder(_Event)
    with file.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)


def _take(found: Audit, event: _Event) -> None:
    kind, place = event.kind, event.id.partition(":")[2]
    found.kinds[kind] += 1
    owner = "/".join(event.subject.split("/")[:2])
    if kind == "job.state.changed":
        found.jobs.add(owner)
        found.delivered.add(place)
        outcome = msgspec.json.decode(event.data, type=_Certificate).outcome
        if outcome is not None:
            found.outcomes[owner] = outcome
    elif kind == "job.summary":
        found.certificates[owner] = bool(msgspec.json.decode(event.data, type=_Certificate).complete)
    elif place.startswith("job/") and "/event/" in place:
        found.delivered.add(place)
    elif kind == "plan.state.changed":
        found.plans.add(owner)
        if msgspec.json.decode(event.data, type=_Certificate).outcome is not None:
            found.plans_ended.add(owner)


def _compare(found: Audit, truth: Path, due: Iterable[str]) -> None:
    concerned = found.outcomes.keys() | set(due)
    facts = {name for job, name in _facts(truth) if job in concerned}
    delivered = {name for name in found.delivered if "/".join(name.split("/")[:2]) in concerned}
    found.facts = len(facts)
    found.missing = sorted(facts - delivered)
    found.invented = sorted(delivered - facts)


def _facts(truth: Path) -> Iterator[tuple[str, str]]:
    """Yield (job, name of the record it must have become) for every event and every state of every job."""
    entered: Counter[tuple[int, str]] = Counter()
    decoder = msgspec.json.Decoder(_Fact)
    with truth.open("rb") as lines:
        for line in lines:
            fact = decoder.decode(line)
            if fact.fact == "job_event":
                yield f"job/{fact.job}", f"job/{fact.job}/event/{fact.id}"
            elif fact.fact == "job_state" and fact.job is not None and fact.state is not None:
                entered[fact.job, fact.state] += 1
                again = entered[fact.job, fact.state]
                yield f"job/{fact.job}", f"job/{fact.job}/state/{fact.state}{f'/{again}' if again > 1 else ''}"
