"""docs/api-coverage.md: fresh, without a gap, and made by something that sees what it should."""

from __future__ import annotations

import pytest

from orchbridge.cli.pe.asks import ASKS
from orchbridge.orchestrator.endpoints import COMPOSED, ENDPOINTS, Endpoint
from tests import api_coverage as coverage

EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")


def test_the_page_is_fresh() -> None:
    assert coverage.PAGE.read_text() == coverage.page(), "run: make docs"


@EACH
def test_the_simulator_has_each_endpoint(endpoint: Endpoint) -> None:
    assert coverage.simulated(endpoint)


def test_the_simulator_has_no_documented_route_that_the_table_lacks() -> None:
    ours = {"/sim", "/orchestrator"}
    others = [
        (method, f"{prefix}/{template}")
        for method, prefix, template in coverage.routes()
        if prefix not in ours
        and not any(coverage.simulated(each) == f"{prefix}/{template}".rstrip("/") for each in ENDPOINTS)
    ]
    undocumented = {"/command/plan_start", "/command/plan_finish", "/command/plan_task"}  # Bolt's (api 13)
    assert {path.removeprefix(coverage.API) for _, path in others} <= undocumented, others


def test_composed_methods_name_what_they_are_made_of() -> None:
    assert coverage.COMPOSED_OF.keys() == set(COMPOSED)
    assert {part for parts in coverage.COMPOSED_OF.values() for part in parts} <= {each.call for each in ENDPOINTS}


def test_streams_ask_what_they_name() -> None:
    streams = coverage.streams()
    assert ("GET", "/jobs") in streams["jobs"]
    assert ("GET", "/jobs/:id/events") in streams["jobs"]
    assert ("GET", "/plan_jobs/:id/events") in streams["plans"]
    assert ("GET", "/jobs/:id/events") not in streams["plans"]
    assert ("POST", "/inventory") in streams["inventory"]


def test_what_goes_along_with_streams_is_seen() -> None:
    by_call = {endpoint.call: coverage.users(endpoint) for endpoint in ENDPOINTS}
    assert "canary" in by_call["commands.task"]
    assert "token renewal" in by_call["tokens.renew"]
    assert "check" in by_call["tasks.get"]
    assert by_call["tokens.login"] == [], "nothing ever logs in"
    assert by_call["tokens.inspect"] == ["token renewal", "hourly look", "check"]
    for call in ("root", "status.services", "jobs.list", "jobs.events", "plan_jobs.events", "schedules.list_old"):
        assert "check" in by_call[call], call
    assert "check" not in by_call["commands.task"]
    asking = {
        name: {call for call, users in by_call.items() if name in users}
        for name in ("cursors", "replay", "jobs", "plans")
    }
    assert asking["cursors"] == {"jobs.list", "plan_jobs.list"}
    assert asking["replay"] == asking["jobs"] | asking["plans"]


def test_each_form_of_a_question_is_seen() -> None:
    streams = coverage.streams()
    assert {("GET", "/scheduled_jobs"), ("GET", "/scheduled_jobs/environment_jobs")} <= streams["schedules"]
    assert {("GET", "/activity-api/v1/events"), ("GET", "/activity-api/v2/events")} <= streams["activity"]


def test_the_commands_are_those_of_the_one_table() -> None:
    found = coverage.commands()
    assert {(name, call) for call, names in found.items() for name in names} == {
        (name, call) for name, asked in ASKS.items() for call in asked
    }
