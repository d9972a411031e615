"""Packing a log changes nothing that a reader can see."""

from hypothesis import given
from hypothesis import strategies as st

from orchbridge.sim.eventlog import Event, EventLog


@given(
    ids=st.lists(st.integers(1, 60), unique=True, max_size=20).map(sorted),
    packed_at=st.sets(st.integers(0, 20)),
    start=st.integers(0, 61),
)
def test_packed_or_not(ids, packed_at, start):
    log, shown = EventLog(), lambda event: True
    for place, number in enumerate(ids):
        log.append(Event(number, b"%d" % number * (number % 3 + 1), 0.0))
        if place in packed_at:
            log.pack(shown)
    wanted = [number for number in ids if number >= start]
    part = log.since(start, shown)
    assert part.items == b",".join(b"%d" % number * (number % 3 + 1) for number in wanted)
    assert (part.first, part.last) == ((wanted[0], wanted[-1]) if wanted else (None, None))
    assert log.last == (ids[-1] if ids else None)
    for number in range(62):
        assert (log.find(number, shown) is not None) == (number in ids)


def test_what_is_hidden_is_neither_shown_nor_packed():
    log = EventLog()
    for number in (1, 2, 3):
        log.append(Event(number, b"%d" % number, 0.0))
    log.pack(lambda event: event.id != 2)
    assert log.since(0, lambda event: event.id != 2).items == b"1,3"
    assert log.find(2, lambda event: event.id != 2) is None
    assert log.since(0, lambda event: True).items == b"1,2,3"
