"""The inventory stream: a node is lost only when it was missed twice, and an answer in doubt says nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.facts import Connection
from orchbridge.core.inventory.stream import InventoryStream
from orchbridge.core.questions import Inventory, InventoryOf, Page, Trouble
from orchbridge.core.records import NODE_STATE
from orchbridge.core.view import StreamView
from tests.core.live import Life, settings
from tests.core.server import Server

BROKER = "pcp://pe.test/server"


def node(name: str, since: str = "2026-01-01T00:00:00.000Z", *, connected: bool = True) -> Connection:
    return Connection(name, connected, BROKER if connected else None, since if connected else None)


def server(*names: str) -> Server:
    return Server(inventory={name: node(name) for name in names})


def life_of(world: Server, **more: Any) -> Life:
    return Life(InventoryStream(settings("inventory", poll_s=10.0, **more)), world)


def changes(life: Life) -> list[str]:
    return [record.id for record in life.store.records if record.channel == "reachability"]


def test_the_first_list_writes_documents_and_no_changes() -> None:
    life = life_of(server("a.test", "b.test"))
    life.until(5.0)
    assert changes(life) == []
    documents = [record for record in life.store.records if record.channel == NODE_STATE]
    assert [(r.key, r.data["connected"], r.data["broker"]) for r in documents if r.data] == [
        ("a.test", True, BROKER),
        ("b.test", True, BROKER),
    ]


def test_new_lost_back_and_moved() -> None:
    world = server("a.test", "b.test")
    life = life_of(world)
    life.until(5.0)
    world.inventory["c.test"] = node("c.test", "2026-01-02T00:00:00.000Z")
    world.inventory["b.test"] = node("b.test", "2026-01-03T00:00:00.000Z")
    del world.inventory["a.test"]
    life.until(15.0)
    assert sorted(changes(life)) == [
        "e1:node/b.test/up/2026-01-03T00:00:00.000Z",
        "e1:node/c.test/up/2026-01-02T00:00:00.000Z",
    ]
    life.until(25.0)
    assert changes(life)[2:] == ["e1:node/a.test/down-after/2026-01-01T00:00:00.000Z"]
    lost = life.store.of("node.disconnected.v1")[0].data
    assert lost is not None
    assert (lost["confirmed_by"], lost["time_basis"], lost["previous"]["connected"]) == (2, "observed", True)
    moved = next(r.data for r in life.store.of("node.connected.v1") if r.key == "b.test")
    assert moved is not None
    assert moved["previous"]["connected_at"] == "2026-01-01T00:00:00.000Z"


def seen(life: Life) -> StreamView:
    return InventoryStream(life.stream.settings).view(life.state)  # type: ignore[attr-defined]


def counted_anew(life: Life) -> StreamView:
    """Return what a worker sees that takes the stream over."""
    again = Life(InventoryStream(life.stream.settings), life.server, life.store, life.now)  # type: ignore[attr-defined]
    again.claim()
    return seen(again)


def test_brokers_are_counted_along() -> None:
    world = server("a.test", "b.test", "c.test")
    life = life_of(world)
    life.until(5.0)
    assert seen(life).nodes_by_broker == {BROKER: 3}
    world.inventory["a.test"] = Connection("a.test", True, "pcp://other/server", "2026-01-02T00:00:00.000Z")
    world.inventory["b.test"] = Connection("b.test", True, None, "2026-01-02T00:00:00.000Z")
    world.inventory["d.test"] = Connection("d.test", True, "pcp://other/server", "2026-01-02T00:00:00.000Z")
    del world.inventory["c.test"]
    life.until(35.0)
    assert seen(life).nodes_by_broker == {BROKER: 1, "pcp://other/server": 2}, "a row that names no broker is not news"
    assert counted_anew(life).nodes_by_broker == seen(life).nodes_by_broker
    world.inventory = {"x.test": Connection("x.test", True, None, "2026-01-03T00:00:00.000Z")}
    life.until(65.0)
    assert seen(life).nodes_by_broker == {"": 1}
    assert (seen(life).nodes_connected, seen(life).nodes_disconnected) == (1, 4)


def test_a_node_lost_three_times_within_an_hour_is_flapping() -> None:
    world = server("a.test", "b.test")
    life = life_of(world)
    life.until(5.0)
    for turn in range(3):
        assert seen(life).flapping == 0, turn
        del world.inventory["a.test"]
        life.until(life.now + 30.0)
        world.inventory["a.test"] = node("a.test", f"2026-02-0{turn + 1}T00:00:00.000Z")
        life.until(life.now + 20.0)
    assert seen(life).flapping == counted_anew(life).flapping == 1
    first = life.state.nodes["a.test"].flaps[0]
    life.until(first + 3590.0, step=10.0)
    assert seen(life).flapping == 1
    life.until(first + 3620.0, step=10.0)
    assert seen(life).flapping == 0, "an hour after the first of the three it is not"


def test_the_first_nodes_by_name_are_seen_one_by_one() -> None:
    world = server("c.test", "a.test", "d.test", "b.test")
    life = life_of(world, node_series=2)
    life.until(5.0)
    assert seen(life).named == (("a.test", True), ("b.test", True))
    del world.inventory["b.test"]
    life.until(35.0)
    assert seen(life).named == counted_anew(life).named == (("a.test", True), ("b.test", False))


def test_a_node_missing_once_is_not_lost() -> None:
    world = server("a.test", "b.test")
    life = life_of(world)
    life.until(5.0)
    world.hidden = {"a.test"}
    life.until(15.0)
    world.hidden = set()
    life.until(40.0)
    assert changes(life) == []


def test_a_row_that_says_disconnected_is_the_same_as_no_row() -> None:
    world = server("a.test", "b.test")
    life = life_of(world)
    life.until(5.0)
    world.inventory["a.test"] = node("a.test", connected=False)
    life.until(25.0)
    assert [id_.split("/")[2] for id_ in changes(life)] == ["down-after"]


@pytest.mark.parametrize("trouble", [Trouble("server", "500", status=500), Trouble("timeout", "none")])
def test_no_list_is_no_news(trouble: Trouble) -> None:
    world = server("a.test")
    life = life_of(world)
    life.until(5.0)
    world.trouble = {Inventory: trouble}
    life.until(300.0, step=5.0)
    assert changes(life) == []
    assert life.troubles


def test_an_empty_list_while_the_broker_is_unwell_means_nothing() -> None:
    world = server("a.test")
    life = life_of(world)
    life.until(5.0)
    believed = seen(life).listed
    assert believed is not None
    world.inventory, world.broker = {}, "error"
    life.until(100.0, step=5.0)
    assert changes(life) == []
    assert seen(life).listed == believed, "what is thrown away makes nothing newer"
    world.broker = "running"
    life.until(140.0, step=5.0)
    assert len(changes(life)) == 1
    assert (seen(life).listed or 0.0) > 100.0


def test_an_empty_list_where_nobody_was_connected_is_as_good_as_any() -> None:
    world = server()
    world.broker = "error"
    life = life_of(world)
    life.until(45.0)
    assert (seen(life).listed or 0.0) > 30.0


def test_a_server_that_cannot_be_asked_by_name_is_believed_after_two_lists() -> None:
    world = server("a.test", "b.test")
    world.trouble = {InventoryOf: Trouble("absent", "404")}
    life = life_of(world)
    life.until(5.0)
    del world.inventory["a.test"]
    life.until(15.0)
    assert changes(life) == []
    life.until(25.0)
    assert len(changes(life)) == 1


def test_a_node_left_out_of_every_answer_is_lost_in_the_end() -> None:
    world = server("a.test", "b.test")
    answer = world.answer
    world.answer = lambda q, now: Page(()) if isinstance(q, InventoryOf) else answer(q, now)  # type: ignore[method-assign]
    life = life_of(world)
    life.until(5.0)
    del world.inventory["a.test"]
    life.until(35.0)
    assert changes(life) == []
    life.until(60.0)
    assert len(changes(life)) == 1


def test_only_missing_nodes_are_asked_about_by_name() -> None:
    world = server(*(f"n{at}.test" for at in range(50)))
    life = life_of(world)
    life.until(30.0)
    assert not [question for question in world.asked if isinstance(question, InventoryOf)]
    del world.inventory["n7.test"]
    life.until(45.0)
    assert {question.nodes for question in world.asked if isinstance(question, InventoryOf)} == {("n7.test",)}


def test_a_node_away_for_too_long_is_forgotten() -> None:
    world = server("a.test", "b.test")
    life = life_of(world, forget_after_s=100.0)
    life.until(5.0)
    del world.inventory["a.test"]
    life.until(150.0, step=5.0)
    assert [id_.split("/")[2] for id_ in changes(life)] == ["down-after", "removed-after"]
    assert [(r.key, r.data is None) for r in life.store.records if r.channel == NODE_STATE][-1] == ("a.test", True)
    life.claim()
    assert set(life.state.nodes) == {"b.test"}


def test_a_session_that_comes_back_unchanged_has_an_id_of_its_own() -> None:
    world = server("a.test", "b.test")
    life = life_of(world)
    life.until(5.0)
    for _ in range(2):
        world.hidden = {"a.test"}
        gone = world.inventory.pop("a.test")
        life.until(life.now + 30.0, step=5.0)
        world.hidden, world.inventory["a.test"] = set(), gone
        life.until(life.now + 30.0, step=5.0)
    assert len(changes(life)) == len(set(changes(life))) == 4


def test_a_large_first_list_is_seeded_in_slices_and_survives_a_crash_between_them() -> None:
    world = server(*(f"n{at:05}.test" for at in range(5_000)))
    life = life_of(world)
    questions = life.lap("answer_lost")
    assert questions
    life.until(15.0)
    assert changes(life) == []
    keys = [record.key for record in life.store.records if record.channel == NODE_STATE]
    assert len(keys) == len(set(keys)) == 5_000
    life.claim()
    assert life.state.connected == 5_000


def test_a_malformed_stamp_is_kept_as_it_is() -> None:
    world = Server(inventory={"a.test": node("a.test")})
    life = life_of(world)
    life.until(5.0)
    world.inventory["b.test"] = node("b.test", "2016-010-22T00:00:00Z")
    life.until(15.0)
    (record,) = life.store.of("node.connected.v1")
    assert record.data is not None
    assert (record.data["connected_at"], record.data["time_basis"]) == ("2016-010-22T00:00:00Z", "observed")


@given(
    st.lists(st.sampled_from(["ok", "refused", "answer_lost"]), max_size=20),
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8),
)
def test_state_and_changes_agree_whatever_the_commits_do(fates: list[str], moves: list[tuple[str, bool]]) -> None:
    world = server("a", "b", "z")
    life = life_of(world)
    line = iter(fates)
    life.until(5.0, step=5.0, fates=line)
    for at, (name, there) in enumerate(moves):
        if there:
            world.inventory[name] = node(name, f"2026-02-0{at + 1}T00:00:00.000Z")
        else:
            world.inventory.pop(name, None)
        life.until(life.now + 10.0, step=5.0, fates=line)
    life.until(life.now + 60.0, step=5.0)
    names = [record.id for record in life.store.records]
    assert len(names) == len(set(names))
    life.claim()
    assert {name for name, found in life.state.nodes.items() if found.connected} == set(world.inventory)


def test_a_broker_that_still_lists_an_older_session_tells_nothing_new() -> None:
    world = server("a.test")
    life = life_of(world)
    life.until(5.0)
    sessions = ["2026-01-02T00:00:00.000Z", "2026-01-01T00:00:00.000Z"] * 3
    for since in sessions:
        world.inventory["a.test"] = node("a.test", since)
        life.until(life.now + 10.0)
    assert changes(life) == ["e1:node/a.test/up/2026-01-02T00:00:00.000Z"]


def test_a_session_that_moves_between_brokers_has_a_name_for_every_move() -> None:
    world = server("a.test")
    life = life_of(world)
    life.until(5.0)
    for number in range(6):
        broker = f"pcp://broker{number % 2}.test/server"
        world.inventory["a.test"] = Connection(
            "a.test", connected=True, broker=broker, since="2026-01-01T00:00:00.000Z"
        )
        life.until(life.now + 10.0)
    assert len(changes(life)) == len(set(changes(life))) == 6
    assert len(life.store.ids) == len(set(life.store.ids))


def test_a_server_without_inventory_is_asked_now_and_then() -> None:
    world = server("a.test")
    world.trouble = {Inventory: Trouble("absent", "404", 404)}
    life = life_of(world)
    life.until(200.0, step=1.0)
    assert len(world.asked) == 4
    assert len(life.troubles) == 1
    world.trouble = {}  # it was upgraded
    life.until(300.0, step=1.0)
    assert life.state.connected == 1
