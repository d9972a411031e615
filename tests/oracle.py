"""The judge of end-to-end tests: the simulator's truth against what a consumer sees. It trusts no API view."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FINAL = {"finished", "failed", "stopped"}


@dataclass(frozen=True)
class Seen:
    """One record as a consumer sees it."""

    channel: str
    key: str
    id: str
    type: str
    data: Mapping[str, Any] | None
    sequence: int | None = None


@dataclass
class Verdict:
    """What is wrong; empty everywhere when all is well."""

    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    uncertified: list[str] = field(default_factory=list)
    events: int = 0

    @property
    def well(self) -> bool:
        return not (self.missing or self.twice or self.invented or self.disordered or self.uncertified)

    def __str__(self) -> str:
        lines = (
            f"{name}: {len(found)} {found[:5]}"
            for name, found in vars(self).items()
            if isinstance(found, list) and found
        )
        return "; ".join(lines) or f"all is well, {self.events} events"


def facts(path: Path) -> list[dict[str, Any]]:
    """Return the simulator's truth, the last line possibly still being written left out."""
    found = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            found.append(json.loads(line))
    return found


def judge(truth: Iterable[Mapping[str, Any]], seen: Iterable[Seen], *, until: float | None = None) -> Verdict:
    """Compare; with `until` only facts at or before that world time have to be there (later ones may be)."""
    verdict = Verdict()
    seen = list(seen)
    verdict.twice = [id_ for id_, count in Counter(record.id for record in seen).items() if count > 1]
    ids = {record.id for record in seen}
    told: set[str] = set()
    due: set[str] = set()
    ended: set[int] = set()
    for fact in truth:
        name = _name(fact)
        if name is None:
            continue
        told.add(name)
        if until is None or fact["at"] <= until:
            due.add(name)
            if fact["fact"] == "job_state" and fact["state"] in FINAL:
                ended.add(fact["job"])
    verdict.missing = sorted(due - ids)
    verdict.invented = sorted(id_ for id_ in ids - told if "/event/" in id_ or (":job/" in id_ and "/state/" in id_))
    verdict.events = len([id_ for id_ in ids if "/event/" in id_])
    certificates = {int(r.key): r.data for r in seen if r.type.endswith("job.summary.v1") and r.data}
    verdict.uncertified = [f"job {id_}" for id_ in sorted(ended) if not certificates.get(id_, {}).get("complete")]
    verdict.disordered = _disordered(seen)
    return verdict


def _name(fact: Mapping[str, Any]) -> str | None:
    match fact["fact"]:
        case "job_event":
            return f"e1:job/{fact['job']}/event/{fact['id']}"
        case "job_state":
            return f"e1:job/{fact['job']}/state/{fact['state']}"
        case "plan_event":
            return f"e1:plan/{fact['plan']}/event/{fact['id']}"
        case "plan_state" if fact["state"] != "pending":
            return f"e1:plan/{fact['plan']}/state/{fact['state']}"
    return None


def _disordered(seen: Iterable[Seen]) -> list[str]:
    """Return records out of order within their key: event ids that go down without being marked late."""
    last: dict[tuple[str, str], int] = defaultdict(int)
    wrong = []
    for record in seen:
        if "/event/" not in record.id or record.data is None or record.sequence is None:
            continue
        place = (record.channel, record.key)
        if record.sequence < last[place] and not record.data.get("late"):
            wrong.append(record.id)
        last[place] = max(last[place], record.sequence)
    return wrong
