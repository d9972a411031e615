"""The failure book: which jobs and plans failed lately, and why, from the records that were committed.

It is what an alert's text and the status page tell of a failure, so it holds a few recent ones, each with
its errors grouped: one broken task on 900 nodes is one line with 900. It learns from live records alone,
which are redacted already, and knows nothing of what another worker delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchbridge.core.records import Record
from orchbridge.ops.account import About, Where, about
from orchbridge.ops.bounds import clean

RECENT_S = 3_600.0
RECENT_MAX = 20  # of each stream
OPEN_MAX = 200  # of each stream: failures of jobs that still run, or that nobody saw the end of
GROUPS_MAX = 8  # of each job; what differs from them all is one more
EXAMPLES_MAX = 5
MESSAGE_MAX, NAME_MAX, URL_MAX = 300, 200, 2_000  # characters
NODE = "<node>"
OTHERS = "other errors"
SILENT = "no error message"

_BROKEN = {"job.node.failed.v1", "job.node.errored.v1"}
_STATES = {"job.state.changed.v1": "job", "plan.state.changed.v1": "plan"}
_TOLD = _BROKEN | _STATES.keys() | {"job.summary.v1", "plan.failed.v1"}
_WORD = re.compile(r"[\w.-]+")  # as certnames are written; a pattern of each node would be compiled anew
# What differs from node to node in a message that means the same: ids and digests, then any number.
_VARIES = re.compile(r"\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{8,}\b|\d+")


def alike(message: str) -> str:
    """Return a message without what differs from node to node and from job to job: equal where they mean the same."""
    return _VARIES.sub("#", message)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors that say the same: the first one's message, PE's kind of error, how many nodes met it, some of them.

    A certname in the message is replaced by `<node>`. A plan's own error has no nodes.
    """

    message: str
    kind: str | None
    nodes: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job or plan (`kind`) that failed; `nodes` counts nodes by state.

    `finished` is PE's text, `at` (Unix seconds) when it was committed that it failed, `url` its page in the
    console. `errors` has the most widespread first; it lacks what another worker delivered.
    """

    source: str
    id: int
    kind: str
    type: str | None
    name: str
    environment: str | None
    url: str | None
    finished: str | None
    at: float
    nodes: dict[str, int] = field(default_factory=dict)
    errors: tuple[ErrorGroup, ...] = ()

    @property
    def failed_nodes(self) -> int:
        """How many nodes failed or errored."""
        return self.nodes.get("failed", 0) + self.nodes.get("errored", 0)


@dataclass(slots=True)
class _Group:
    message: str
    kind: str | None
    nodes: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Case:
    """What is known so far of one job or plan that may turn out to have failed."""

    id: int
    kind: str
    about: About = field(default_factory=About)
    finished: str | None = None
    at: float | None = None  # None until it failed
    told: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    groups: dict[tuple[object, ...], _Group] = field(default_factory=dict)


class Failures:
    """Keeps the recent failures of every stream, bounded in jobs, groups and characters."""

    def __init__(self) -> None:
        self._cases: dict[Where, dict[tuple[str, str], _Case]] = {}

    def committed(self, where: Where, records: Iterable[Record], now: float) -> None:
        """Learn from a batch's records; `now` (Unix seconds) is when it was committed."""
        for record in records:
            if record.type in _TOLD and not record.replay and record.data is not None:
                self._learn(where, record, record.data, now)

    def recent(self, now: float, where: Where | None = None) -> tuple[FailedJob, ...]:
        """Return what failed within the last hour, newest first: of one stream, or of all."""
        streams = self._cases if where is None else (where,)
        found = [failed for each in streams for failed in self._recent(each, now)]
        return tuple(sorted(found, key=lambda failed: -failed.at))

    def forget(self, where: Where) -> None:
        """Another worker tells of this stream now."""
        self._cases.pop(where, None)

    def _recent(self, where: Where, now: float) -> list[FailedJob]:
        cases = self._cases.get(where, {})
        for key in [key for key, case in cases.items() if case.at is not None and now - case.at >= RECENT_S]:
            del cases[key]
        ended = [case for case in cases.values() if case.at is not None]
        ended.sort(key=lambda case: (-(case.at or 0.0), -case.id))
        return [_failed(where.source, case) for case in ended[:RECENT_MAX]]

    def _learn(self, where: Where, record: Record, data: Mapping[str, Any], now: float) -> None:
        cases = self._cases.setdefault(where, {})
        key = record.epoch, record.key
        if record.type in _BROKEN:
            _broken(self._case(cases, key, "job"), data)
        elif record.type == "plan.failed.v1":
            _plan_error(self._case(cases, key, "plan"), data)
        elif record.type == "job.summary.v1":
            by_state = _counts((data.get("expected") or {}).get("by_state"))
            if key in cases and by_state:
                cases[key].told = by_state
        elif data.get("outcome") == "failure":
            kind = _STATES[record.type]
            case = self._case(cases, key, kind)
            case.about, case.at = about(data, kind), now
            case.finished = _text(data.get("finished_at"), NAME_MAX)
            case.told = _counts(data.get("node_states")) or case.told
            if kind == "plan":
                _plan_error(case, data)
        elif data.get("outcome") is not None:
            cases.pop(key, None)

    @staticmethod
    def _case(cases: dict[tuple[str, str], _Case], key: tuple[str, str], kind: str) -> _Case:
        case = cases.get(key)
        if case is None:
            case = cases[key] = _Case(int(key[1]) if key[1].isdecimal() else 0, kind)
            if len(cases) > OPEN_MAX:
                del cases[next(iter(cases))]
        return case


def _failed(source: str, case: _Case) -> FailedJob:
    job = case.about
    groups = sorted(case.groups.values(), key=lambda group: -group.nodes)
    return FailedJob(
        source=source,
        id=case.id,
        kind=case.kind,
        type=_text(job.type, NAME_MAX),
        name=_text(job.name, NAME_MAX) or "",
        environment=_text(job.environment, NAME_MAX),
        url=_text(job.url, URL_MAX),
        finished=case.finished,
        at=case.at or 0.0,
        nodes=dict(case.told or case.counted),
        errors=tuple(ErrorGroup(group.message, group.kind, group.nodes, tuple(group.examples)) for group in groups),
    )


def _broken(case: _Case, data: Mapping[str, Any]) -> None:
    """Add one node's error to the group that says the same."""
    node, result = str(data.get("node") or ""), str(data.get("result") or "failed")
    case.counted[result] = case.counted.get(result, 0) + 1
    error = data.get("error") if isinstance(data.get("error"), dict) else {}
    message = (error and error.get("message")) or data.get("message")
    kind = error.get("kind") if error else None
    group = _group(case, kind, error.get("exit_code") if error else None, message, node)
    group.nodes += 1
    if len(group.examples) < EXAMPLES_MAX and node:
        group.examples.append(clean(node, NAME_MAX))


def _group(case: _Case, kind: object, code: object, message: object, node: str = "") -> _Group:
    text = _text(message, 4 * MESSAGE_MAX) or SILENT
    if node and node in text:
        text = _WORD.sub(lambda word: word[0].replace(node, NODE) if word[0].strip(".-") == node else word[0], text)
    text = _text(" ".join(text.split()), MESSAGE_MAX) or SILENT
    kind = _text(kind, NAME_MAX)
    key: tuple[object, ...] = (kind, code if isinstance(code, int) else None, alike(text))
    if key not in case.groups and len(case.groups) >= GROUPS_MAX:
        key, text, kind = (OTHERS,), OTHERS, None
    return case.groups.setdefault(key, _Group(text, kind))


def _plan_error(case: _Case, data: Mapping[str, Any]) -> None:
    """Take the plan's own error from its result, once."""
    result = data.get("result")
    if case.groups or not isinstance(result, msgspec.Raw):
        return
    try:
        told = msgspec.json.decode(result)
    except msgspec.MsgspecError:
        return
    error = told.get("_error", told) if isinstance(told, dict) else told
    if isinstance(error, dict):
        _group(case, error.get("kind"), None, error.get("msg"))
    elif error is not None:
        _group(case, None, None, error)


def _counts(value: object) -> dict[str, int]:
    return dict(value) if isinstance(value, Mapping) else {}


def _text(value: object, most: int) -> str | None:
    """Return a text of so many characters at most, None where it is none."""
    return clean(value, most) if isinstance(value, str) else None
