"""Each answer about a plan folded where it belongs; the live stream and windows share it."""

from __future__ import annotations

from orchbridge.core import times
from orchbridge.core.facts import Plan, PlanEvent
from orchbridge.core.head import Anchor
from orchbridge.core.normalize.plans import terminal
from orchbridge.core.plans.fold import gap, swept, text_trouble, trouble
from orchbridge.core.plans.track import replace, with_facts
from orchbridge.core.plans.work import Work, deliver, fold_events, settle
from orchbridge.core.questions import Page, PlanDetail, PlanEvents, PlanEventWhole, Reply, Trouble
from orchbridge.core.trouble import Count
from orchbridge.core.walk import Seen


def fold_answer(work: Work, reply: Reply) -> None:
    """Fold an answer about one plan; one about an earlier history of the server is passed over."""
    question, answer = reply.question, reply.answer
    if not work.valid(reply) or not isinstance(question, PlanDetail | PlanEvents | PlanEventWhole):
        return
    track = work.tracks.get(question.plan)
    if track is None:
        if question.plan in work.walk.gaps:
            gap(work, question.plan, answer)
        return
    if isinstance(question, PlanDetail):
        track = replace(track, looked_at=work.now)
    match question, answer:
        case PlanEventWhole(), PlanEvent():
            work.put(replace(track, texts={**track.texts, question.event: answer}, count=Count(), torn=0))
            deliver(work, track.id)
        case PlanEventWhole(), _:
            text_trouble(work, track, question.event, answer)
        case PlanDetail(), Plan():
            track = with_facts(replace(track, misses=0, count=Count(), due=0.0), answer, work.now)
            work.put(replace(track, detail=answer, read=answer.state))
        case PlanEvents(), Page():
            fold_events(work, track, reply, answer)
        case PlanEvents(start=int(at)), Trouble(kind="invalid" | "absent") if at == track.reading.resume:
            fold_events(work, track, reply, Page(()))  # behind the last event some servers refuse to look
        case _:
            trouble(work, track, answer)
    settle(work, question.plan)
    swept(work, question)


def plans_of(page: Page) -> dict[int, Plan]:
    """Return the plans of a page by id; what cannot be read is left out."""
    return {item.id: item for item in page.items if isinstance(item, Plan) and item.id > 0}


def anchor_of(plan: Plan) -> Anchor:
    """Return what must stay true of the plan for as long as the server's history is the same."""
    return Anchor(plan.id, plan.created, plan.owner.id)


def seen_of(page: Page) -> list[Seen]:
    """Return what a page tells of each id."""
    return [Seen(anchor_of(plan), not terminal(plan), times.seconds(plan.created)) for plan in plans_of(page).values()]
