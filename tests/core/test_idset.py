"""Id sets: a set like any other, that survives its journey through a cursor document."""

import base64
import hashlib
import random
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core.idset import IdSet

ids = st.integers(min_value=1, max_value=2**64 - 1) | st.integers(min_value=1, max_value=300)
many = st.lists(ids, max_size=200)


@given(many)
def test_is_the_set_of_its_ids(given_ids):
    made = IdSet.of(given_ids)
    assert list(made) == sorted(set(given_ids))
    assert len(made) == len(set(given_ids))
    assert all(one in made for one in given_ids)
    assert (made.min, made.max) == (min(given_ids, default=0), max(given_ids, default=0))


@given(many, many)
def test_union(left, right):
    union = IdSet.of(left).plus(right)
    assert union == IdSet.of([*left, *right])
    assert hash(union) == hash(IdSet.of([*right, *left]))
    assert list(IdSet.of(left)) == sorted(set(left))


@given(many, many)
def test_fresh_is_what_is_new_in_order_and_once(held, page):
    assert IdSet.of(held).fresh(page) == [one for one in dict.fromkeys(page) if one not in set(held)]


@given(many, many)
def test_not_in_means_not_in(held, asked):
    made = IdSet.of(held)
    assert [one in made for one in asked] == [one in set(held) for one in asked]


def test_other_things_are_not_in_it():
    assert "1" not in IdSet.of([1])
    assert -1 not in IdSet.of([1])
    assert 2**70 not in IdSet.of([1])
    assert IdSet.of([1]) != {1}


@given(many)
def test_packing_round_trip(given_ids):
    made = IdSet.of(given_ids)
    again = IdSet.unpack(made.pack())
    assert again == made
    assert again.pack() == made.pack()


@given(many)
def test_equal_sets_pack_to_equal_text_whatever_their_history(given_ids):
    half = len(given_ids) // 2
    assert IdSet.of(given_ids[:half]).plus(given_ids[half:]).pack() == IdSet.of(given_ids).pack()


def test_nothing_new_is_the_same_set():
    made = IdSet.of([3, 5])
    assert made.plus([5, 3]) is made
    assert made.plus([]) is made


@pytest.mark.parametrize("bad", [[0], [-1], [2**64], [1, 0]])
def test_refuses_what_is_no_id(bad):
    with pytest.raises(ValueError, match="ids are 1 to"):
        IdSet.of(bad)
    with pytest.raises(ValueError, match="ids are 1 to"):
        IdSet.of([7]).plus(bad)


def packed(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        "AAAA",
        "é",
        packed(b"\x01\x00"),  # a repeated id
        packed(b"\x00"),  # id 0
        packed(b"\x01\x80"),  # cut inside a number
        packed(b"\xff" * 10 + b"\x01"),  # longer than 64 bits
        packed(b"\xff" * 9 + b"\x01\x01"),  # 2**64-1 and one more
        packed(b"\x01\x01") + "AAAA",
        base64.b64encode(zlib.compress(b"\x01" * 900)[:-2]).decode(),
        base64.b64encode(zlib.compress(b"\x01\x01") + b"tail").decode(),
    ],
)
def test_damaged_text_is_refused(text):
    with pytest.raises(ValueError):
        IdSet.unpack(text)


@given(many.filter(len), st.data())
def test_a_flipped_character_never_passes_for_another_set(given_ids, data):
    text = IdSet.of(given_ids).pack()
    at = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    flipped = text[:at] + data.draw(st.sampled_from("Ab3+/=")) + text[at + 1 :]
    try:
        again = IdSet.unpack(flipped)
    except ValueError:
        return
    assert again == IdSet.of(given_ids)  # only unused bits of the base64 padding differ


def test_digest_is_of_the_decimal_ids():
    assert IdSet.of([30, 2, 100]).sha256() == hashlib.sha256(b"2,30,100").hexdigest()
    assert IdSet.of().sha256() == hashlib.sha256(b"").hexdigest()


def interleaved(count, widest, seed=7):
    rng = random.Random(seed)
    at, out = 9_000_000, []
    for _ in range(count):
        at += rng.randint(1, widest)
        out.append(at)
    return out


@pytest.mark.parametrize(("widest", "limit"), [(3, 7_000), (10, 12_000)])
def test_twenty_thousand_ids_fit_in_a_cursor_document(widest, limit):
    assert len(IdSet.of(interleaved(20_000, widest)).pack()) < limit


def test_a_page_costs_about_a_millisecond():
    held = IdSet.of(interleaved(20_000, 10))
    page = interleaved(1_000, 10) + [held.max + n for n in range(1, 1_001)]
    took = []
    for _ in range(20):
        started = time.perf_counter()
        held.fresh(page)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.005
