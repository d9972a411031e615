"""docs/api-coverage.md: fresh, without a gap, and made by something that sees what it should."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from orchbridge.orchestrator.endpoints import COMPOSED, ENDPOINTS, Endpoint
from tests import api_coverage as coverage

EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")


def test_the_page_is_fresh() -> None:
    assert coverage.PAGE.read_text() == coverage.page(), "run: make docs"


@EACH
def test_the_simulator_has_each_endpoint(endpoint: Endpoint) -> None:
    assert coverage.simulated(endpoint)


def test_the_simulator_has_no_documented_route_that_the_table_lacks() -> None:
    ours = {"/sim", "/orchestrator"}
    others = [
        (method, f"{prefix}/{template}")
        for method, prefix, template in coverage.routes()
        if prefix not in ours
        and not any(coverage.simulated(each) == f"{prefix}/{template}".rstrip("/") for each in ENDPOINTS)
    ]
    undocumented = {"/command/plan_start", "/command/plan_finish", "/command/plan_task"}  # Bolt's (api 13)
    assert {path.removeprefix(coverage.API) for _, path in others} <= undocumented, others


def test_composed_methods_name_what_they_are_made_of() -> None:
    assert coverage.COMPOSED_OF.keys() == set(COMPOSED)
    assert {part for parts in coverage.COMPOSED_OF.values() for part in parts} <= {each.call for each in ENDPOINTS}


def test_streams_ask_what_they_name() -> None:
    streams = coverage.streams()
    assert ("GET", "/jobs") in streams["jobs"]
    assert ("GET", "/jobs/:id/events") in streams["jobs"]
    assert ("GET", "/plan_jobs/:id/events") in streams["plans"]
    assert ("GET", "/jobs/:id/events") not in streams["plans"]
    assert ("POST", "/inventory") in streams["inventory"]


def test_what_goes_along_with_streams_is_seen() -> None:
    by_call = {endpoint.call: coverage.users(endpoint) for endpoint in ENDPOINTS}
    assert "canary" in by_call["commands.task"]
    assert "token renewal" in by_call["tokens.renew"]
    assert "check" in by_call["tasks.get"]
    assert by_call["tokens.login"] == [], "nothing ever logs in"


def test_calls_are_found_through_functions_modules_and_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "TOP", tmp_path)
    package = tmp_path / "some" / "pe"
    package.mkdir(parents=True)
    (package / "shown.py").write_text(
        textwrap.dedent("""
            def one():
                from some.pe.deep import act
                return act
            def two():
                from some.pe.other import act
                return act
            def three():
                from some.pe import deep
                return deep.Thing
        """)
    )
    (package / "deep.py").write_text(
        textwrap.dedent("""
            async def act(client):
                await client.jobs.get(1)
            class Thing:
                async def go(self, client):
                    async for each in client.jobs.follow(1):
                        yield each
        """)
    )
    (package / "other.py").write_text("async def act(client):\n    await client.root()\n")
    graph = coverage._Graph(package)
    assert graph.reached("some.pe.shown", "one") == {"jobs.get"}
    assert graph.reached("some.pe.shown", "two") == {"root"}
    assert graph.reached("some.pe.shown", "three") == {"jobs.events", "jobs.get"}


def test_without_the_commands_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(coverage.importlib, "import_module", missing)
    coverage.commands.cache_clear()
    assert coverage.commands() == {}
    coverage.commands.cache_clear()
