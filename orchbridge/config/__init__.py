"""The configuration: one TOML file, the environment over it, frozen settings out of it."""

from orchbridge.config.load import load, missing_files
from orchbridge.config.model import Canary, Http, Jsonl, Kafka, Log, Metrics, Redaction, Settings, Sink, Source, Stdout

__all__ = [
    "Canary",
    "Http",
    "Jsonl",
    "Kafka",
    "Log",
    "Metrics",
    "Redaction",
    "Settings",
    "Sink",
    "Source",
    "Stdout",
    "load",
    "missing_files",
]
