"""Who carries what: everything once, only where it is configured, evenly, and with as little moving as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.sinks.kafka.assignor import Assignor, Given, read_given, read_told
from orchbridge.sinks.kafka.packing import cursor_partition
from orchbridge.sinks.kafka.spread import Told, spread

KINDS = ("jobs", "plans", "inventory", "jobs-backfill")
STREAMS = tuple(f"{source}/{kind}" for source in ("prod", "lab", "dr", "edge-1", "edge-2") for kind in KINDS)
ALONE = tuple({cursor_partition(name): name for name in STREAMS}.values())  # each in a partition of its own
NAMES = ("a", "b", "c", "d", "e")

sets = st.lists(st.sampled_from(STREAMS), unique=True, max_size=12).map(tuple)
anybody = st.builds(Told, st.sampled_from(NAMES), sets, sets, st.integers(0, 3))
groups = st.dictionaries(st.sampled_from(NAMES), anybody, min_size=1)
alike = st.tuples(st.lists(st.sampled_from(ALONE), unique=True).map(tuple), st.sets(st.sampled_from(NAMES), min_size=1))
LASTING = tuple(name for name in ALONE if not name.endswith("-backfill"))
lasting = st.tuples(
    st.lists(st.sampled_from(LASTING), unique=True).map(tuple), st.sets(st.sampled_from(NAMES), min_size=1)
)

Shares = Mapping[str, tuple[str, ...]]


def like(
    names: Sequence[str], streams: tuple[str, ...], shares: Shares | None = None, number: int = 1
) -> dict[str, Told]:
    """Return members of one configuration, who were given these shares before."""
    return {name: Told(name, streams, (shares or {}).get(name, ()), number) for name in names}


def is_history(stream: str) -> bool:
    return stream.endswith("-backfill")


def alone_history(stream: str, shares: Shares) -> bool:
    """Whether everything that goes with this stream reads history."""
    beside = next(streams for streams in shares.values() if stream in streams)
    return all(is_history(other) for other in beside if cursor_partition(other) == cursor_partition(stream))


def moved(before: Shares, after: Shares) -> int:
    held = {stream: member for member, streams in before.items() for stream in streams}
    return sum(1 for member, streams in after.items() for stream in streams if held.get(stream, member) != member)


@given(groups)
def test_everything_once_and_only_where_it_is_configured(members: dict[str, Told]) -> None:
    shares = spread(members)
    given = Counter(stream for streams in shares.values() for stream in streams)
    assert given == Counter({stream for told in members.values() for stream in told.streams})
    assert all(set(shares[name]) <= set(told.streams) for name, told in members.items())
    assert shares.keys() == members.keys()


@given(groups, st.booleans())
def test_no_single_move_makes_it_more_even(members: dict[str, Told], history: bool) -> None:
    """Nor what lasts by itself, nor all together by moving history."""
    shares = spread(members)
    lasting = {stream for streams in shares.values() for stream in streams if not alone_history(stream, shares)}
    counted = {name: [s for s in streams if history or s in lasting] for name, streams in shares.items()}
    for giver, streams in shares.items():
        for partition in {cursor_partition(stream) for stream in streams}:
            unit = [stream for stream in streams if cursor_partition(stream) == partition]
            if all(map(is_history, unit)) is not history:
                continue
            for taker, told in members.items():
                if set(unit) <= set(told.streams) and taker != giver:
                    assert len(counted[giver]) - len(counted[taker]) <= len(unit)


@given(alike)
def test_equal_workers_differ_by_one_stream_at_most(case: tuple[tuple[str, ...], set[str]]) -> None:
    streams, names = case
    shares = spread(like(sorted(names), streams)).values()
    for loads in ([len(share) for share in shares], [sum(not is_history(s) for s in share) for share in shares]):
        assert max(loads) - min(loads) <= 1


@given(lasting, st.data())
def test_one_that_joins_takes_its_part_and_nothing_else_moves(
    case: tuple[tuple[str, ...], set[str]], data: st.DataObject
) -> None:
    streams, names = case
    before = spread(like(sorted(names), streams))
    after = spread(like([*sorted(names), "new"], streams, before))
    assert moved(before, after) == len(after["new"]) == len(streams) // (len(names) + 1)


@given(lasting, st.data())
def test_one_that_leaves_gives_what_it_had_and_nothing_else_moves(
    case: tuple[tuple[str, ...], set[str]], data: st.DataObject
) -> None:
    streams, names = case
    before = spread(like(sorted(names), streams))
    gone = data.draw(st.sampled_from(sorted(names)))
    rest = sorted(names - {gone})
    if rest:
        after = spread(like(rest, streams, before))
        assert moved(before, after) == len(before[gone])


@given(groups)
def test_what_stands_stays(members: dict[str, Told]) -> None:
    before = spread(members)
    again = {name: msgspec.structs.replace(told, owned=before[name], round=7) for name, told in members.items()}
    assert moved(before, spread(again)) == 0


@given(alike)
def test_who_slept_through_a_round_takes_nothing_back(case: tuple[tuple[str, ...], set[str]]) -> None:
    streams, names = case
    before = spread(like(sorted(names), streams))
    others = like(sorted(names), streams, before, number=5)
    sleeper = {"sleeper": Told("sleeper", streams, streams, 4)}
    after = spread(others | sleeper)
    assert len(after["sleeper"]) == len(streams) // (len(names) + 1)


def test_two_workers_never_leave_one_idle_beside_a_source_of_three_streams() -> None:
    shares = spread(like(["a", "b"], ("prod/inventory", "prod/jobs", "prod/plans")))
    assert sorted(map(len, shares.values())) == [1, 2]


def test_what_is_done_one_day_leaves_nobody_idle() -> None:
    streams = ("p1/inventory", "p1/jobs", "p1/plans", "p1/jobs-backfill", "p1/plans-backfill")
    before = spread(like(["a", "b"], streams))
    for shares in (before, spread(like(["a", "b", "c"], streams, before))):
        assert all(any(not is_history(stream) for stream in share) for share in shares.values())


def test_streams_of_one_kind_are_spread() -> None:
    streams = tuple(f"{source}/{kind}" for source in ("dc1", "dc2") for kind in ("jobs", "plans", "inventory"))
    grown = spread(like(["a", "b"], streams, spread(like(["a"], streams))))
    for share in [*spread(like(["a", "b"], streams)).values(), *grown.values()]:
        assert sorted(stream.partition("/")[2] for stream in share) == ["inventory", "jobs", "plans"]


def test_streams_of_one_partition_stay_together_unless_nobody_can_carry_both() -> None:
    by_partition: dict[int, list[str]] = {}
    for number in range(200):
        by_partition.setdefault(cursor_partition(f"s{number}/jobs"), []).append(f"s{number}/jobs")
    one, other = next(streams for streams in by_partition.values() if len(streams) > 1)[:2]
    both = spread({"a": Told("a", (one, other)), "b": Told("b", (one,))})
    assert both == {"a": tuple(sorted((one, other))), "b": ()}
    assert spread({"a": Told("a", (one,)), "b": Told("b", (other,))}) == {"a": (one,), "b": (other,)}


def test_what_one_member_says_another_decides_and_the_first_learns() -> None:
    a, b = Assignor("t.cursors", "wa", ["prod/jobs"]), Assignor("t.cursors", "wb", ["prod/jobs", "prod/plans"])
    for number in (4, 5):
        a.generation = lambda number=number: number  # type: ignore[misc]
        said = {"m1": a.metadata(["t.cursors"]), "m2": b.metadata(["t.cursors"])}
        decided = a.assign(None, said)  # type: ignore[arg-type]
        a.on_assignment(decided["m1"])
        b.on_assignment(decided["m2"])
        assert (a.given.streams, b.given.streams) == (("prod/jobs",), ("prod/plans",))
        assert a.given.owners == b.given.owners == {"prod/jobs": "wa", "prod/plans": "wb"}
        assert a.given.members == ("wa", "wb")
        assert a.given.round == number
        assert [tuple(place) for place in decided["m1"].partitions()] == [("t.cursors", cursor_partition("prod/jobs"))]


def test_what_nobody_understands_is_given_nothing() -> None:
    assert read_told(None) == read_told(b"\x00\x01") == read_told(b'{"streams": 3}') == Told()
    assert read_given(b"") == read_given(b"[]") == Given()
    assert spread({"stranger": Told(), "a": Told("a", ("prod/jobs",))}) == {"stranger": (), "a": ("prod/jobs",)}
    assert spread({"stranger": Told()}) == {"stranger": ()}
