"""For every panel, query by query, what its answer has to be. A panel that is missing here fails the tests."""

from __future__ import annotations

from functools import partial

from orchbridge.ops.catalogue import DURATIONS, WAITS
from tests.dashboards import truths as true
from tests.dashboards import truths_bridge as ours
from tests.dashboards.expect import Adds, Between, Exact, Expectation, Follows, Includes, Nothing, Quantile
from tests.dashboards.stage import SCRAPE_S

CALM = "nothing of the kind happened in the story"
ON_REQUEST = "nobody asked for it here; test_on_request.py has it switched on"
DELAY = "the machine decides; a lap is due every 0.25 s and the machine may be busy"
ALL_DONE = true.number(lambda view: 0.0)

OVERVIEW: dict[str, tuple[Expectation, ...]] = {
    "Puppet Enterprise": (Exact(("source",), lambda view: dict.fromkeys(true.each_source(view), 1.0)),),
    "Jobs failed, last 15 min": (Exact((), true.number(true.failed)),),
    "Jobs running": (Exact((), true.number(lambda view: len(true.unfinished(view, view.stage.busy))), at="busy"),),
    "Oldest unfinished job": (
        Exact((), true.number(lambda view: max(true.oldest(view, view.stage.busy).values())), within=0.8, at="busy"),
    ),
    "Nodes unreachable": (Exact((), true.at_end(true.disconnected)),),
    "Nodes reachable": (Exact((), true.number(true.reachable)),),
    "Streams nobody carries": (Exact((), ALL_DONE),),
    "Streams waiting for a person": (Exact((), true.number(ours.parked_everywhere), at="parked"),),
    "How old the news is": (Between((), true.just(), 0.0, 5.0, DELAY),),
    "Workers": (Exact((), true.number(lambda view: 1.0)),),
    "Jobs that failed": (Exact((), true.number(true.failed)),),
    "Share that failed": (Exact((), true.number(true.share_failed)),),
    "Recently failed jobs": (Exact(("source", "job_id", "type", "name", "environment", "console_url"), true.failures),),
    "Jobs ended": (Adds(("outcome",), true.by_outcome),),
    "Nodes by connection": (Follows((), true.connected), Follows((), true.disconnected)),
    "Alerts firing": (Includes(("alertname", "severity", "source"), true.alarming, true.firing),),
}

JOBS: dict[str, tuple[Expectation, ...]] = {
    "Unfinished jobs by state": (Follows(("state",), true.jobs_by_state),),
    "Unfinished plans by state": (Follows(("state",), true.plans_by_state),),
    "Age of the oldest unfinished job": (Follows(("source",), true.oldest, within=0.5, grows=True),),
    "Jobs ended by outcome": (Adds(("outcome",), true.by_outcome),),
    "Share of jobs that failed": (
        Between(("environment",), true.environments_used, 0.0, 1.0, "it depends on which jobs end within one window"),
    ),
    "Outcomes by task": (Exact(("task", "outcome"), true.tasks, sparse=True),),
    "Outcomes by plan": (Exact(("plan", "outcome"), true.ended("name", "outcome", of="plans"), sparse=True),),
    "Outcomes by environment": (Exact(("environment", "outcome"), true.ended("environment", "outcome"), sparse=True),),
    "Outcomes by type": (Exact(("type", "outcome"), true.ended("type", "outcome"), sparse=True),),
    "Time since the last success": (Exact(("type",), true.since_success, within=0.01),),
    "Plans ended": (Exact(("outcome",), true.ended("outcome", of="plans")),),
    "How long jobs take": (Quantile("seconds", DURATIONS),) * 3,
    "Spread of job durations": (Adds(("le",), partial(true.heat, "seconds"), unit_s=4 * SCRAPE_S),),
    "How long jobs wait": (Quantile("waited", WAITS),) * 3,
    "Spread of waiting times": (Adds(("le",), partial(true.heat, "waited"), unit_s=4 * SCRAPE_S),),
    "Duration of 95 in 100 jobs, by type": (Exact(("type",), partial(true.quantile, 0.95, "seconds"), sparse=True),),
    "Wait of 95 in 100 jobs, by type": (Exact(("type",), partial(true.quantile, 0.95, "waited"), sparse=True),),
    "Node results": (Adds(("result",), true.results),),
    "Node results in the time range": (Exact(("result",), true.results, stretched=True, within=0.5),),
    "Scheduled runs that did not happen": (Nothing(ON_REQUEST),),
    "Scheduled jobs": (Nothing(ON_REQUEST),),
    "Changes of schedules": (Nothing(ON_REQUEST),),
    "Activity in the console": (Nothing(ON_REQUEST),),
}

NODES: dict[str, tuple[Expectation, ...]] = {
    "Connected": (Exact((), true.at_end(true.connected)),),
    "Disconnected": (Exact((), true.at_end(true.disconnected)),),
    "Reachable": (Exact((), true.number(true.reachable)),),
    "Flapping": (Exact((), true.number(lambda view: sum(story.flapping() for story in view.stories))),),
    "Age of the inventory": (Between((), true.just(), 0.0, 5.0, DELAY),),
    "Nodes over time": (Follows((), true.connected), Follows((), true.disconnected)),
    "Nodes by broker": (Follows(("broker",), true.brokers),),
    "Coming and going": (Adds(("to",), true.transitions),),
    "Flapping nodes": (
        Exact(("source",), lambda view: {(story.source,): float(story.flapping()) for story in view.stories}),
    ),
    "Brokers now": (Exact(("broker",), true.at_end(true.brokers)),),
    "Changes in the time range": (Exact(("to",), true.transitions),),
    "Disconnected nodes by name": (Exact(("source", "certname"), true.gone),),
}

SOURCE_STREAM = ("source", "stream")
BUSY = ("jobs", "plans")
BRIDGE: dict[str, tuple[Expectation, ...]] = {
    "Who carries what": (Exact(("source", "stream", "instance"), ours.lasting),),
    "Lag": (Between(SOURCE_STREAM, ours.streams_like("jobs", "plans", "inventory"), 0.0, 10.0, DELAY, 0.02, 0.9),),
    "Waiting for a person": (Exact((), true.number(ours.parked), at="parked"),),
    "Workers scraped": (Exact(("version",), lambda view: {(view.stage.version,): 1.0}),),
    "Workers in the group": (Nothing("a file sink has no group"),),
    "From the event in PE to the commit": (*(Between((), true.just(), 0.0, 10.0, DELAY, 0.1, 3.0),) * 3,),
    "Duration of commits": (Between(SOURCE_STREAM, ours.streams_like(*BUSY), 0.0, 5.0, DELAY, 0.004, 0.9),),
    "Commits": (
        Between(
            SOURCE_STREAM, ours.streams_like(*BUSY), 0.0, 100.0, "how many records share a commit is chance", 0.5, 0.0
        ),
    ),
    "Records committed": (Adds(("channel",), ours.written, unit_s=1.0),),
    "Items read": (Adds(SOURCE_STREAM, ours.events_read, unit_s=1.0, at_least=True),),
    "Records in the time range": (Exact(("channel",), ours.written, stretched=True, within=0.5),),
    "Requests by endpoint": (Adds(("api",), ours.requests, unit_s=1.0, plus=6.0),),
    "Requests by answer": (Adds(("code",), ours.answers, unit_s=1.0, plus=12.0),),
    "Duration of requests": (Between(("api",), ours.endpoints, 0.0, 5.0, DELAY, 0.004, 0.9),),
    "Failed answers in the time range": (Exact(("kind",), ours.refusals, within=1.0),),
    "Request budget left": (
        Between(("source",), true.each_source, 0.0, 100.0, "the budget is 50 a second, 100 at once", 90.0),
    ),
    "Answers' size": (Between(("source",), true.each_source, 0.0, 2e7, "nobody counts the simulator's bytes", 1000.0),),
    "Cursor and source": (
        Exact(SOURCE_STREAM, ours.positions),
        Exact(SOURCE_STREAM, ours.positions),
        Exact(SOURCE_STREAM, ours.tracked),
        Exact(SOURCE_STREAM, ours.zero),
    ),
    "Ids the cursor is behind": (Exact(SOURCE_STREAM, ours.zero),),
    "Jobs and plans behind": (Exact(SOURCE_STREAM, ours.zero),),
    "Jobs proven whole": (Exact((), true.number(ours.complete), stretched=True, within=0.5),),
    "Jobs incomplete": (Exact((), true.number(ours.incomplete)),),
    "Gaps": (Exact((), true.number(ours.gaps)),),
    "Resets": (Exact((), ALL_DONE),),
    "Quarantined": (Exact((), ALL_DONE),),
    "Late events": (Exact((), true.number(ours.late)),),
    "Notices": (Exact(("kind",), ours.notices, sparse=True),),
    "Stumbles and fences": (Exact((), ALL_DONE), Exact((), ALL_DONE)),
    "Values hidden": (Exact((), true.number(ours.hidden), stretched=True, within=0.5),),
    "History delivered": (Exact(SOURCE_STREAM, ours.history),),
    "History left to read": (Exact(SOURCE_STREAM, ours.history_left),),
    "Watchdog": (Nothing(CALM),),
    "Beyond a label's budget": (Exact((), ALL_DONE, sparse=True),),
    "Group shared out anew": (Exact((), ALL_DONE),),
    "Token expires in": (Exact(("source",), ours.tokens, within=1.0),),
    "Certificate expires in": (Exact(("source",), ours.certificates, within=1.0),),
    "Last canary, in intervals": (Nothing(ON_REQUEST),),
    "Canary, from command to commit": (Nothing(ON_REQUEST),) * 2,
    "Canaries that did not arrive": (Nothing(ON_REQUEST),),
    "Token is renewed in": (Nothing(ON_REQUEST),),
    "Renewals of tokens": (Nothing(ON_REQUEST),),
}

EXPECTED = {
    "orchbridge-overview": OVERVIEW,
    "orchbridge-jobs": JOBS,
    "orchbridge-nodes": NODES,
    "orchbridge-bridge": BRIDGE,
}
