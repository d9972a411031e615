"""The newest changes of nodes: from live, committed records, bounded, let go with the stream."""

from __future__ import annotations

from typing import Any

from orchbridge.core.records import REACHABILITY, Record
from orchbridge.ops.changes import CHANGES_MAX, NAME_MAX, Changes, Moves
from orchbridge.ops.pulse import Pulse
from tests.ops.stage import NODES_STREAM, START, Stage, batch, record

WHERE = ("prod", "inventory")


def moved(what: str, name: str = "web01.example.com", **more: Any) -> Record:
    data = {"broker": "b1"} if what == "connected" else {"broker": None, "previous": {"broker": "b0"}}
    return record(f"node.{what}.v1", data, channel=REACHABILITY, key=name, **more)


def told(stage: Stage) -> Moves:
    return next(s for s in stage.watch.status().sources[0].streams if s.kind == "inventory").moves


def test_the_newest_comes_first_with_its_broker() -> None:
    stage = Stage()
    stage.carry(NODES_STREAM)
    stage.watch.committed(NODES_STREAM, batch(moved("connected"), moved("disconnected", "db01")), 0.1)
    assert [(c.certname, c.what, c.broker, c.at) for c in told(stage).newest] == [
        ("db01", "disconnected", "b0", START),
        ("web01.example.com", "connected", "b1", START),
    ]
    assert told(stage).last_hour == {"connected": 1, "disconnected": 1}


def test_what_is_replayed_or_no_change_says_nothing() -> None:
    stage = Stage()
    stage.carry(NODES_STREAM)
    document = record("node.document.v1", {}, channel="node-state", key="a")
    stage.watch.committed(NODES_STREAM, batch(moved("connected", replay=True), document), 0.1)
    assert told(stage) == Moves()


def test_a_storm_keeps_the_newest_and_counts_all() -> None:
    stage = Stage()
    stage.carry(NODES_STREAM)
    stage.watch.committed(NODES_STREAM, batch(*(moved("removed", f"n{n}" * 200) for n in range(900))), 0.1)
    assert len(told(stage).newest) == CHANGES_MAX
    assert max(len(change.certname) for change in told(stage).newest) == NAME_MAX
    assert told(stage).last_hour == {"removed": 900}
    stage.clock.now += 3_700
    assert told(stage).last_hour == {}


def test_counts_of_an_hour_do_not_grow() -> None:
    changes = Changes()
    for minute in range(500):
        changes.committed(WHERE, [moved("connected")], START + 60.0 * minute)  # type: ignore[arg-type]
    assert changes.told(WHERE, START + 60.0 * 499).last_hour == {"connected": 60}  # type: ignore[arg-type]


def test_a_stream_let_go_is_another_workers_to_tell_of() -> None:
    stage = Stage()
    stage.carry(NODES_STREAM)
    stage.watch.committed(NODES_STREAM, batch(moved("connected")), 0.1)
    stage.watch.revoked(NODES_STREAM, "shared out anew")
    assert told(stage) == Moves()


def test_how_long_answers_take_is_of_the_last_minute() -> None:
    pulse = Pulse()
    assert pulse.answers_s(START) is None
    for number in range(100):
        pulse.beat(START, good=True, seconds=number / 100)
    pulse.beat(START, good=False, seconds=30.0)
    assert pulse.answers_s(START) == (0.5, 0.95)
    assert pulse.answers_s(START + 60) is None
