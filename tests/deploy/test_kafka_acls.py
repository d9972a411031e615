"""Topics and rights of deploy/kafka on a real broker that refuses what it was not told to allow."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest

from orchbridge.cli import wiring
from orchbridge.cli.run import Running, bridge
from orchbridge.config import load
from orchbridge.core.errors import Refused
from orchbridge.core.ports import StreamId
from orchbridge.runtime.stop import Stop
from orchbridge.sinks.kafka.topics import required
from tests.broker import Broker, NoBroker
from tests.deploy.kafka_tools import calls, tools
from tests.e2e.programs import Program, consumed, get, running, simulator, wait_until
from tests.oracle import Verdict, facts, judge

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

SCRIPTS = Path(__file__).parents[2] / "deploy" / "kafka"
PASSWORD = "correct-horse"
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
start = "earliest"
poll_interval_s = 0.5
inventory_interval_s = 2.0

[sink]
type = "kafka"
bootstrap_servers = "{bootstrap}"
security_protocol = "SASL_PLAINTEXT"
sasl_mechanism = "SCRAM-SHA-512"
sasl_plain_username = "{user}"
sasl_plain_password_file = "{folder}/password"
create_topics = false

[http]
listen = "127.0.0.1:0"
"""
KINDS = {"--topic": 2, "--group": 3, "--transactional-id": 5}
OPERATIONS = {"Read": 3, "Write": 4, "DescribeConfigs": 10}
PATTERNS = {"literal": 3, "prefixed": 4}


class Rule(NamedTuple):
    """One right: what one line of acls.sh with one of its operations gives."""

    kind: str
    name: str
    pattern: str
    operation: str


RULES = (
    Rule("--topic", "orchbridge.cursors", "literal", "Read"),
    Rule("--topic", "orchbridge.cursors", "literal", "Write"),
    Rule("--topic", "orchbridge.cursors", "literal", "DescribeConfigs"),
    Rule("--group", "orchbridge", "literal", "Read"),
    Rule("--transactional-id", "orchbridge.", "prefixed", "Write"),
    Rule("--topic", "pe.prod.", "prefixed", "Write"),
    Rule("--topic", "pe.prod.", "prefixed", "DescribeConfigs"),
    Rule("--topic", "pe.prod.node-state", "literal", "Read"),
)
# Where a right is missing a person reads what is refused and which right helps: (subject, right).
TOLD = {
    RULES[0]: ("orchbridge.cursors", "Read"),
    RULES[1]: ("orchbridge.cursors", "Write"),
    RULES[2]: ("orchbridge.cursors", "DescribeConfigs"),
    RULES[3]: ("group orchbridge", "Read on the group"),
    RULES[4]: ("orchbridge.prod.", "Write on transactional ids"),
    RULES[5]: ("pe.prod.", "Write"),
    RULES[6]: ("pe.prod.", "DescribeConfigs"),
    RULES[7]: ("pe.prod.node-state", "Read"),
}


@dataclass(frozen=True)
class Place:
    """A broker, an orchestrator with its truth in `folder`, and how the scripts called Kafka's tools."""

    broker: Broker
    calls: list[list[str]]
    url: str
    folder: Path

    def config(self, user: str) -> Path:
        """Return a configuration file for this user."""
        path = self.folder / f"{user}.toml"
        (self.folder / "password").write_text(f"{PASSWORD}\n")
        where = self.broker.at("SASL_PLAINTEXT")
        path.write_text(CONFIG.format(url=self.url, folder=self.folder, bootstrap=where, user=user))
        return path


@pytest.fixture(scope="module")
def place(
    run_broker: Callable[..., AbstractContextManager[Broker]],
    tmp_path_factory: pytest.TempPathFactory,
    leave_out: Callable[..., Any],
) -> Iterator[Place]:
    """A broker with SCRAM and rules, the topics and the rights of `bridge` made by the scripts with Kafka's tools."""
    users = ["bridge", *(f"lacks-{number}" for number in range(len(RULES)))]
    properties = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": f"{LOGIN};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "auto.create.topics.enable": "false",
    }
    scram = [f"SCRAM-SHA-512=[name={user},password={PASSWORD}]" for user in users]
    with run_broker(listeners=("SASL_PLAINTEXT",), properties=properties, scram=scram) as broker:
        folder = tmp_path_factory.mktemp("kafka")
        try:
            log = tools(folder / "bin")
        except NoBroker as lack:
            leave_out("maven", why=str(lack))
        told = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SOURCES": "prod", "PRINCIPAL": "User:bridge"}
        for script in ("topics.sh", "acls.sh"):
            done = subprocess.run(
                [SCRIPTS / script, "--bootstrap-server", broker.bootstrap], capture_output=True, text=True, timeout=120,
                check=False, env={**os.environ, **told, "REPLICATION": "1", "PARTITIONS": "2"},
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        asyncio.run(forbid_one_each(broker))
        with simulator(folder, "demo:nodes=24,shortest=0.3,longest=1.2") as (url, _):
            yield Place(broker, calls(log), url, folder)


async def forbid_one_each(broker: Broker) -> None:
    """Give each `lacks-N` every right but the N-th."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        for number in range(len(RULES)):
            for rule in RULES[:number] + RULES[number + 1 :]:
                request = CreateAclsRequest(
                    KINDS[rule.kind], rule.name, PATTERNS[rule.pattern], f"User:lacks-{number}", "*",
                    OPERATIONS[rule.operation], 3,
                )  # fmt: skip
                answer = (await admin._send_to_controller(request)).to_object()
                assert answer["creation_responses"][0]["error_code"] == 0, answer
    finally:
        await admin.close()


def orchbridge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchbridge", *arguments], capture_output=True, text=True, timeout=90, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_scripts_allow_what_is_listed_and_nothing_else(place: Place) -> None:
    given = []
    for call in place.calls:
        if "--add" in call:
            kind = next(kind for kind in KINDS if kind in call)
            prefixed = "--resource-pattern-type" in call
            pattern = call[call.index("--resource-pattern-type") + 1] if prefixed else "literal"
            operations = [call[at + 1] for at, word in enumerate(call) if word == "--operation"]
            given += [Rule(kind, call[call.index(kind) + 1], pattern, operation) for operation in operations]
    assert sorted(given) == sorted(RULES)


def test_the_scripts_make_the_topics_as_the_bridge_would(place: Place) -> None:
    settings = load(place.config("bridge"), {})
    sink: Any = wiring.sink_of(settings.sink)
    streams = [stream.id for several in wiring.streams_of(settings).values() for stream in several]
    streams += [StreamId("prod", kind) for kind in ("activity-rbac", "schedules")]  # on request
    needs = {need.topic: need for need in required(streams, sink._codec, sink._settings)}
    made = {}
    for call in place.calls:
        if "--create" in call:
            configs = dict(call[at + 1].split("=", 1) for at, word in enumerate(call) if word == "--config")
            made[call[call.index("--topic") + 1]] = (int(call[call.index("--partitions") + 1]), configs)
    assert made.keys() == needs.keys()
    for topic, (partitions, configs) in made.items():
        assert partitions == {48: 48, 1: 1}.get(needs[topic].partitions, 2)
        assert configs == needs[topic].configs


def test_with_these_rights_everything_works(place: Place, tmp_path: Path) -> None:
    path = str(place.config("bridge"))
    well("check", "-c", path)
    with running(tmp_path / "a.out", "run", "-c", path) as a, running(tmp_path / "b.out", "run", "-c", path) as b:
        wait_until("both share", lambda: owned(a) and owned(b) and len(owned(a) | owned(b)) >= 3)
        a.kill()
        wait_until("the other takes over", lambda: owned(b) >= {"jobs", "plans", "inventory"}, 40)
        wait_until("enough", lambda: judged(place).events > 50)
        wait_until("everything", lambda: judged(place))
        assert "all that is needed" in well("check", "-c", path)
        assert "prod/jobs" in well("cursors", "show", "-c", path)
        again = [f"pe.prod.again.{name}" for name in ("jobs", "job-events", "job-state", "notices", "quarantine")]
        asyncio.run(create(place.broker.bootstrap, again))
        well("replay", "-c", path, "--jobs", "1..400", "--to", "pe.prod.again")
        assert asyncio.run(consumed(place.broker.bootstrap, "pe.prod.again"))
        assert b.end() == 0


def well(*arguments: str) -> str:
    """Run a command that has to succeed; return what it prints."""
    done = orchbridge(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def owned(worker: Program) -> set[str]:
    address = worker.wait_for(r'"http": "(http://[^"]+?)/"')[1]
    rows = get(address, "/status.json").json()["sources"][0]["streams"]
    return {row["kind"] for row in rows if row["role"] == "owner" and row["state"] == "live"}


def judged(place: Place) -> Verdict:
    """Judge what had happened five seconds ago."""
    told = facts(place.folder / "truth.log")
    seen = asyncio.run(consumed(place.broker.bootstrap, "pe.prod"))
    return judge(told, seen, until=told[-1]["at"] - 5.0)


async def create(bootstrap: str, topics: list[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        policies = {name: "compact,delete" if name.endswith("-state") else "delete" for name in topics}
        await admin.create_topics(
            [NewTopic(name, 1, 1, topic_configs={"cleanup.policy": policy}) for name, policy in policies.items()]
        )
    finally:
        await admin.close()


@pytest.mark.parametrize("number", range(len(RULES)), ids=["-".join(rule).replace("--", "") for rule in RULES])
async def test_without_one_of_them_it_says_which(number: int, place: Place) -> None:
    subject, right = TOLD[RULES[number]]
    loop = asyncio.get_running_loop()
    settings = load(place.config(f"lacks-{number}"), {})
    stop, up = Stop(), loop.create_future()
    work = asyncio.create_task(bridge(settings, stop, started=up.set_result))
    try:
        said = await asyncio.wait_for(refusal(work, up), 60)
    finally:
        stop.ask()
        await asyncio.wait([work], timeout=20)
    print(said)
    assert subject in said
    assert right in said


async def refusal(work: asyncio.Task[None], up: asyncio.Future[Running]) -> str:
    """Return what the bridge says of what it may not do: as it ends, or on the status page."""
    await asyncio.wait([work, up], return_when=asyncio.FIRST_COMPLETED)
    while not work.done():
        status = up.result().status()
        parked = [stream for source in status.sources for stream in source.streams if stream.state == "parked"]
        troubles = [stream.mishap for stream in parked] + [status.group.trouble if status.group else None]
        for trouble in troubles:
            if trouble is not None and "is refused" in trouble.message:
                return f"{trouble.message} — {trouble.action}"
        await asyncio.sleep(0.1)
    error = work.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Refused), error
    return error.line()
