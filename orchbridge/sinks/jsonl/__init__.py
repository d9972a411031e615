"""Files of structured events, one a line, with one cursor file that says how much of each is real."""

from orchbridge.sinks.jsonl.sink import JsonlSettings, JsonlSink

__all__ = ["JsonlSettings", "JsonlSink"]
