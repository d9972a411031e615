"""Every answer has the fields and types that the reference documents, and no others (data/contract.json)."""

import json
import re
from pathlib import Path

import pytest

from tests.sim.playing import playing

CONTRACT = json.loads((Path(__file__).parent / "data" / "contract.json").read_text())
TEXTS = {
    "url": r"https://pe\.test:8143/orchestrator/v1/\S+",
    "strint": r"\d+",
    "ts": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "tsms": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "str": r"(?s).*",
}
KINDS = {"int": int, "number": (int, float), "object": dict, "bool": bool, "any": object}


def faults(value, kind, where):
    """Yield what is wrong with a value; nothing where it is as documented."""
    if isinstance(kind, dict):
        yield from field_faults(value, kind, where)
    elif kind.endswith("?"):
        yield from faults(value, kind[:-1], where) if value is not None else ()
    elif kind.startswith(("[", "{")):
        children = value if kind.startswith("[") else value.values()
        for place, child in enumerate(children):
            yield from faults(child, kind[1:-1], f"{where}/{place}")
    elif kind in CONTRACT["types"]:
        yield from field_faults(value, CONTRACT["types"][kind], where)
    elif kind in TEXTS:
        if not isinstance(value, str) or not re.fullmatch(TEXTS[kind], value):
            yield f"{where}: {value!r} is no {kind}"
    elif not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind in {"int", "number"}):
        yield f"{where}: {value!r} is no {kind}"


def field_faults(value, fields, where):
    names = {name.removeprefix("~") for name in fields}
    required = {name for name in fields if not name.startswith("~")}
    for name in (value.keys() - names) | (required - value.keys()):
        yield f"{where}/{name}: {'undocumented' if name in value else 'absent'}"
    for name, kind in fields.items():
        if name.removeprefix("~") in value:
            yield from faults(value[name.removeprefix("~")], kind, f"{where}/{name}")


@pytest.mark.parametrize("path", CONTRACT["answers"])
async def test_answers_are_as_documented(path):
    async with playing("demo", at=47.0) as sim:
        jobs = await sim.ids("jobs?limit=500") if "{job}" in path else []
        plans = await sim.ids("plan_jobs?limit=500") if "{plan}" in path and "/event/" not in path else [1]
        checked = 0
        for one in [path.format(job=n, plan=n) for n in jobs or plans]:
            answer = await sim.get(one)
            assert list(faults(answer, CONTRACT["answers"][path], one)) == []
            checked += len(answer.get("items", answer.get("commits", [answer])))
        assert checked


async def test_task_targets_are_as_documented():
    async with playing("quiet") as sim:
        body = {"display_name": "x", "tasks": ["facts"], "nodes": [], "node_groups": [], "pql_query": "nodes {}"}
        made = await sim.post("command/task_target", body, ok=200)
        assert list(faults(made, {"task_target": {"id": "url", "name": "strint"}}, "made")) == []
        await sim.post("command/task_target", {**body, "all_tasks": True}, ok=200)
        listed = await sim.get("scopes/task_targets")
        assert list(faults(listed, {"items": "[task_target]"}, "listed")) == []
        assert [len(item) for item in listed["items"]] == [8, 7]


def test_the_check_itself_finds_faults():
    event = {"id": "7", "type": "x", "timestamp": "2025-03-09T10:15:40Z", "details": {}, "message": ""}
    assert list(faults(event, "event", "")) == []
    assert list(faults({**event, "id": 7, "more": 1}, "event", "e")) == ["e/more: undocumented", "e/id: 7 is no strint"]
    assert list(faults({"items": [{}]}, {"items": "[link]"}, "a")) == ["a/items/0/id: absent"]
