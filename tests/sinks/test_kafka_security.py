"""Encrypted, authenticated and restricted: what is configured reaches the broker, and its refusals reach a person."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchbridge.core.errors import Refused
from orchbridge.sinks.kafka import KafkaSink
from tests.broker import Broker
from tests.sinks.contract import JOBS, claimed, cursors, head, opened, record, remember
from tests.sinks.kafka_place import KafkaPlace, administration

pytestmark = pytest.mark.kafka

PASSWORD = "correct-horse"
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
LOGIN = {"sasl_plain_username": "bridge", "sasl_plain_password": PASSWORD}


@dataclass(frozen=True)
class Keys:
    ca: Path
    pair: Path
    other_ca: Path


def certificate(name: str, key: Any, issuer: x509.Name, signer: Any, *, ca: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def pem(thing: Any) -> bytes:
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return thing.private_bytes(serialization.Encoding.PEM, *form)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    found = Keys(folder / "ca.pem", folder / "pair.pem", folder / "other.pem")
    for path in (found.ca, found.other_ca):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
        path.write_bytes(pem(certificate(path.stem, key, name, key, ca=True)))
        if path == found.ca:
            own = ec.generate_private_key(ec.SECP256R1())
            signed = certificate("127.0.0.1", own, name, key, ca=False)
            found.pair.write_bytes(pem(own) + pem(signed))
    return found


@pytest.fixture(scope="module")
def secured(keys: Keys, run_broker: Callable[..., AbstractContextManager[Broker]]) -> Iterator[Broker]:
    """A broker that speaks TLS (with client certificates) and SASL, and knows rules for a user of its own."""
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    users = f'user_bridge="{PASSWORD}" user_nobody="{PASSWORD}";'
    properties = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM_LOGIN};",
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": f"{SCRAM_LOGIN};",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{login} {users}",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{login} {users}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys.pair),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(keys.ca),
        "listener.name.ssl.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:bridge;User:CN=127.0.0.1",
    }
    listeners = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
    scram = (f"SCRAM-SHA-512=[name=bridge,password={PASSWORD}]",)
    with run_broker(listeners=listeners, properties=properties, scram=scram) as broker:
        yield broker


def place(broker: Broker, prefix: str, protocol: str, **more: Any) -> KafkaPlace:
    return KafkaPlace(broker.at(protocol), prefix, security_protocol=protocol, **more)


async def works(there: KafkaPlace) -> None:
    async with claimed(there) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
        assert (await cursors(lane))["prod/jobs"]["owner"] == "a"


async def refused(there: KafkaPlace) -> Refused:
    with pytest.raises(Refused) as caught:
        async with opened(there.sink(), JOBS):
            pass
    (finding,) = await there.sink().check([JOBS])
    assert (finding.level, finding.message, finding.hint) == ("failed", str(caught.value), caught.value.hint)
    assert PASSWORD not in caught.value.line()
    return caught.value


async def test_a_user_with_a_password(secured: Broker, prefix: str) -> None:
    await works(place(secured, prefix, "SASL_PLAINTEXT", **LOGIN))


async def test_a_user_with_a_password_over_tls(secured: Broker, keys: Keys, prefix: str) -> None:
    await works(place(secured, prefix, "SASL_SSL", ssl_cafile=str(keys.ca), **LOGIN))


async def test_a_user_with_a_salted_password(secured: Broker, keys: Keys, prefix: str) -> None:
    scram = LOGIN | {"sasl_mechanism": "SCRAM-SHA-512"}
    await works(place(secured, prefix, "SASL_SSL", ssl_cafile=str(keys.ca), **scram))


async def test_a_wrong_salted_password_needs_a_person(secured: Broker, prefix: str) -> None:
    wrong = {
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "bridge",
        "sasl_plain_password": "not-" + PASSWORD,
    }
    assert "does not let us in" in str(await refused(place(secured, prefix, "SASL_PLAINTEXT", **wrong)))


async def test_a_client_certificate(secured: Broker, keys: Keys, prefix: str) -> None:
    await works(place(secured, prefix, "SSL", ssl_cafile=str(keys.ca), ssl_certfile=str(keys.pair)))


async def test_a_wrong_password_needs_a_person(secured: Broker, prefix: str) -> None:
    wrong = LOGIN | {"sasl_plain_password": PASSWORD + "-not"}
    error = await refused(place(secured, prefix, "SASL_PLAINTEXT", **wrong))
    assert "does not let us in" in str(error)
    assert "sasl_plain_password" in error.hint


async def test_a_mechanism_that_the_broker_lacks_needs_a_person(secured: Broker, prefix: str) -> None:
    error = await refused(place(secured, prefix, "SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", **LOGIN))
    assert "sasl_mechanism" in error.hint


async def test_a_broker_of_an_unknown_authority_is_not_trusted(secured: Broker, keys: Keys, prefix: str) -> None:
    error = await refused(place(secured, prefix, "SASL_SSL", ssl_cafile=str(keys.other_ca), **LOGIN))
    assert "TLS with" in str(error)
    assert "ssl_cafile" in error.hint


async def test_rights_that_are_missing_are_named(secured: Broker, prefix: str) -> None:
    there = place(secured, prefix, "SASL_PLAINTEXT", **LOGIN | {"sasl_plain_username": "nobody"})
    error = await refused_by_rights(there)
    assert "create_topics = false" in error.hint or "Create" in error.hint
    everything = KafkaPlace(secured.bootstrap, prefix)
    async with opened(everything.sink(), JOBS) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
    await allow(secured, "nobody", topics=prefix)
    async with asyncio.timeout(10), granted(there) as sink:
        with pytest.raises(Refused) as caught:
            async with sink.claim(JOBS):
                pass
        assert "transactional ids" in caught.value.hint
        findings = {finding.subject: finding for finding in await sink.check([JOBS])}
        assert findings[f"transactional id {prefix}.prod.jobs"].level == "failed"
    await allow(secured, "nobody", transactional_ids=prefix)
    async with asyncio.timeout(20):
        while True:
            try:
                return await works(there)
            except Refused:
                await asyncio.sleep(0)  # the rule is on its way to the broker's authorizer


async def test_a_group_that_we_may_not_join_is_told_and_joined_once_we_may(secured: Broker, prefix: str) -> None:
    there = place(secured, prefix, "SASL_PLAINTEXT", **LOGIN | {"sasl_plain_username": "nobody"})
    await allow(secured, "nobody", topics=prefix)
    async with asyncio.timeout(60), granted(there) as sink, sink.join([JOBS], "w1") as group:
        while not isinstance((share := await group.share()).apart, Refused):
            pass
        assert isinstance(share.apart, Refused)
        assert f"group {prefix}" in str(share.apart)
        assert "Read on the group" in share.apart.hint
        findings = {finding.subject: finding for finding in await sink.check([JOBS])}
        assert findings[f"consumer group {prefix}"].level == "failed"
        with pytest.raises(Refused):
            async with sink.claim(JOBS):
                pass
        await allow(secured, "nobody", groups=prefix)
        while (share := await group.share()).apart is not None:
            pass
        assert share.owned == {JOBS}
        findings = {finding.subject: finding for finding in await sink.check([JOBS])}
        assert findings[f"consumer group {prefix}"].level == "ok"


async def test_a_right_to_write_that_is_missing_is_told_whatever_is_heard_of_it_first(
    secured: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everything is ready to be sent before the coordinator refuses a topic, it is sent all the same, and fails
    for other reasons or without a name.
    """
    send = AIOKafkaClient.send

    async def slow(client: Any, node: int, request: Any, **options: Any) -> Any:
        answer = await send(client, node, request, **options)
        if isinstance(request, AddPartitionsToTxnRequest):
            await asyncio.sleep(0.5)
        return answer

    monkeypatch.setattr(AIOKafkaClient, "send", slow)
    there = place(secured, prefix, "SASL_PLAINTEXT", **LOGIN | {"sasl_plain_username": "nobody"})
    everything = KafkaPlace(secured.bootstrap, prefix)
    async with opened(everything.sink(), JOBS) as sink, sink.claim(JOBS) as lane:
        await lane.commit(remember({"prod/jobs": head("a")}, record(1)))
    await allow(secured, "nobody", transactional_ids=prefix)
    for operation in (3, 10):  # Read, which brings Describe along, and DescribeConfigs
        await allow(secured, "nobody", topics=prefix, operation=operation)
    await allow(secured, "nobody", topics=f"{prefix}.prod.")
    async with asyncio.timeout(60), granted(there) as sink:
        while True:
            with pytest.raises(Refused) as caught:
                async with sink.claim(JOBS) as lane:
                    await lane.commit(remember({"prod/jobs": head("a")}, record(1), record(2)))
            if "transactional" not in caught.value.hint:  # that rule is on its way
                break
    assert f"{prefix}.cursors" in str(caught.value)


async def test_rights_are_told_without_being_tried(secured: Broker, prefix: str) -> None:
    there = place(secured, prefix, "SASL_PLAINTEXT", **LOGIN | {"sasl_plain_username": "nobody"})
    everything = KafkaPlace(secured.bootstrap, prefix)
    async with opened(everything.sink(), JOBS):
        pass
    for operation in (3, 10):  # Read, which brings Describe along, and DescribeConfigs
        await allow(secured, "nobody", topics=prefix, operation=operation)
    topics = await everything.topics()
    async with asyncio.timeout(20):
        while True:
            findings = {finding.subject: finding for finding in await there.sink().check([JOBS])}
            if {findings[topic].message for topic in topics} == {"we may not Write"}:
                break  # the rules have reached the broker's authorizer
    assert "kafka-acls.sh" in findings[f"{prefix}.cursors"].hint
    assert "--allow-principal User:nobody --operation Write --topic" in findings[f"{prefix}.cursors"].hint


@asynccontextmanager
async def granted(there: KafkaPlace) -> AsyncIterator[KafkaSink]:
    """Open the sink once a new rule has reached the broker's authorizer, which nothing else tells."""
    while True:
        sink = there.sink()
        try:
            await sink.open([JOBS])
        except Refused:
            continue
        try:
            yield sink
        finally:
            await sink.close()
        return


async def refused_by_rights(there: KafkaPlace) -> Refused:
    with pytest.raises(Refused) as caught:
        async with opened(there.sink(), JOBS):
            pass
    return caught.value


async def allow(
    broker: Broker, user: str, *, topics: str = "", transactional_ids: str = "", groups: str = "", operation: int = 2
) -> None:
    """Let a user do everything, or this, with topics, transactional ids or groups that begin with this."""
    prefixed, permitted, topic, group, transactional_id = 4, 3, 2, 3, 5
    kinds = ((topic, topics), (group, groups), (transactional_id, transactional_ids))
    kind, name = next((kind, name) for kind, name in kinds if name)
    rule = CreateAclsRequest(kind, name, prefixed, f"User:{user}", "*", operation, permitted)
    async with administration(broker.bootstrap) as admin:
        answer = await admin._send_to_controller(rule)
    assert answer.to_object()["creation_responses"][0]["error_code"] == 0, answer
