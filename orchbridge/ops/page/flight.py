"""Jobs and plans in flight: oldest first, because what has been running longest is what worries."""

from __future__ import annotations

from orchbridge.core.view import RecentJob
from orchbridge.ops.page.html import Child, Html, el, said
from orchbridge.ops.page.parts import OVER, WAITING, bar, job_link, legend, more, pill, section, shares, words
from orchbridge.ops.page.words import many, since
from orchbridge.ops.status import Status

SHOWN, FOLDED = 12, 40
DESCRIPTION_MAX = 160

_Place = tuple[str, RecentJob]  # the source's name, "" where there is only one


def flight(status: Status) -> Html:
    """Return what runs at all sources."""
    jobs, total_jobs = _running(status, "jobs")
    plans, total_plans = _running(status, "plans")
    inner: list[Child] = [el("h3", "Jobs"), _list(jobs, total_jobs, "job", status.now)]
    if total_plans:
        inner += [el("h3", "Plans"), _list(plans, total_plans, "plan", status.now)]
    note = "oldest first" if total_jobs > 1 else ""
    return section("flight", "In flight", *inner, note=note)


def _running(status: Status, kind: str) -> tuple[list[_Place], int]:
    """Return what is known of each, oldest first, and how many there are in all."""
    several = len(status.sources) > 1
    found, total = list[_Place](), 0
    for source in status.sources:
        for stream in source.streams:
            if stream.kind == kind:
                found += [(source.name if several else "", job) for job in stream.view.running]
                total += sum(stream.view.jobs_by_state.values())
    found.sort(key=lambda place: (place[1].created or "~", place[1].id))
    return found, max(total, len(found))


def _list(places: list[_Place], total: int, noun: str, now: float) -> Html:
    if not places:
        return el("p", "None." if not total else f"{many(total, noun)}, not looked at yet.", class_="soft")
    items = [_job(source, job, now) for source, job in places[: SHOWN + FOLDED]]
    shown = el("ol", items[:SHOWN], class_="jobs")
    if len(items) == SHOWN or total <= SHOWN:
        return el("div", shown, more(SHOWN, total, noun))
    summary = el("summary", f"and {many(total - SHOWN, f'more {noun}')}")
    rest = el("ol", items[SHOWN:], class_="jobs")
    return el("div", shown, el("details", summary, rest, more(len(items), total, noun), id=f"more-{noun}s"))


def _job(source: str, job: RecentJob, now: float) -> Html:
    head = el(
        "div",
        job_link(job.kind, job.id, job.url),
        " ",
        said(job.name),
        " ",
        words(job.type, job.environment, source),
        " ",
        el("span", pill(job.state, "warn" if job.state == "stopping" else "calm"), " ", since(job.created, now),
           class_="when"),
        class_="head",
    )  # fmt: skip
    return el("li", head, _description(job), _progress(job))


def _description(job: RecentJob) -> Html | None:
    told = job.description
    if not told:
        return None
    shown = told if len(told) <= DESCRIPTION_MAX else f"{told[: DESCRIPTION_MAX - 1]}…"
    return el("p", said(shown), class_="soft description")


def _progress(job: RecentJob) -> Html | None:
    if job.kind != "job":
        return None
    counts = shares(job.nodes, job.targets)
    total = sum(counts.values())
    if not total:
        return el("p", "Its nodes are not known yet.", class_="soft")
    done = sum(counts.get(word, 0) for word in OVER)
    rest = ", ".join(f"{count:,} {word}" for word, count in counts.items() if word != WAITING)
    told = f"{done:,} of {many(total, 'node')} done" + (f": {rest}" if rest else "")
    return el("div", bar(f"Progress of job {job.id}", counts, done, told), legend(counts))
