"""What is off by default, switched on: its panels, asked of a real Prometheus that scraped a real bridge."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from orchbridge.cli import renewing
from orchbridge.cli.canary import keeper
from orchbridge.cli.run import bridge
from orchbridge.config import load
from orchbridge.ops.catalogue import FLIGHTS
from orchbridge.runtime.stop import Stop
from orchbridge.sim.serve import served
from orchbridge.sim.world import World
from tests.broker import free_port
from tests.dashboards import grafana
from tests.dashboards.expectations import EXPECTED, ON_REQUEST, Nothing
from tests.dashboards.grafana import ALL, Choices, Series, Window
from tests.e2e.acts import People
from tests.prometheus import Prometheus

pytestmark = pytest.mark.timeout(120)

SCRAPE_S, STEP_S = 0.4, 0.25
LIFE_S = 3600.0
OLD = "0the0first0token"
EVERYTHING: Choices = {"source": ALL, "environment": ALL, "stream": ALL}
NOTHING_ELSE: Choices = {"source": ("lab",), "environment": ALL, "stream": ALL}
CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
renew_token = true
streams = ["jobs", "inventory", "activity", "schedules"]
poll_interval_s = 0.1
activity_interval_s = 0.2
schedules_interval_s = 0.2
certificate_grace_s = 0.5

[sources.canary]
task = "facts"
nodes = {nodes}

[sink]
type = "jsonl"
directory = "{folder}/records"

[http]
listen = "{listen}"
"""
LANDED = "orchbridge_canary_seconds_count == 1"
RENEWED = 'orchbridge_token_renewals_total{outcome="renewed"} == 1'
MISSED = 'pe_scheduled_runs_missed_total{reason="submission_error"} == 1'


class Asked(NamedTuple):
    """What is left when all has happened: every answer by panel and query, and what the simulator knows."""

    answers: dict[str, list[list[Series]]]
    others: dict[str, list[list[Series]]]  # of another source
    world: World
    window: Window
    due: float  # from the end of the window until two thirds of the new token's life


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Asked:
    needs("prometheus")
    folder = tmp_path_factory.mktemp("request")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper, "_first", lambda _: 3.0)  # after the first scrape
        patch.setattr(renewing, "ASK_S", 0.2)
        patch.setattr(renewing, "LOOK_S", 0.1)
        return asyncio.run(_played(folder))


async def _played(folder: Path) -> Asked:
    world = World("empty:nodes=4,shortest=0.05,longest=0.1", start=time.time())
    async with served(world, token="letmein") as url:
        world.people.issue(world.people.users["admin"], LIFE_S, world.advance(0.01), OLD)
        (folder / "token").write_text(f"{OLD}\n")
        nodes = [agent.name for agent in world.agents.values() if agent.connected][:2]
        instance = f"127.0.0.1:{free_port()}"
        told = CONFIG.format(url=url, folder=folder, nodes=json.dumps(nodes), listen=instance)
        (folder / "config.toml").write_text(told)
        with Prometheus(_config(instance)) as prometheus:
            await asyncio.to_thread(prometheus.wait_until, "scrapes", lambda: prometheus.query("up"))
            begun = _now(prometheus)
            async with carried(folder / "config.toml"):
                return await asyncio.to_thread(_asked, prometheus, begun, url, world, folder)


@asynccontextmanager
async def carried(path: Path) -> AsyncIterator[None]:
    """Run a bridge while the block runs."""
    stop = Stop()
    async with asyncio.TaskGroup() as group:
        group.create_task(bridge(load(path, {}), stop))
        try:
            yield
        finally:
            stop.ask()


def _config(instance: str) -> dict[str, object]:
    return {
        "global": {"scrape_interval": f"{round(SCRAPE_S * 1000)}ms"},
        "scrape_configs": [{"job_name": "orchbridge", "static_configs": [{"targets": [instance]}]}],
    }


def _asked(prometheus: Prometheus, begun: float, url: str, world: World, folder: Path) -> Asked:
    """Let people work, wait until all of it is scraped, and ask every panel."""
    prometheus.wait_until("the first look", lambda: prometheus.query("pe_scheduled_jobs"), 20)
    people = People(url, folder)
    renamed, off = people.schedule(86_400), people.schedule(86_400)
    people.schedule(2, environment="staging")
    people.lever("environments", name="staging", present=False)
    people.edit()
    prometheus.wait_until("three schedules", lambda: prometheus.query('pe_schedule_changes_total{to="created"} == 3'))
    people.change(renamed, description="renamed")
    people.change(off, enabled=False)
    token = world.people.known(OLD)
    assert token is not None
    token.created, token.expires = token.created - 0.7 * LIFE_S, token.expires - 0.7 * LIFE_S
    for what in (LANDED, RENEWED, MISSED):
        prometheus.wait_until(what, lambda what=what: prometheus.query(what), 30)
    prometheus.wait_until_scraped()
    ended = begun + math.ceil(_now(prometheus) + 4 * SCRAPE_S - begun)  # a rate looks back over four scrapes
    prometheus.wait_until("the moment", lambda: _now(prometheus) > ended + SCRAPE_S)
    window = Window(begun, ended, STEP_S, SCRAPE_S)
    (new,) = [each for each in world.people.tokens.values() if each.label == renewing.LABEL]
    due = world.course.start + new.created + LIFE_S * renewing.DUE - ended
    answers, others = (_answers(prometheus, choices, window) for choices in (EVERYTHING, NOTHING_ELSE))
    return Asked(answers, others, world, window, due)


def _now(prometheus: Prometheus) -> float:
    return prometheus.query("time()")[0].value


def _answers(prometheus: Prometheus, choices: Choices, window: Window) -> dict[str, list[list[Series]]]:
    found: dict[str, list[list[Series]]] = {}
    for target in grafana.targets():
        if any(isinstance(each, Nothing) and each.why == ON_REQUEST for each in EXPECTED[target.board][target.panel]):
            answer = grafana.asked(prometheus.url, target, choices, window, window.end)
            found.setdefault(target.panel, []).append(answer)
    return found


def the(answer: list[Series], label: str) -> dict[str, float]:
    """Return the last values by one label."""
    return {series.labels[label]: series.last for series in answer}


def test_the_canary_has_arrived(asked: Asked) -> None:
    (age,) = asked.answers["Last canary, in intervals"]
    assert 0 <= the(age, "source")["prod"] < (asked.window.end - asked.window.start) / 900.0
    (job,) = asked.world.jobs.values()
    assert job.options["description"] == "orchbridge canary"
    for answer, share in zip(asked.answers["Canary, from command to commit"], (0.5, 0.95), strict=True):
        (series,) = answer
        values = [value for _, value in series.points]
        assert values == pytest.approx([share * FLIGHTS[0]] * len(values)), "within the first bucket"
    assert asked.answers["Canaries that did not arrive"] == [[]]


def test_the_token_was_renewed_and_will_be_again(asked: Asked) -> None:
    (due,), (tries,) = asked.answers["Token is renewed in"], asked.answers["Renewals of tokens"]
    lag = min(renewing.SPREAD_S, LIFE_S * renewing.SPREAD)
    assert asked.due - 1 <= the(due, "source")["prod"] <= asked.due + lag + 1
    assert the(tries, "outcome") == {"renewed": 1}


def test_schedules_are_counted_and_what_did_not_happen(asked: Asked) -> None:
    (missed,), (planned,) = asked.answers["Scheduled runs that did not happen"], asked.answers["Scheduled jobs"]
    assert the(missed, "reason") == {"submission_error": 1}
    there = (each for each in asked.world.schedules.values() if each.enabled)
    assert the(planned, "type") == Counter(each.type for each in there)
    (changes,) = asked.answers["Changes of schedules"]
    assert the(changes, "to") == {"created": 3, "changed": 1, "disabled": 1}


def test_activity_adds_up_to_what_people_did(asked: Asked) -> None:
    (areas,) = asked.answers["Activity in the console"]
    sums = {each.labels["area"]: sum(value for _, value in each.points) * STEP_S / 60 for each in areas}
    true = Counter(commit.service for commit in asked.world.activity.commits)
    assert sums == {area: pytest.approx(true[area], rel=0.3, abs=0.35) for area in sums}
    assert sums.keys() >= true.keys()


def test_another_source_has_none_of_it(asked: Asked) -> None:
    assert asked.answers.keys() == asked.others.keys()
    assert [panel for panel, answers in asked.others.items() if any(answers)] == []
