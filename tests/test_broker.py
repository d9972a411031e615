"""The broker that the other tests lean on: it keeps its data, and it goes when its owner goes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from tests.broker import Broker

pytestmark = pytest.mark.kafka


async def test_a_killed_broker_comes_back_on_its_port_with_its_data(kafka_broker: Broker, prefix: str) -> None:
    address = kafka_broker.bootstrap
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        await producer.send_and_wait(prefix, b"kept", partition=0)
    kafka_broker.kill()
    assert not kafka_broker.running
    kafka_broker.start()
    assert kafka_broker.bootstrap == address
    async with AIOKafkaConsumer(bootstrap_servers=address) as consumer:
        partition = TopicPartition(prefix, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        assert (await consumer.getone()).value == b"kept"


@pytest.fixture
def script(kafka_broker: Broker) -> Iterator[subprocess.Popen[str]]:
    """A broker of its own process, where a broker can be had at all."""
    with subprocess.Popen([sys.executable, "-m", "tests.broker"], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_broker_outlives_its_owner(script: subprocess.Popen[str], number: signal.Signals) -> None:
    assert script.stdout is not None
    assert script.stdout.readline().startswith("127.0.0.1:")
    children = _children(script.pid)
    assert len(children) == 2, "the broker and its guard"
    script.send_signal(number)
    script.wait(timeout=20)
    deadline = time.monotonic() + 10
    while any(map(_alive, children)):
        assert time.monotonic() < deadline, "the broker is still there"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=True)
    return [int(line) for line in found.stdout.split()]


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and ") Z " not in stat.read_text()
