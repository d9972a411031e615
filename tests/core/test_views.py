"""What people see of a stream's state: what runs, oldest first and bounded; nodes by broker."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.facts import Connection
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.jobs.stream import JobStream
from orchbridge.core.plans.stream import PlanStream
from orchbridge.core.questions import JobEvents, PlanEvents, Trouble
from orchbridge.core.view import BROKERS_MAX, DESCRIPTION_MAX, RUNNING_MAX, StreamView, described, largest
from tests.core.live import Life, settings
from tests.core.server import ScriptedJob, Server, simple_job
from tests.core.test_plans import events, plan

NAMES = [f"n{number}.test" for number in range(4)]


def running(id_: int) -> ScriptedJob:
    return ScriptedJob(id_, 0.0, [(0.0, "new"), (0.2, "running")], nodes=["a.test", "b.test"])


def test_what_runs_comes_oldest_first_and_bounded() -> None:
    life = Life(JobStream(settings("jobs")), Server([running(id_) for id_ in range(1, RUNNING_MAX + 21)]))
    life.until(3.0)
    view: StreamView = life.stream.view(life.state)  # type: ignore[attr-defined]
    assert [job.id for job in view.running] == list(range(1, RUNNING_MAX + 1))
    assert view.jobs_by_state == {"running": RUNNING_MAX + 20}
    assert (view.running[0].targets, view.running[0].nodes) == (2, {"new": 2})


def test_a_plan_that_runs_is_told_of_until_it_ends() -> None:
    for state, shown in (("running", [81]), ("success", [])):
        life = Life(PlanStream(settings("plans")), Server(plans={81: (plan(state), events())}))
        life.until(3.0)
        view: StreamView = life.stream.view(life.state)  # type: ignore[attr-defined]
        assert [job.id for job in view.running] == shown


def test_jobs_are_behind_while_their_events_cannot_be_had() -> None:
    jobs = [simple_job(id_, 100 * id_, nodes=2) for id_ in range(1, 4)]
    life = Life(JobStream(settings("jobs")), Server([*jobs, running(9)]))
    life.server.trouble[JobEvents] = Trouble("server", "503")
    life.until(5.0)
    view: StreamView = life.stream.view(life.state)  # type: ignore[attr-defined]
    assert view.behind == 4
    del life.server.trouble[JobEvents]
    life.until(120.0, step=1.0)
    view = life.stream.view(life.state)  # type: ignore[attr-defined]
    assert view.behind == 0, "what runs and has said all it has to say is not behind"
    assert view.tracked == 4


def test_plans_are_behind_until_their_events_are_read() -> None:
    life = Life(PlanStream(settings("plans")), Server(plans={81: (plan("running"), events())}))
    life.server.trouble[PlanEvents] = Trouble("server", "503")
    life.until(5.0)
    view: StreamView = life.stream.view(life.state)  # type: ignore[attr-defined]
    assert view.behind == 1
    del life.server.trouble[PlanEvents]
    life.until(90.0, step=1.0)
    view = life.stream.view(life.state)  # type: ignore[attr-defined]
    assert view.behind == 0


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([None, "b1", "b2", "gone"])), max_size=15))
def test_nodes_by_broker_are_those_of_the_nodes_whatever_happened(moves: list[tuple[str, str | None]]) -> None:
    world = Server(inventory={"first.test": Connection("first.test", True, "b1", "2026-01-01T00:00:00Z")})
    life = Life(InventoryStream(settings("inventory", poll_s=10.0, forget_after_s=100.0)), world)
    life.until(5.0)
    for number, (name, broker) in enumerate(moves):
        if broker == "gone":
            world.inventory.pop(name, None)
        else:
            world.inventory[name] = Connection(name, True, broker, f"2026-01-02T00:00:{number:02}Z")
        life.until(life.now + 15.0, step=5.0)
    wanted: dict[str, int] = {}
    for node in life.state.nodes.values():
        if node.connected:
            wanted[node.broker or ""] = wanted.get(node.broker or "", 0) + 1
    assert dict(life.state.brokers) == wanted
    assert sum(wanted.values()) == life.state.connected
    life.claim()
    assert dict(life.state.brokers) == wanted


def test_many_brokers_are_cut_and_no_node_is_lost() -> None:
    told = largest({f"b{number}": number + 1 for number in range(BROKERS_MAX * 3)})
    assert len(told) == BROKERS_MAX
    assert sum(told.values()) == sum(range(1, BROKERS_MAX * 3 + 1))
    assert largest({"a": 1}) == {"a": 1}


def test_a_description_is_the_one_of_the_records_cut() -> None:
    assert described(None) is None
    assert described(msgspec.Raw(b'{"description":null}')) is None
    assert described(msgspec.Raw(b'{"id":1,"description":"hotfix"}')) == "hotfix"
    told = described(msgspec.Raw(msgspec.json.encode({"description": "x" * 10_000})))
    assert told is not None
    assert len(told) == DESCRIPTION_MAX
