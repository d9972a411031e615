"""The activity log as it is read (reference 15); really on port 4433, here on the same port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from orchbridge.sim import releases
from orchbridge.sim.activity import Commit
from orchbridge.sim.answers import Answer, Ask, Handler, Problem, Route, integer, params, reply

LIMIT = 1000
SUBJECTS = "users"  # what every subject is
Test = Callable[[Commit], bool]
TERMS = ({"subject_type", "subject_id"}, {"object_type", "object_id"}, {"ip_address"}, {"start", "end"})


def _refused(msg: str) -> Problem:
    return Problem(400, "puppetlabs.activity/malformed-request", msg)


def first_version(ask: Ask) -> Answer:
    """GET /activity-api/v1/events: of one service."""
    query = ask.query
    if not query.get("service_id"):
        return _refused("service_id must be given")
    tests = [of_service(query["service_id"])]
    if "subject_type" in query or "subject_id" in query:
        tests.append(by_subject(query.get("subject_type"), query.get("subject_id")))
    if "object_type" in query or "object_id" in query:
        tests.append(on_object(query.get("object_type"), query.get("object_id")))
    if "after_service_commit_time" in query:
        after = moment(ask, query["after_service_commit_time"])
        if isinstance(after, Problem):
            return after
        border = after
        tests.append(lambda commit: commit.at > border)
    page = _page(ask, tests)
    if isinstance(page, Problem):
        return page
    commits, found, _ = page
    return reply({"commits": [_first_shape(ask, one) for one in commits], "total-rows": len(found)})


def second_version(ask: Ask) -> Answer:
    """GET /activity-api/v2/events: of all services, or one."""
    tests = [of_service(ask.query["service_id"])] if ask.query.get("service_id") else []
    if "query" in ask.query:
        more = _terms(ask, ask.query["query"])
        if isinstance(more, Problem):
            return more
        tests += more
    page = _page(ask, tests)
    if isinstance(page, Problem):
        return page
    commits, found, numbers = page
    told: dict[str, Any] = {"total": len(found), **numbers}
    if ask.knobs.activity_totals == "string":
        told = {key: str(value) for key, value in told.items()}
    return reply({"commits": [_second_shape(ask, one) for one in commits], "pagination": told})


def of_service(service: str) -> Test:
    return lambda commit: commit.service == service


def by_subject(kind: str | None, ids: str | None) -> Test:
    wanted = None if ids is None else set(ids.split(","))
    return lambda commit: kind in {None, SUBJECTS} and (wanted is None or commit.subject["id"] in wanted)


def on_object(kind: str | None, ids: str | None) -> Test:
    wanted = None if ids is None else set(ids.split(","))
    return lambda commit: any(kind in {None, one[0]} and (wanted is None or one[1] in wanted) for one in commit.objects)


def _terms(ask: Ask, text: str) -> list[Test] | Problem:
    """Return the tests of a query: one for its time, one that holds where any other term does."""
    try:
        terms = msgspec.json.decode(text, type=list[dict[str, str]])
    except msgspec.MsgspecError:
        return _refused("query must be a JSON array of objects")
    tests: list[Test] = []
    either: list[Test] = []
    for term in terms:
        if not term or not any(term.keys() <= keys for keys in TERMS):
            return _refused(f"query does not take {', '.join(sorted(term)) or 'an empty object'}")
        if "start" in term or "end" in term:
            begin, end = moment(ask, term.get("start", "")), moment(ask, term.get("end", ""))
            if isinstance(begin, Problem) or isinstance(end, Problem):
                return _refused("start and end must come together, as times")
            tests.append(_within(begin, end))
        elif "ip_address" in term:
            either.append(_from(term["ip_address"]))
        elif "subject_type" in term or "subject_id" in term:
            either.append(by_subject(term.get("subject_type"), term.get("subject_id")))
        else:
            either.append(on_object(term.get("object_type"), term.get("object_id")))
    return [*tests, lambda commit: any(test(commit) for test in either)] if either else tests


def _within(begin: float, end: float) -> Test:
    return lambda commit: begin <= commit.at <= end


def _from(address: str) -> Test:
    return lambda commit: address in commit.ip


def moment(ask: Ask, text: str) -> float | Problem:
    """Return a time in world seconds."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return _refused(f"{text!r} is not a time such as 2024-03-09T10:15:42Z")
    if when.tzinfo is None:
        return _refused(f"{text!r} has no zone")
    return when.timestamp() - ask.world.start


def _guarded(handler: Handler) -> Handler:
    """No permission is documented for reading the log; the knob `forbidden` refuses it."""

    def handle(ask: Ask) -> Answer:
        if "activity" in ask.knobs.doses("forbidden"):
            return Problem(
                403, "puppetlabs.activity/permission-denied", "You are not permitted to read the activity log"
            )
        return handler(ask)

    return handle


def _page(ask: Ask, tests: Iterable[Test]) -> tuple[list[Commit], list[Commit], dict[str, int]] | Problem:
    """Return the page, everything that matches, and the page's numbers."""
    numbers = {"limit": LIMIT, "offset": 0}
    for name in numbers.keys() & ask.query.keys():
        number = integer(name, ask.query[name])
        if isinstance(number, Problem):
            return _refused(number.msg)
        numbers[name] = number
    order = ask.query.get("order", "desc")
    if order not in {"asc", "desc"}:
        return _refused(f"order must be asc or desc, not {order!r}")
    tests = list(tests)
    found = [commit for commit in ask.world.activity.commits if all(test(commit) for test in tests)]
    rows = found[::-1] if order == "desc" else found
    return rows[numbers["offset"] :][: numbers["limit"]], found, numbers


def _subject(commit: Commit) -> Mapping[str, Any]:
    return {"id": commit.subject["id"], "name": commit.subject["login"]}


def _first_shape(ask: Ask, commit: Commit) -> dict[str, Any]:
    kind = ask.query.get("object_type")
    _, id_, name = next((one for one in commit.objects if kind in {None, one[0]}), ("", "", ""))
    return {
        "object": {"id": id_, "name": name},
        "subject": _subject(commit),
        "timestamp": ask.world.course.text(commit.at),
        "events": [{"message": event["message"]} for event in commit.events()],
    }


def _second_shape(ask: Ask, commit: Commit) -> dict[str, Any]:
    fields = {
        "objects": [{"id": id_, "name": name, "type": kind} for kind, id_, name in commit.objects],
        "subject": _subject(commit),
        "timestamp": ask.world.course.text(commit.at),
        "ip_address": commit.ip,
        "events": commit.events(),
    }
    if not ask.knobs.has(releases.ACTIVITY_ADDRESS):
        del fields["ip_address"]
    return fields


FILTERS = ("service_id", "subject_type", "subject_id", "object_type", "object_id", "after_service_commit_time")
FIRST = params("offset", "limit", "order", *FILTERS)
SECOND = {**params("offset", "limit", "service_id", "query"), **params("order", since=releases.ACTIVITY_ORDER)}
ROUTES = (
    Route("GET", "v1/events", _guarded(first_version), FIRST),
    Route("GET", "v2/events", _guarded(second_version), SECOND, releases.ACTIVITY_V2),
)
