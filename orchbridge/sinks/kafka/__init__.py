"""Kafka: every batch one transaction over record topics and the compacted cursor topic."""

from orchbridge.sinks.kafka.packing import cursor_partition
from orchbridge.sinks.kafka.settings import KafkaSettings
from orchbridge.sinks.kafka.sink import KafkaSink

__all__ = ["KafkaSettings", "KafkaSink", "cursor_partition"]
