"""Runs of plans for people and programs: the list, one of them, and one to its end."""

from __future__ import annotations

from rich.console import Group
from rich.text import Text

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.cli.pe import shapes
from orchbridge.cli.pe.follow import TEMPO, live, soon
from orchbridge.cli.pe.jobs import PAGE_MAX, parameters, words
from orchbridge.cli.pe.session import till_pruned, watching
from orchbridge.cli.pe.telling import (
    PLAIN,
    STYLES,
    Veil,
    facts,
    json_line,
    lately,
    printable,
    short,
    table,
    took,
    value_of,
    when,
)
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import PlanEvent, PlanJob


async def list_plan_jobs(
    client: Client, limit: int, state: str | None, plan: str | None, owner: str | None, *, as_json: bool
) -> int:
    """Print plan jobs, newest first."""
    found: list[PlanJob] = []
    filtered = state is not None or plan is not None or owner is not None
    async for each in client.plan_jobs.list(limit=PAGE_MAX if filtered else min(limit, PAGE_MAX)):
        if state in (None, each.state) and (plan or "") in (each.plan or "") and owner in (None, each.owner.login):
            found.append(each)
            if as_json:
                json_line(shapes.plan_job(each))
            if len(found) == limit:
                break
    if not as_json:
        rows = [
            (str(each.id), each.state, each.plan or "", each.owner.login or "", lately(each.created), _took(each))
            for each in found
        ]
        table(("plan job", "state", "plan", "by", "created (UTC)", "took"), rows, none="no such plan jobs")
    return DONE


async def show_plan_job(client: Client, number: int, *, as_json: bool) -> int:
    """Print one plan job."""
    plan = await client.plan_jobs.get(number)
    if as_json:
        json_line(shapes.plan_job(plan))
    else:
        tell(plan)
    return DONE


def tell(plan: PlanJob) -> None:
    """Print what there is to say of one plan job."""
    jobs = ", ".join(f"{job} {states[-1].state if states else ''}".strip() for job, states in sorted(plan.jobs.items()))
    veil = PLAIN.over(plan.sensitive)
    result = veil.value(plan.result)
    facts(
        (
            (f"plan job {plan.id}", f"{plan.plan or 'plan'}: {plan.state}"),
            ("jobs", jobs),
            ("environment", plan.environment or ""),
            ("parameters", parameters(plan.parameters, plan.sensitive, veil)),
            ("description", printable(plan.description)),
            ("started by", plan.owner.login or ""),
            ("created", when(plan.created)),
            ("ended", when(plan.finished)),
            ("took", _took(plan)),
            ("result", "" if result is None else printable(value_of(result))),
        )
    )


async def follow_plan_job(
    client: Client, number: int, *, as_json: bool, veil: Veil = PLAIN, begun: bool = False
) -> int:
    """Print the events of a plan job until it ends; return 0 for a success, else 3. `begun` as for jobs."""
    goes_on = (
        f"plan job {number} goes on; watch it again with `orchbridge pe plan-job {number} --follow`,"
        f" stop it with `orchbridge pe stop-plan {number}`"
    )
    first = None if begun else await client.plan_jobs.get(number)
    with watching(goes_on, begun=begun):
        plan = first if first is not None else await soon(lambda: client.plan_jobs.get(number))
        veil = veil.over(plan.sensitive)
        running: set[int] = set()
        with till_pruned(f"plan job {number}"):
            async with live(lambda: _foot(number, running), as_json=as_json) as out:
                async for event in client.plan_jobs.follow(number, TEMPO):
                    if event.job is not None:
                        running.add(event.job)
                    if as_json:
                        json_line(shapes.plan_event(event, number, veil))
                    else:
                        out(line(event, veil))
            plan = await client.plan_jobs.get(number)
    if as_json:
        json_line(shapes.plan_job(plan, veil))
    else:
        result = words(plan.result, veil)
        print(f"plan job {number}: {plan.state} after {_took(plan) or 'some time'}" + (f": {result}" if result else ""))
    return DONE if plan.state == "success" else CHECK_FAILED


def _foot(number: int, jobs: set[int]) -> Group:
    told = f"jobs {', '.join(map(str, sorted(jobs)))}" if jobs else "no job yet"
    head = Text.assemble((f"plan job {number}", "bold"), f"  {told}")
    return Group(head, Text("Ctrl-C stops watching, not the plan", "dim"))


def line(event: PlanEvent, veil: Veil) -> Text:
    """Return an event on one line: when, what, and what there is to know."""
    at = event.at.strftime("%H:%M:%S") if event.at else "--:--:--"
    match event.type:
        case "out_message":
            word, text = "says", veil.text(event.message)
        case "plan_finished" | "plan_failed":
            word, text = event.type, words(event.details.get("result"), veil)
        case _ if event.job is not None:
            word, text = event.type, f"job {event.job}"
        case _:
            word, text = event.type, event.plan or ""
    style = STYLES.get(word.removeprefix("plan_"), "")
    return Text.assemble((at, "dim"), "  ", (f"{word:<13}", style), f"  {short(text, 300)}")


def _took(plan: PlanJob) -> str:
    return took(plan.duration_s) if plan.over else ""
