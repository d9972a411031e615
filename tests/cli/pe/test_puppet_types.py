"""What a text on the command line means for a declared type, and what does not fit it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.cli.pe.fitting import fits
from orchbridge.cli.pe.params import typed
from orchbridge.cli.pe.puppet_types import ANY, Kind, read, takes_text, wish
from orchbridge.orchestrator.models import Parameter

FITTING: list[tuple[str, str, Any]] = [
    ("String", "5", "5"),
    ("String[1]", "true", "true"),
    ("String[1]", '"quoted"', '"quoted"'),
    ("Optional[String[1]]", "null", "null"),
    ("Sensitive[String]", "[1]", "[1]"),
    ("Enum[status, upgrade]", "status", "status"),
    ("Enum['1', \"2\"]", "1", "1"),
    ("Pattern[/\\A[a-z]+\\z/]", "abc", "abc"),
    ("Integer", "5", 5),
    ("Integer[1, 10]", "10", 10),
    ("Integer[default, 10]", "-3", -3),
    ("Optional[Integer]", "null", None),
    ("Float", "5.0", 5.0),
    ("Numeric", "5", 5),
    ("Boolean", "true", True),
    ("Array", '["a"]', ["a"]),
    ("Array[String[1], 1]", '["a", "b"]', ["a", "b"]),
    ("Hash[String, Integer]", '{"a": 1}', {"a": 1}),
    ("Struct[{mode => Enum[a, b], Optional[size] => Integer}]", '{"mode": "a"}', {"mode": "a"}),
    ("Tuple[String, Integer]", '["a", 1]', ["a", 1]),
    ("Variant[Integer, String]", "5", 5),
    ("Variant[Integer, String]", "five", "five"),
    ("Variant[String, Array[String]]", '["a"]', ["a"]),
    ("Variant[Array[String], String]", "5", "5"),
    ("Variant[String, Enum[a]]", "5", "5"),
    ("TargetSpec", "a.test,b.test", "a.test,b.test"),
    ("Boltlib::TargetSpec", '["a.test"]', ["a.test"]),
    ("Stdlib::Absolutepath", "/tmp", "/tmp"),
    ("Data", "5", 5),
    ("Any", "text", "text"),
    ("not a type at all", "5", 5),
    ("Integer[", "text", "text"),
    ("Hash", "{}", {}),
    ("Undef", "null", None),
]
MISFITS = [
    ("Integer", "five"),
    ("Integer", "5.5"),
    ("Integer", "true"),
    ("Integer[1, 10]", "11"),
    ("Integer[1]", "0"),
    ("Boolean", "yes"),
    ("Boolean", "1"),
    ("String[1]", ""),
    ("String[2, 3]", "abcd"),
    ("Enum[status, upgrade]", "remove"),
    ("Pattern[/\\A[a-z]+\\z/]", "ABC"),
    ("Float", "x"),
    ("Array[String]", "a,b"),
    ("Array[Integer]", '["a"]'),
    ("Array[String, 2]", '["a"]'),
    ("Hash", "[]"),
    ("Hash[String, Integer]", '{"a": "b"}'),
    ("Struct[{mode => Enum[a, b]}]", '{"mode": "c"}'),
    ("Struct[{mode => Enum[a, b]}]", '{"mode": "a", "more": 1}'),
    ("Struct[{mode => Enum[a, b]}]", "{}"),
    ("Tuple[String, Integer]", '["a"]'),
    ("Variant[Integer, Boolean]", "text"),
    ("Optional[Integer]", "text"),
    ("NotUndef[Integer]", "null"),
    ("Sensitive[Integer]", "text"),
]


def parameter(declared: str | None) -> Parameter:
    return Parameter.read_all({"p": {"type": declared} if declared else {}})[0]


@pytest.mark.parametrize(("declared", "text", "value"), FITTING)
def test_what_fits_is_what_the_type_means(declared: str, text: str, value: Any) -> None:
    found = typed(text, parameter(declared))
    assert (found, type(found)) == (value, type(value))
    assert fits(read(declared), found)


@pytest.mark.parametrize(("declared", "text"), MISFITS)
def test_what_does_not_fit_is_found(declared: str, text: str) -> None:
    assert not fits(read(declared), typed(text, parameter(declared)))
    assert wish(read(declared))


def test_without_a_declaration_json_is_json_and_text_is_text() -> None:
    assert [typed(text, None) for text in ("5", "five", "[1]", "{", '"a"')] == [5, "five", [1], "{", "a"]


def test_a_type_is_taken_apart() -> None:
    assert read("Integer[1, 10]") == Kind("Integer", (1, 10))
    assert read("Optional[Array[String[1]]]").inner[0].inner[0] == Kind("String", (1,))
    for unreadable in (None, "", "[", "Integer]", "lower[1]", "Struct[{a}]", "Integer[1"):
        assert read(unreadable) == ANY
    assert takes_text(read("Optional[Enum[a]]"))
    assert not takes_text(read("Variant[String, Integer]"))


WISHES = {
    "Integer[1, 10]": "a whole number of 1 to 10",
    "Optional[Integer[1]]": "a whole number of at least 1",
    "Boolean": "true or false",
    "Enum[a, b]": "one of a, b",
    "String[1]": "a text that is not empty",
    "String[2, 3]": "a text of 2 to 3 characters",
    "Array[String]": 'a list as JSON: \'["a", "b"]\'',
    "Hash": 'an object as JSON: \'{"key": "value"}\'',
    "Variant[Integer, Boolean]": "a whole number, or true or false",
    "Pattern[/^a/]": "a text like /^a/",
}


@pytest.mark.parametrize("declared", WISHES)
def test_what_to_write_is_said_in_words(declared: str) -> None:
    assert wish(read(declared)) == WISHES[declared]


@given(st.text(alphabet="AaIntegrOpiolSy[]{},=>'\"/\\ 1-default", max_size=40), st.text(max_size=10))
def test_no_text_breaks_the_reading(declared: str, text: str) -> None:
    kind = read(declared)
    fits(kind, typed(text, parameter(declared)))
    wish(kind)
