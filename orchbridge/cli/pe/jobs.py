"""Jobs for people and programs: the list, one of them, its nodes."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe import shapes
from orchbridge.cli.pe.telling import (
    PLAIN,
    Veil,
    counted,
    facts,
    json_line,
    lately,
    printable,
    short,
    states,
    table,
    took,
    value_of,
    when,
)
from orchbridge.cli.pe.veils import Veils
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import Job, Node
from orchbridge.orchestrator.models.jobs import NODE_ENDS

PAGE_MAX = 100
NODE_COLUMNS = ("node", "state", "took", "what it said")
SAID_MAX = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs to list: at most `limit`, and only those that every filter fits."""

    limit: int
    state: str | None
    type: str | None
    task: str | None
    environment: str | None
    owner: str | None
    plan_job: int | None

    def fits(self, job: Job) -> bool:
        """Whether the filters that the server does not know let this one through."""
        return (
            self.state in (None, job.state)
            and self.environment in (None, job.environment)
            and self.owner in (None, job.owner.login)
            and self.plan_job in (None, job.plan_job)
        )


async def list_jobs(client: Client, wanted: Wanted, *, as_json: bool) -> int:
    """Print jobs, newest first."""
    found: list[Job] = []
    veils = Veils(client)
    filters = (wanted.state, wanted.environment, wanted.owner, wanted.plan_job)
    page = PAGE_MAX if any(each is not None for each in filters) else min(wanted.limit, PAGE_MAX)
    async with aclosing(client.jobs.list(limit=page, type=wanted.type, task=wanted.task)) as several:
        async for job in several:
            if wanted.fits(job):
                found.append(job)
                if as_json:
                    json_line(shapes.job(job, await veils.of(job)))
                if len(found) == wanted.limit:
                    break
    if not as_json:
        columns = ("job", "state", "what", "nodes", "by", "created (UTC)", "took")
        table(columns, [_row(job) for job in found], none="no such jobs")
    return DONE


def _row(job: Job) -> tuple[str, ...]:
    duration = took(job.duration_s) if job.over else ""
    return (str(job.id), job.state, what(job), _nodes(job), job.owner.login or "", lately(job.created), duration)


def what(job: Job) -> str:
    """Return what a job does: `task package`, `deploy production`, `deploy staging (noop)`."""
    subject = job.task or job.environment or ""
    return f"{job.type or 'job'} {subject}".strip() + (" (noop)" if job.noop else "")


def _nodes(job: Job) -> str:
    """Return `3`, `1 of 3` while it runs, and how many did not make it."""
    total = job.total
    if total is None:
        return ""
    ended = sum(number for state, number in job.node_states.items() if state in NODE_ENDS)
    told = str(total) if job.over else f"{ended} of {total}"
    bad = sum(job.node_states.get(state, 0) for state in ("failed", "errored"))
    return f"{told}, {bad} failed" if bad else told


async def show_job(client: Client, number: int, *, nodes: bool, as_json: bool) -> int:
    """Print one job, and its nodes where they are wanted."""
    job = await client.jobs.get(number)
    veil = await Veils(client).of(job)
    rows = await nodes_of(client, job) if nodes else []
    if as_json:
        told_nodes = {"nodes": [shapes.node(row, number, veil) for row in rows]} if nodes else {}
        json_line({**shapes.job(job, veil), **told_nodes})
        return DONE
    tell(job, veil)
    if nodes:
        print()
        tell_nodes(rows, veil)
    return DONE


async def show_report(client: Client, number: int, *, as_json: bool) -> int:
    """Print a job's report."""
    rows = await client.jobs.report(number)
    if as_json:
        veil = await Veils(client).of(await client.jobs.get(number))
        for row in rows:
            json_line(shapes.report(row, number, veil))
    else:
        cells = [(row.node or "", row.state, when(row.at), str(len(row.events))) for row in rows]
        table(("node", "state", "at (UTC)", "events"), cells, none="its report is empty")
    return DONE


async def nodes_of(client: Client, job: Job) -> list[Node]:
    """Return the nodes of a job by name."""
    return sorted([node async for node in client.jobs.nodes(job.id)], key=lambda node: node.name)


def tell(job: Job, veil: Veil) -> None:
    """Print what there is to say of one job."""
    options = job.options
    facts(
        (
            (f"job {job.id}", f"{what(job)}: {job.state}"),
            ("nodes", states(job.node_states) or ("" if job.total is None else str(job.total))),
            ("scope", _scope(options.get("scope"))),
            ("environment", job.environment or ""),
            ("parameters", parameters(options.get("params"), job.sensitive, veil)),
            ("description", printable(job.description)),
            ("started by", _starter(job)),
            ("created", when(job.created)),
            ("ended", when(job.finished)),
            ("took", took(job.duration_s) if job.over else ""),
            ("userdata", printable(value_of(veil.value(job.userdata))) if job.userdata else ""),
        )
    )


def _scope(told: Any) -> str:
    match PLAIN.value(told):
        case {"nodes": list(names)}:
            return printable(", ".join(map(str, names)))
        case {"query": query}:
            return printable(f"query {value_of(query)}")
        case {"node_group": group}:
            return printable(f"node group {group}")
        case other:
            return printable(value_of(other)) if other else ""


def _starter(job: Job) -> str:
    by = job.owner.login or ""
    if job.plan_job is not None:
        return f"{by}, plan job {job.plan_job}".removeprefix(", ")
    return f"{by}, schedule {job.schedule}".removeprefix(", ") if job.schedule is not None else by


def parameters(told: Any, sensitive: tuple[str, ...], veil: Veil) -> str:
    """Return parameters on one line; those that are sensitive by name alone."""
    shown = veil.parameters(told) if isinstance(told, dict) else {}
    hidden = [f"{name}=[hidden]" for name in sensitive if name not in shown]
    return printable(", ".join([*(f"{name}={value_of(value)}" for name, value in shown.items()), *hidden]))


def tell_nodes(rows: list[Node], veil: Veil) -> None:
    """Print the nodes of a job with what they said."""
    cells = [(row.name, row.state, took(row.duration_s), short(said(row, veil), SAID_MAX)) for row in rows]
    table(NODE_COLUMNS, cells, none="it has no nodes")


def said(node: Node, veil: Veil) -> str:
    """Return the words that tell most about how a node fared."""
    return words(node.result, veil) or veil.text(str(node.details.get("message") or ""))


def words(result: Any, veil: Veil) -> str:
    """Return a result on one line, without its secrets: its error, its output, how the run went, or all of it."""
    match veil.value(result):
        case None:
            return ""
        case {"_error": {"msg": str(text)}} | {"_error": str(text)} | {"_output": str(text)}:
            return veil.text(text)
        case {"metrics": {"changed": changed, "failed": failed}, "status": status}:
            return veil.text(f"{status}: {changed} changed, {failed} failed")
        case {"msg": str(text)}:
            return veil.text(text)
        case other:
            return veil.text(value_of(other))


def outcome(job: Job) -> str:
    """Return how a job ended, in one line."""
    counts = states(job.node_states) or ("" if job.total is None else counted(job.total, "node"))
    line = f"job {job.id}: {job.state} after {took(job.duration_s) or 'some time'}"
    return f"{line}: {counts}" if counts else line
