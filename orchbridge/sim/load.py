"""Generated load: jobs that keep arriving, nodes that come and go. All of it follows from the seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING, Any

from orchbridge.sim import drafts
from orchbridge.sim.catalogue import BROKERS, planted

if TYPE_CHECKING:
    from orchbridge.sim.world import World

GROUPS = ("web", "app", "db", "cache")

Starter = Callable[["World", Random, float], object]


def names(count: int) -> tuple[str, ...]:
    """Return certnames: web01.example.com, app01.example.com, ..."""
    return tuple(f"{GROUPS[n % len(GROUPS)]}{n // len(GROUPS) + 1:02d}.example.com" for n in range(count))


def estate(world: World, nodes: Sequence[str], *, absent: int = 0) -> None:
    """Connect these nodes in the past, all but the last `absent`."""
    last = len(nodes) - absent
    for number, node in enumerate(nodes[:last]):
        world.course.at(-3600.0 + number * 0.017, partial(connect, world, node, BROKERS[number % len(BROKERS)]))


def connect(world: World, node: str, broker: str | None, at: float) -> None:
    """Connect a node; an action to be planned."""
    world.connect(node, True, at, broker)


def some(random: Random, nodes: Sequence[str], least: int, most: int) -> list[str]:
    """Return a few of these nodes, in order."""
    return sorted(random.sample(list(nodes), min(len(nodes), random.randint(least, most))))


def deploy(world: World, random: Random, now: float) -> None:
    """A puppet run on a few nodes."""
    asked = {
        "environment": random.choice(("production", "production", "staging")),
        "noop": random.random() < 0.2,
        "description": random.choice(("nightly", "hotfix", "")),
        "userdata": {"change": f"CHG{random.randrange(10_000):04d}", "api_token": planted("userdata-token")},
    }
    world.submit(drafts.deploy(world, random, some(random, list(world.agents), 2, 9), asked), now)


def plain_task(world: World, random: Random, now: float) -> None:
    """A task without secrets in its parameters."""
    asked = random.choice(
        (
            {"task": "facts", "params": {}},
            {"task": "package", "params": {"name": "openssl", "action": "status"}},
            {"task": "service::restart", "params": {"service": "httpd"}, "description": "restart the web tier"},
        )
    )
    world.submit(drafts.task(world, random, some(random, list(world.agents), 1, 6), asked), now)


def secret_task(world: World, random: Random, now: float) -> None:
    """A task with declared and undeclared secrets, and one whose metadata is gone."""
    asked = random.choice(
        (
            {
                "task": "dbx::dump",
                "params": {"database": "erp", "password": planted("sensitive"), "path": "/var/tmp"},  # noqa: S108
            },
            {"task": "vault::rotate", "params": {"role": "ci", "token": planted("sensitive")}},
            {"task": "adhoc::run", "params": {"command": "backup", "db_password": planted("key-name")}},
            {"task": "legacy::cleanup", "params": {"path": "/srv/old", "note": planted("unknown-task")}},
        )
    )
    asked = {**asked, "userdata": {"ticket": "OPS-17", "credentials": {"secret": planted("userdata")}}}
    world.submit(drafts.task(world, random, some(random, list(world.agents), 1, 3), asked), now)


def stopped(world: World, random: Random, now: float) -> None:
    """A deploy that somebody stops a second later."""
    nodes = some(random, list(world.agents), 10, 14)
    job = world.submit(drafts.deploy(world, random, nodes, {"environment": "production"}), now)
    force = random.random() < 0.3
    world.course.at(now + 1.2, lambda at: world.stop(job, at, force=force))


def plan(world: World, random: Random, now: float) -> None:
    """A plan with a child job; every third fails."""
    asked = {
        "plan_name": random.choice(("rollout::web", "patching::weekly")),
        "params": {"batch": 5, "token": planted("sensitive-plan")},
        "description": "wave",
    }
    nodes = some(random, list(world.agents), 2, 4)
    world.start_plan(drafts.plan(world, random, nodes, asked, fails=random.random() < 0.34), now)


MIXTURE: tuple[Starter, ...] = (plain_task, deploy, plan, secret_task, stopped, plain_task, secret_task, deploy)


def arrivals(world: World, every: tuple[float, float], at_once: int, mixture: Sequence[Starter] = MIXTURE) -> None:
    """Start 1 to `at_once` jobs, again and again, with pauses between these seconds."""
    random = Random(f"{world.seed}/arrivals")  # noqa: S311 - invented load, nothing secret
    kinds = cycle(mixture)

    def arrive(at: float) -> None:
        for _ in range(random.randint(1, at_once)):
            next(kinds)(world, random, at)
        world.course.at(at + random.uniform(*every), arrive)

    world.course.at(0.4, arrive)


def comings_and_goings(world: World, nodes: Sequence[str], every: tuple[float, float]) -> None:
    """Disconnect, reconnect and connect nodes, again and again."""
    random = Random(f"{world.seed}/nodes")  # noqa: S311 - invented load, nothing secret

    def move(at: float) -> None:
        node = random.choice(nodes)
        agent = world.agents.get(node)
        if agent is None or not agent.connected or random.random() < 0.4:
            world.connect(node, True, at, random.choice(BROKERS))
        else:
            world.connect(node, False, at)
            world.course.at(at + random.uniform(3, 12), lambda back: world.connect(node, True, back))
        world.course.at(at + random.uniform(*every), move)

    world.course.at(1.0, move)


PAPERWORK = (
    ("classifier", "ada", ("node_groups", "7", "Web tier"), "edit", "Edited the rules of node group Web tier"),
    ("code-manager", "deployer", ("environments", "production", "production"), "deploy", "Deployed production"),
    ("rbac", "admin", ("roles", "2", "Operators"), "edit", "Added a permission to the role Operators"),
)


def paperwork(world: World, every: tuple[float, float]) -> None:
    """Let people do what only the activity log tells of, again and again."""
    random = Random(f"{world.seed}/paperwork")  # noqa: S311 - invented load, nothing secret

    def act(at: float) -> None:
        service, login, thing, kind, message = random.choice(PAPERWORK)
        world.note(service, world.people.users[login], thing, kind, message, at)
        world.course.at(at + random.uniform(*every), act)

    world.course.at(2.0, act)


ACTIVITY_KEPT = 4  # times as long as jobs


def retention(world: World, seconds: float) -> None:
    """Prune what is older than this, so that an endless world does not grow without end."""

    def prune(at: float) -> None:
        old = [job.id for job in world.jobs.values() if job.finished is not None and job.created < at - seconds]
        plans = [plan.id for plan in world.plans.values() if plan.finished is not None and plan.created < at - seconds]
        if old or plans:
            world.forget("pruned", old, plans, at)
        world.purge(sum(commit.at < at - ACTIVITY_KEPT * seconds for commit in world.activity.commits), at)
        world.course.at(at + seconds / 10, prune)

    world.course.at(seconds, prune)


def burst(world: World, nodes: Sequence[str], *, jobs: int, rate: float, per_job: int) -> None:
    """Start this many jobs, `rate` a second, then no more; two thirds deploys, one third tasks."""
    random = Random(f"{world.seed}/burst")  # noqa: S311 - invented load, nothing secret

    def start(number: int) -> Callable[[float], Any]:
        def begin(at: float) -> None:
            chosen = some(random, nodes, max(1, per_job // 2), per_job)
            if number % 3:
                world.submit(drafts.deploy(world, random, chosen, {"environment": "production"}), at)
            else:
                asked = {"task": "service::restart", "params": {"service": "httpd"}}
                world.submit(drafts.task(world, random, chosen, asked), at)

        return begin

    for number in range(jobs):
        world.course.at(0.1 + number / rate, start(number))
