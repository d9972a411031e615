"""The judge of end-to-end tests: the simulator's truth against what a consumer sees. It trusts no API view."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

FINAL = {"finished", "failed", "stopped"}
NODE_ENDS = {"node_finished", "node_failed", "node_errored", "node_skipped"}
OLD_STATES = {"stopping": "running", "stopped": "failed"}  # servers before 2017.3 know no stopping


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
    untrue: list[str] = field(default_factory=list)
    events: int = 0

    @property
    def well(self) -> bool:
        return not any(found for found in vars(self).values() if isinstance(found, list))

    def take(self, other: Verdict) -> None:
        """Add what somebody else found wrong."""
        for name, found in vars(other).items():
            if isinstance(found, list):
                getattr(self, name).extend(found)

    def __str__(self) -> str:
        lines = (
            f"{name}: {len(found)} {found[:5]}"
            for name, found in vars(self).items()
            if isinstance(found, list) and found
        )
        return "; ".join(lines) or f"all is well, {self.events} events"


@dataclass
class Tale:
    """One job or plan of one history: a restored server gives its id to another, pruning ends it unread."""

    name: str
    nodes: tuple[str, ...] = ()
    told: list[tuple[str, float]] = field(default_factory=list)  # ("event/12" or "state/running", when)
    ends: dict[str, str] = field(default_factory=dict)  # node -> the event that ended it
    excused: bool = False
    undone: bool = False
    over: bool = False

    def due(self, until: float | None) -> set[str]:
        return {name for name, at in self.told if (until is None or at <= until) and name != "state/pending"}

    @property
    def states(self) -> list[str]:
        return [name for name, _ in self.told if name.startswith("state/")]


def facts(path: Path) -> list[dict[str, Any]]:
    """Return the simulator's truth, the last line possibly still being written left out."""
    found = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            found.append(json.loads(line))
    return found


def tales(
    truth: Iterable[Mapping[str, Any]], renamed: Mapping[str, str] | None = None, until: float | None = None
) -> dict[str, list[Tale]]:
    """Return what befell each job and plan (`job/7`), one tale for each time its id was given out."""
    told: dict[str, list[Tale]] = defaultdict(list)
    for fact in truth:
        match fact["fact"]:
            case "job" | "plan" as kind:
                name = f"{kind}/{fact['id']}"
                told[name].append(Tale(name, tuple(fact.get("nodes", ()))))
            case "job_state" | "plan_state" as what:
                kind = what.removesuffix("_state")
                tale = told[f"{kind}/{fact[kind]}"][-1]
                _enter(tale, (renamed or {}).get(fact["state"], fact["state"]), fact["at"])
                in_time = until is None or fact["at"] <= until
                tale.over = tale.over or (in_time and fact["state"] in {*FINAL, "success", "failure"})
            case "job_event" | "plan_event" as what:
                kind = what.removesuffix("_event")
                tale = told[f"{kind}/{fact[kind]}"][-1]
                tale.told.append((f"event/{fact['id']}", fact["at"]))
                if fact["type"] in NODE_ENDS:
                    tale.ends[fact["node"]] = f"event/{fact['id']}"
            case "pruned" | "restored" as what:
                for kind in ("job", "plan"):
                    for id_ in fact[f"{kind}s"]:
                        tale = told[f"{kind}/{id_}"][-1]
                        tale.excused, tale.undone = True, what == "restored"
    return told


def _enter(tale: Tale, state: str, at: float) -> None:
    again = sum(name.split("/")[1] == state for name in tale.states)
    if again and tale.name.startswith("plan/"):
        return  # an old server's pending, which was called running as well
    tale.told.append((f"state/{state}" + (f"/{again + 1}" if again else ""), at))


def judge(
    truth: Iterable[Mapping[str, Any]],
    seen: Iterable[Seen],
    *,
    until: float | None = None,
    renamed: Mapping[str, str] | None = None,
    plans: bool = True,
    unreadable: frozenset[int] = frozenset(),
) -> Verdict:
    """Compare; with `until` only facts at or before that world time have to be there (later ones may be).

    Every tale has to be whole in one epoch; what another epoch says of it has to be true as well.
    `renamed` maps states an old server does not know, `plans` says whether it has any, and
    `unreadable` jobs may be certified as incomplete, without their events.
    """
    verdict = Verdict()
    seen = list(seen)
    verdict.twice = [id_ for id_, count in Counter(record.id for record in seen).items() if count > 1]
    parts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))  # job/7 -> e1 -> event/12, ...
    for record in seen:
        epoch, name, part = _taken_apart(record.id)
        if part:
            parts[name][epoch].add(part)
    told = {name: list_ for name, list_ in tales(truth, renamed, until).items() if plans or name.startswith("job/")}
    certificates = _certificates(seen)
    for name, list_ in told.items():
        known = {part for tale in list_ for part, _ in tale.told}
        said = parts.get(name, {})
        verdict.invented += sorted(f"{epoch}:{name}/{part}" for epoch, had in said.items() for part in had - known)
        _follow(list_, said, certificates[name], verdict, until, unreadable)
    verdict.invented += sorted(f"{name} itself" for name in parts if name not in told and parts[name])
    verdict.events = len([record for record in seen if "/event/" in record.id])
    verdict.disordered = _disordered(seen, told)
    return verdict


def _taken_apart(id_: str) -> tuple[str, str, str]:
    """Return epoch, `job/7` and `event/12` or `state/running`; the last is empty for any other record."""
    epoch, _, rest = id_.partition(":")
    pieces = rest.split("/")
    if len(pieces) < 4 or pieces[0] not in {"job", "plan"} or pieces[2] not in {"event", "state"}:
        return epoch, rest, ""
    return epoch, "/".join(pieces[:2]), "/".join(pieces[2:])


class _Certificates:
    """What was certified of one job, by epoch, in the order given."""

    def __init__(self) -> None:
        self.by_epoch: dict[str, list[Mapping[str, Any]]] = defaultdict(list)


def _certificates(seen: Sequence[Seen]) -> dict[str, _Certificates]:
    """Return the certificates of each job (`job/7`), found in one pass: there may be thousands of jobs."""
    found: dict[str, _Certificates] = defaultdict(_Certificates)
    for record in seen:
        if record.type.endswith("job.summary.v1") and record.data is not None:
            epoch, _, rest = record.id.partition(":")
            found["/".join(rest.split("/")[:2])].by_epoch[epoch].append(record.data)
    return found


def _follow(
    list_: list[Tale], said: Mapping[str, set[str]], certificates: _Certificates, verdict: Verdict,
    until: float | None, unreadable: frozenset[int],
) -> None:  # fmt: skip
    epochs = sorted(said, key=lambda epoch: int(epoch[1:]))
    for tale in list_:
        kind, _, number = tale.name.partition("/")
        due = tale.due(until)
        if kind == "job" and int(number) in unreadable:
            due = {part for part in due if part.startswith("never")}
        wholes = [epoch for epoch in epochs if due <= said[epoch]]
        whole = next((epoch for epoch in wholes if certificates.by_epoch[epoch]), next(iter(wholes), None))
        if tale.excused:
            was_seen = any(due & said[epoch] for epoch in epochs)
            if kind == "job" and was_seen and not tale.undone and not any(certificates.by_epoch.values()):
                verdict.uncertified.append(f"{tale.name}, pruned")
            continue
        if whole is None and due:
            best = min(epochs, key=lambda epoch: len(due - said[epoch]), default="e1")
            verdict.missing += sorted(f"{best}:{tale.name}/{part}" for part in due - said.get(best, set()))
            for certificate in certificates.by_epoch[best][-1:]:
                verdict.untrue += _lies(tale, certificate, said.get(best, set()), until)
            continue
        if whole is not None:
            epochs = epochs[epochs.index(whole) + 1 :]  # another one with this id has to be whole in a later epoch
        if kind == "job" and tale.over:
            last = (certificates.by_epoch[whole or "e1"] or [{}])[-1]
            if not last or (int(number) not in unreadable and not last["complete"]):
                verdict.uncertified.append(f"{tale.name} {dict(last)}")
            else:
                verdict.untrue += _lies(tale, last, said.get(whole or "e1", set()), until)


def _lies(tale: Tale, certificate: Mapping[str, Any], said: set[str], until: float | None) -> list[str]:
    """Return what the newest certificate of a job says that is not so."""
    ids = sorted(int(part.split("/")[1]) for part in said if part.startswith("event/") and part[6:].isdigit())
    wrong = []
    delivered = certificate["delivered"]
    digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
    if delivered["events"] != len(ids) or delivered["ids_sha256"] != digest:
        wrong.append(f"{tale.name} counts {delivered['events']} events of {len(ids)}")
    lost = [node for node, part in tale.ends.items() if part not in said]
    if certificate["complete"] and lost:
        wrong.append(f"{tale.name} is called complete without the end of {lost[:3]}")
    if certificate["complete"] and certificate["expected"]["nodes"] != len(tale.nodes):
        wrong.append(f"{tale.name} has {len(tale.nodes)} nodes, not {certificate['expected']['nodes']}")
    return wrong


def hasty(truth: Iterable[Mapping[str, Any]], seen: Iterable[Seen]) -> list[str]:
    """Return certificates that came before an event they count, or call a job complete before its nodes' ends came.

    The records have to be in the order of their commits.
    """
    told = tales(truth)
    said: dict[str, set[str]] = defaultdict(set)
    wrong = []
    for record in seen:
        epoch, name, part = _taken_apart(record.id)
        if part.startswith("event/") and not record.id.endswith("/quarantine"):
            said[f"{epoch}:{name}"].add(part)
        elif record.type.endswith("job.summary.v1") and record.data is not None:
            job = record.id.partition("/summary/")[0]
            ends = [set(tale.ends.values()) for tale in told.get(job.partition(":")[2], ())]
            if record.data["delivered"]["events"] > len(said[job]):
                wrong.append(f"{record.id} counts what is still to come")
            if record.data["complete"] and not any(end <= said[job] for end in ends):
                wrong.append(f"{record.id} is complete too early")
    return wrong


def _disordered(seen: Iterable[Seen], told: Mapping[str, list[Tale]]) -> list[str]:
    """Return records out of order within their key: events going down unmarked, states in another order."""
    last: dict[tuple[str, str, str], int] = defaultdict(int)
    states: dict[tuple[str, str], list[str]] = defaultdict(list)
    wrong = []
    for record in seen:
        epoch, name, part = _taken_apart(record.id)
        if part.startswith("state/"):
            states[epoch, name].append(part)
        if not part.startswith("event/") or record.data is None or record.sequence is None:
            continue
        place = (epoch, record.channel, record.key)
        if record.sequence < last[place] and not record.data.get("late"):
            wrong.append(record.id)
        last[place] = max(last[place], record.sequence)
    for (epoch, name), said in states.items():
        orders = [tale.states for tale in told.get(name, ())]
        if not any([part for part in order if part in said] == said for order in orders):
            wrong.append(f"{epoch}:{name} {said}")
    return wrong


def judge_nodes(
    truth: Iterable[Mapping[str, Any]], seen: Iterable[Seen], *, quiet_since: float, stamp: Any = str,
    lasting_s: float | None = None,
) -> list[str]:  # fmt: skip
    """Return what is wrong about reachability: sessions that never were, and nodes whose last news is not their state.

    Nodes that moved after `quiet_since` may be as they were. `stamp` is how this server spells the time
    of a session. With `lasting_s` every session and every absence that lasted longer has to be told as well.
    """
    wrong: list[str] = []
    moves: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for fact in truth:
        if fact["fact"] == "node":
            moves[fact["node"]].append((fact["at"], fact["change"], stamp(fact["timestamp"])))
    said: dict[str, list[tuple[str, str]]] = defaultdict(list)
    state: dict[str, bool] = {}
    for record in seen:
        if record.channel == "node-state" and record.data is not None:
            state[record.key] = record.data["connected"]
        if record.channel == "reachability":
            word, _, session = record.id.partition(f"node/{record.key}/")[2].partition("/")
            said[record.key].append((word, session))
    for node, changes in moves.items():
        sessions = {began for _, change, began in changes if change != "disconnected"}
        ended = {began for (_, _, began), _ in pairwise(changes)} | {
            began for _, change, began in changes if change == "disconnected"
        }
        for word, session in said[node]:
            if session not in (sessions if word == "up" else ended):
                wrong.append(f"{node} {word} {session} never was")
        up = changes[-1][1] != "disconnected"
        if changes[-1][0] < quiet_since and state.get(node) != up and (up or node in state):
            wrong.append(f"{node} is {changes[-1]}, not {state.get(node)}")
        if lasting_s is not None:
            wrong += _unsaid(node, changes, said[node], lasting_s)
    return wrong


def _unsaid(
    node: str, changes: list[tuple[float, str, str]], said: list[tuple[str, str]], lasting_s: float
) -> list[str]:
    """Return lasting sessions and absences that were not told, those before the first look left out."""
    wrong = []
    for (at, change, began), (next_at, _, _) in pairwise(changes):
        word = "down-after" if change == "disconnected" else "up"
        if at > 3.0 and next_at - at > lasting_s and (word, began) not in said:
            wrong.append(f"{node} {word} {began} untold")
    return wrong
