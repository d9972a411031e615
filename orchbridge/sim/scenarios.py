"""The scenarios: what kind of world to play, by name, with parameters as text: `backlog:jobs=1000,events=100`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from orchbridge.core.errors import ConfigError
from orchbridge.sim import backlog, load, reference, schedules
from orchbridge.sim.catalogue import BROKERS
from orchbridge.sim.rows import Agent

if TYPE_CHECKING:
    from orchbridge.sim.world import World

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of world: what it is, how it is set up, its parameters with their defaults."""

    description: str
    build: Callable[[World, Values], None]
    parameters: Values = field(default_factory=dict)


def build(world: World, text: str) -> None:
    """Set up the world that `name` or `name:parameter=value,...` means; raise ConfigError for an unknown one."""
    name, _, settings = text.partition(":")
    if name not in SCENARIOS:
        raise ConfigError(f"there is no scenario {name!r}", hint=f"one of {', '.join(SCENARIOS)}")
    scenario = SCENARIOS[name]
    values = dict(scenario.parameters)
    for setting in filter(None, settings.split(",")):
        key, _, value = setting.partition("=")
        if key not in values:
            known = ", ".join(values) or "none"
            raise ConfigError(f"scenario {name} has no parameter {key!r}", hint=f"its parameters: {known}")
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = -1.0
        if not 0 <= values[key] < float("inf"):
            raise ConfigError(f"scenario {name}: {setting!r} is not a number >= 0", hint=f"write {key}=10")
    scenario.build(world, values)


def _demo(world: World, values: Values) -> None:
    nodes = load.names(int(values["nodes"]))
    world.node_seconds = (values["shortest"], values["longest"])
    load.estate(world, nodes, absent=2)
    world.course.at(4.0, lambda at: world.connect(nodes[-1], True, at))
    world.course.at(9.0, lambda at: world.connect(nodes[-2], True, at))
    for number, starter in enumerate((load.plain_task, load.deploy, load.secret_task)):
        world.course.at(-900.0 + 200 * number, partial(starter, world, world.random))
    load.arrivals(world, (1.5, 3.5), at_once=3)
    load.comings_and_goings(world, nodes, (1.0, 3.0))
    load.paperwork(world, (5.0, 20.0))
    load.retention(world, values["keep"])


def _quiet(world: World, values: Values) -> None:
    nodes = load.names(int(values["nodes"]))
    load.estate(world, nodes, absent=1)
    kinds = (load.plain_task, load.deploy, load.plan, load.secret_task)
    for number in range(int(values["jobs"])):
        starter = kinds[number % len(kinds)]
        world.course.at(-60.0 * (values["jobs"] - number), partial(starter, world, world.random))


def _backlog(world: World, values: Values) -> None:
    backlog.install(world, int(values["jobs"]), int(values["events"]))
    load.estate(world, load.names(4))


def _fleet(world: World, values: Values) -> None:
    count, spread = int(values["nodes"]), 3600.0

    def connect(_: float) -> None:
        for number in range(count):
            name = f"node{number:06d}.example.com"
            agent = Agent(name, True, BROKERS[number % len(BROKERS)], -spread + spread * number / count)
            world.agents[name] = agent
            stamp = world.course.text_ms(agent.since)
            fields = {"node": name, "change": "connected", "broker": agent.broker, "timestamp": stamp}
            world.course.fact("node", agent.since, **fields)
        world.agents_version += 1

    world.course.at(-spread, connect)
    if values["moves_every"]:
        few = [f"node{number:06d}.example.com" for number in range(0, count, max(1, count // 100))]
        load.comings_and_goings(world, few, (values["moves_every"], values["moves_every"]))


def _storm(world: World, values: Values) -> None:
    nodes = load.names(int(values["nodes"]))
    world.node_seconds = (values["shortest"], values["longest"])
    load.estate(world, nodes, absent=len(nodes) // 50)
    load.burst(world, nodes, jobs=int(values["jobs"]), rate=values["rate"], per_job=int(values["per_job"]))


def _rush(world: World, values: Values) -> None:
    nodes = load.names(int(values["nodes"]))
    world.node_seconds = (values["shortest"], values["longest"])
    load.estate(world, nodes, absent=2)
    load.arrivals(world, (1.0, 2.0), at_once=2)
    load.comings_and_goings(world, nodes, (1.0, 3.0))
    load.burst(world, nodes, jobs=int(values["jobs"]), rate=values["rate"], per_job=int(values["per_job"]))


def _empty(world: World, values: Values) -> None:
    load.estate(world, load.names(int(values["nodes"])))
    world.node_seconds = (values["shortest"], values["longest"])


def _scheduled(world: World, values: Values) -> None:
    load.estate(world, load.names(int(values["nodes"])))
    world.node_seconds = (values["shortest"], values["longest"])
    schedules.busy(world, max(1, int(values["every"])))
    load.retention(world, values["keep"])
    world.course.at(60.0, lambda at: world.place("staging", False, at))


def _reference(world: World, values: Values, variant: str) -> None:
    reference.build(world, variant, wait=bool(values["wait"]))


_PACE = {"shortest": 1.6, "longest": 5.2}

SCENARIOS: dict[str, Scenario] = {
    "demo": Scenario(
        "a lively estate: deploys, tasks, plans, failures, planted secrets, nodes coming and going; endless",
        _demo,
        {"nodes": 40, "keep": 7200, **_PACE},
    ),
    "quiet": Scenario("a few finished jobs, a few nodes, nothing moves", _quiet, {"jobs": 6, "nodes": 5}),
    "backlog": Scenario("nothing but finished jobs, to catch up with", _backlog, {"jobs": 1000, "events": 100}),
    "fleet": Scenario(
        "a very large inventory; moves_every makes a node move every so many seconds",
        _fleet,
        {"nodes": 100_000, "moves_every": 0},
    ),
    "scheduled": Scenario(
        "scheduled jobs every few seconds: tasks, plans, puppet runs; from 60 s on one of them cannot run any more",
        _scheduled,
        {"every": 5, "nodes": 8, "keep": 7200, **_PACE},
    ),
    "storm": Scenario(
        "many jobs at once on hundreds of nodes, then silence",
        _storm,
        {"jobs": 200, "rate": 20, "nodes": 300, "per_job": 20, "shortest": 0.5, "longest": 4.0},
    ),
    "rush": Scenario(
        "a lively estate with a burst of large jobs: tens of thousands of events in a minute; then lively, endless",
        _rush,
        {"jobs": 350, "rate": 5, "nodes": 200, "per_job": 100, "shortest": 0.2, "longest": 1.0},
    ),
    "empty": Scenario("no jobs; a few connected nodes, for commands of your own", _empty, {"nodes": 5, **_PACE}),
    "reference": Scenario(
        "a deploy of three nodes, one offline, beside a task; wait=1 waits for the deploy command",
        partial(_reference, variant=""),
        {"wait": 0},
    ),
    **{
        f"reference-{letter}": Scenario(
            f"the reference deploy, but {what}", partial(_reference, variant=letter), {"wait": 0}
        )
        for letter, what in reference.VARIANTS.items()
    },
}
