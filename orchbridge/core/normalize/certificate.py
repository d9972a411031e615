"""The certificate that ends every job (`job.summary`), and the job's compacted document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from orchbridge.core.facts import Job, NodeRow
from orchbridge.core.idset import IdSet
from orchbridge.core.normalize.context import Context
from orchbridge.core.normalize.jobs import ENDED, outcome, stamps
from orchbridge.core.records import ERROR, INFO, JOB_STATE, JOBS, WARN, Record

IDS_MAX = 1_000
MISSING_MAX = 100
NODES_MAX = 5_000
FINAL_EVENTS = frozenset({"job_finished", "job_aborted"})


class Verdict(msgspec.Struct, frozen=True):
    """Whether every node that ended has its event, which have not, and what else a reader should know."""

    complete: bool
    missing: tuple[NodeRow, ...]
    reasons: tuple[str, ...]


def judge(rows: Sequence[NodeRow], nodes: Mapping[str, str], *, closed: bool, unlisted: int = 0) -> Verdict:
    """Compare the job's node rows with the node results delivered (certname -> newest result).

    A row that never started or was stopped is a reason, not missing; so is an absent job_finished
    (`closed` false): neither is promised by the server. `unlisted` nodes, which the job counts and the
    rows do not name, could hide anything: with them nothing is complete.
    """
    missing = tuple(row for row in rows if row.state in ENDED and nodes.get(row.name) not in ENDED)
    reasons = [f"{row_count} node(s) {state}" for state, row_count in _unended(rows).items()]
    differing = sum(1 for row in rows if row.state in ENDED and nodes.get(row.name) in ENDED - {row.state})
    if differing:
        reasons.append(f"{differing} node(s) with another result in the event than in the list of nodes")
    if not closed:
        reasons.append("no job_finished event")
    if unlisted:
        reasons.append(f"{unlisted} node(s) of the job are not in its list of nodes")
    if missing:
        reasons.append(f"{len(missing)} node event(s) missing")
    return Verdict(not missing and not unlisted, missing, tuple(reasons))


def _unended(rows: Sequence[NodeRow]) -> dict[str, int]:
    return dict(sorted(Counter(row.state for row in rows if row.state not in ENDED).items()))


class Summary(msgspec.Struct, frozen=True):
    """The parts of a certificate. `rows` is None where the nodes can no longer be read."""

    verdict: Verdict
    revision: int
    delivered: IdSet
    rows: Sequence[NodeRow] | None
    truncated: bool = False


def summary_data(job: Job | None, summary: Summary) -> dict[str, Any]:
    """Return the certificate's own fields (event-formats 8, job.summary)."""
    ids, verdict = summary.delivered, summary.verdict
    states = Counter(row.state for row in summary.rows or ())
    if summary.rows is None and job is not None:
        states = Counter(job.node_states or {})
    return {
        "outcome": outcome(job.state) if job is not None else None,
        "revision": summary.revision,
        "complete": verdict.complete,
        "truncated": summary.truncated,
        "reasons": list(verdict.reasons),
        "expected": {"nodes": sum(states.values()), "by_state": dict(sorted(states.items()))},
        "delivered": {
            "events": len(ids),
            "first_id": ids.min if len(ids) else None,
            "last_id": ids.max if len(ids) else None,
            "ids_sha256": ids.sha256(),
            "ids": list(ids)[:IDS_MAX],
        },
        "missing": [{"node": row.name, "state": row.state} for row in verdict.missing[:MISSING_MAX]],
        "missing_count": len(verdict.missing),
    }


def summary_record(ctx: Context, job: Job | None, fields: dict[str, Any], observed: str) -> Record:
    """Return the certificate as a record; its time is the job's end where PE tells it."""
    time, data = ctx.base(stamps(job)["finished_at"] if job is not None else None, observed)
    data["job"] = ctx.about
    data |= fields
    ctx.seal(data)
    severity = ERROR if not fields["complete"] else WARN if fields["outcome"] == "stopped" else INFO
    return Record(
        JOBS, ctx.origin.instance, ctx.key, f"{ctx.epoch}:job/{ctx.key}/summary/{fields['revision']}",
        "job.summary.v1", ctx.subject, time, observed, ctx.epoch, data, None, severity, ctx.correlation,
        ctx.origin.replay,
    )  # fmt: skip


def document_record(  # the newest of everything about one job
    ctx: Context, job: Job, nodes: Mapping[str, str], summary: dict[str, Any] | None, revision: int, observed: str
) -> Record:
    """Return the job's latest document for the compacted topic."""
    time, data = ctx.base(job.stamp, observed)
    shown = dict(list(nodes.items())[:NODES_MAX])
    data |= {"job": ctx.about, "revision": revision, "state": job.state, "node_states": job.node_states}
    data |= stamps(job)
    data |= {"nodes": shown, "summary": summary}
    if len(nodes) > NODES_MAX:
        data["nodes_cut"] = len(nodes) - NODES_MAX
    ctx.seal(data)
    return Record(
        JOB_STATE, ctx.origin.instance, ctx.key, f"{ctx.epoch}:job/{ctx.key}/document/{revision}",
        "job.document.v1", ctx.subject, time, observed, ctx.epoch, data, None, INFO, ctx.correlation, ctx.origin.replay,
    )  # fmt: skip


def document_removed(ctx: Context, revision: int, observed: str) -> Record:
    """Return the tombstone of a job that the server pruned while it was tracked."""
    return Record(
        JOB_STATE, ctx.origin.instance, ctx.key, f"{ctx.epoch}:job/{ctx.key}/document/{revision}",
        "job.document.v1", ctx.subject, observed, observed, ctx.epoch, None,
    )  # fmt: skip
