"""The table of what each command asks is the code's: no call is missing from it, and none is made up."""

from __future__ import annotations

import re
from pathlib import Path

import orchbridge.cli.pe
from orchbridge.cli.pe import pe
from orchbridge.cli.pe.asks import ASKS
from orchbridge.orchestrator.endpoints import ENDPOINTS

FOLDER = Path(orchbridge.cli.pe.__file__).parent
THROUGH = {  # what the client makes of several endpoints
    "jobs.follow": {"jobs.events", "jobs.get"},
    "plan_jobs.follow": {"plan_jobs.events", "plan_jobs.get", "plan_jobs.event"},
    "schedules.disable": {"schedules.update"},
}


def test_every_command_has_its_row() -> None:
    assert ASKS.keys() == pe.commands.keys()


def test_the_calls_are_those_of_the_code() -> None:
    written = {
        call
        for path in FOLDER.glob("*.py")
        for call in re.findall(r"\bclient\.([a-z_]+(?:\.[a-z_]+)?)\(", path.read_text(encoding="utf-8"))
    }
    assert len(written) > 20
    asked = {each for call in written for each in THROUGH.get(call, {call})}
    assert asked == {call for calls in ASKS.values() for call in calls}


def test_every_call_is_an_endpoint() -> None:
    assert {call for calls in ASKS.values() for call in calls} <= {endpoint.call for endpoint in ENDPOINTS}
