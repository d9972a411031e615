"""Which values fit which Puppet types."""

import pytest

from orchbridge.sim.puppet_types import fits, lacking, wrong

FITS = {
    "String": (["", "x"], [1, None, ["x"]]),
    "String[1]": (["x"], ["", 1]),
    "String[2, 3]": (["xx", "xxx"], ["x", "xxxx"]),
    "Integer": ([0, -7], [1.5, "1", True, None]),
    "Integer[1, 10]": ([1, 10], [0, 11]),
    "Integer[default, 5]": ([-9, 5], [6]),
    "Float[0, 1]": ([0.5], [1.5, 1]),
    "Numeric": ([1, 1.5], ["1", False]),
    "Boolean": ([True, False], [0, "true", None]),
    "Optional[String[1]]": (["x", None], ["", 1]),
    "Optional": ([None, 1], []),
    "Enum[status, 'up grade']": (["status", "up grade"], ["up", None]),
    "Array[Enum[a, b]]": ([[], ["a", "b", "a"]], [["c"], "a"]),
    "Array": ([[1, "x"]], [{}]),
    "Hash[String, Integer]": ([{"x": 1}], [[]]),
    "Variant[Integer, Array[String[1]]]": ([3, ["x"]], ["x", [""]]),
    "Sensitive[String]": (["x"], [1]),
    "Pattern[/^v[0-9]+$/]": (["v12"], ["12", 12]),
    "NotUndef[String]": (["x"], [None, 1]),
    "Any": ([None, 1, "x", {}], []),
    "TargetSpec": (["x", ["x"]], []),
    "My::Alias[Integer, 3]": (["whatever"], []),
}


@pytest.mark.parametrize(("kind", "good", "bad"), [(kind, *values) for kind, values in FITS.items()])
def test_values(kind, good, bad):
    assert [value for value in good if not fits(kind, value)] == []
    assert [value for value in bad if fits(kind, value)] == []


DECLARED = {
    "name": {"type": "String[1]"},
    "force": {"type": "Boolean", "default": False},
    "x": {"type": "Optional[Any]"},
}


def test_parameters():
    assert wrong(DECLARED, {"name": "a", "force": True}) is None
    assert "colour" in wrong(DECLARED, {"name": "a", "colour": 1}).msg
    assert "String[1]" in wrong(DECLARED, {"name": ""}).msg
    assert lacking(DECLARED, {}) == ["name"]
    assert lacking(DECLARED, {"name": "a"}) == []
