"""The contract on a real broker."""

from __future__ import annotations

import pytest

from tests.sinks.contract import Contract
from tests.sinks.kafka_place import KafkaPlace

pytestmark = pytest.mark.kafka


class TestKafka(Contract):
    @pytest.fixture
    def place(self, kafka: str, prefix: str) -> KafkaPlace:
        return KafkaPlace(kafka, prefix)
