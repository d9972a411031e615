"""What all tests share: the real Kafka broker, started once and only where a test asks for it; tools of Debian."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NoReturn
from uuid import uuid4

import hypothesis
import pytest

from tests.broker import Broker, NoBroker
from tests.debian import Lack, need

# How fast a machine is decides nothing here; what fails prints how to repeat it. Each run looks at other examples and
# `deep` at many more; in CI a commit meets the same ones each time, and what fails is shown as it was found: making it
# small takes minutes, and `shrink`, which meets the same ones, does that.
_AS_FOUND = [phase for phase in hypothesis.Phase if phase not in {hypothesis.Phase.shrink, hypothesis.Phase.explain}]
for _name in ("orchbridge", "ci", "shrink", "deep"):
    hypothesis.settings.register_profile(
        _name,
        deadline=None,
        print_blob=True,
        derandomize=_name in {"ci", "shrink"},
        phases=_AS_FOUND if _name == "ci" else list(hypothesis.Phase),
    )
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "orchbridge")
)

# Whoever runs tests in the background may have told them to ignore Ctrl-C, which every program they start inherits.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LACK = pytest.StashKey[str]()
_TOOLS = pytest.StashKey[dict[tuple[str, ...], str]]()


@pytest.fixture(scope="session")
def run_broker(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Broker]]:
    """Run a broker of one's own: `with run_broker(listeners=..., properties=...) as broker`."""
    return partial(_broker, request.config)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap address of a broker that stays up; ORCHBRIDGE_TEST_KAFKA names one that runs already."""
    named = os.environ.get("ORCHBRIDGE_TEST_KAFKA")
    if named:
        yield named
        return
    with _broker(request.config) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def _breakable(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with _broker(request.config) as broker:
        yield broker


@pytest.fixture
def kafka_broker(_breakable: Broker) -> Iterator[Broker]:
    """A broker to kill, freeze and restart; it is up when a test begins, whatever the last one did to it."""
    if not _breakable.running:
        _breakable.start()
    yield _breakable
    _breakable.thaw()


@pytest.fixture(scope="session")
def needs(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Have tools by their Debian packages: `needs("prometheus")`; without them the test is left out, loudly."""
    return partial(_need, request.config)


@pytest.fixture(autouse=True)
def _tools(request: pytest.FixtureRequest) -> None:
    """Have what `@pytest.mark.needs("prometheus")` names; a fixture may take minutes to install it, a test may not."""
    for mark in request.node.iter_markers("needs"):
        _need(request.config, *mark.args)


@pytest.fixture(scope="session")
def leave_out(request: pytest.FixtureRequest) -> Callable[..., NoReturn]:
    """Leave a test out, loudly, for want of something: `leave_out("root", why="...")`; with CI set it fails."""
    return partial(_leave_out, request.config)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A name for topics and groups that no other test uses."""
    return f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())[:40].strip('-')}-{uuid4().hex[:8]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lack = config.stash.get(_LACK, None)
    if lack:
        terminalreporter.section("KAFKA NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"Every test that needs a broker was left out: {lack}")
    for packages, why in config.stash.get(_TOOLS, {}).items():
        terminalreporter.section(f"NOT TESTED WITHOUT {' '.join(packages)}", sep="!", red=True, bold=True)
        terminalreporter.line(f"Every test that needs them was left out: {why}")


def _need(config: pytest.Config, *packages: str) -> None:
    lacks = config.stash.setdefault(_TOOLS, {})
    if packages not in lacks:
        try:
            need(*packages)
        except Lack as lack:
            lacks[packages] = str(lack)
        else:
            return
    _leave_out(config, *packages, why=lacks[packages])


def _leave_out(config: pytest.Config, *what: str, why: str) -> NoReturn:
    config.stash.setdefault(_TOOLS, {})[what] = why
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def _broker(config: pytest.Config, **options: Any) -> Iterator[Broker]:
    """Run a broker; where none can be had skip loudly, or fail where CI must not be fooled."""
    broker = Broker(**options)
    try:
        if _LACK not in config.stash:
            broker.start()
    except NoBroker as error:
        config.stash[_LACK] = str(error)
    try:
        if _LACK in config.stash:
            leave_out = pytest.fail if os.environ.get("CI") else pytest.skip
            leave_out(f"no Kafka broker: {config.stash[_LACK]}")
        yield broker
    finally:
        broker.dispose()
