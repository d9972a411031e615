"""The log: our own lines and the libraries', in one form, in UTC, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

from orchbridge.ops.repeats import Repeats

MASK = "[redacted]"
LIBRARIES_S = 60.0

_SECRET_KEY = re.compile(
    r"token|passw|passphrase|pwd|secret|credential|authori[sz]ation|x-authentication|cookie|(api|private|access)[_-]?key",
    re.IGNORECASE,
)
_PLAIN_KEY = re.compile(r"(_file|_name|_names|_count)$", re.IGNORECASE)  # names and places of secrets, not secrets
_SECRET_TEXT = re.compile(r"(?i)\b(x-authentication|authorization|token|password|secret)\b(['\"]?\s*[:=]\s*)[^\s,;)]+")
_USERINFO = re.compile(r"(?<=://)[^\s/@]+@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")  # a line end in it could forge a line of ours
_DEPTH_MAX = 6


def configure(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["auto", "json", "console"],
    stream: TextIO = sys.stderr,
) -> None:
    """Set up structlog and the standard library's logging; "auto" is for people on a terminal, else JSON."""
    console = form == "console" or (form == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.StackInfoRenderer(),
    ]
    # Tracebacks are written without the values of variables: those may be secrets.
    lines: list[Processor] = [
        structlog.processors.format_exc_info,
        masked,
        _ordered,
        structlog.processors.JSONRenderer(serializer=json.dumps, default=str),
    ]
    last: list[Processor] = [masked, _console(stream)] if console else lines
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _route_others(stream, [*shared, _foreign], last)


def _route_others(stream: TextIO, shared: list[Processor], last: list[Processor]) -> None:
    """Let the libraries' warnings through, in our form: aiokafka, httpx, uvicorn, asyncio, Python's own."""
    handler = logging.StreamHandler(stream)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last]),
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # It warns of every sharing-out of the streams, which we tell in our own words.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)


class _Seldom(logging.Filter):
    """Lets a library say the same thing once a minute: aiokafka tells of a broker that is away fifty times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats(LIBRARIES_S)

    def filter(self, record: logging.LogRecord) -> bool:
        more = self._repeats.say((record.name, str(record.msg)), record.created)
        if more:
            record.unsaid = more
        return more is not None


def _foreign(logger: Any, _: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say whose line it is, and mask what looks like a credential in a text we have not written."""
    event["logger"] = getattr(logger, "name", None) or getattr(event.get("_record"), "name", "unknown")
    unsaid = getattr(event.get("_record"), "unsaid", 0)
    if unsaid:
        event["unsaid"] = unsaid
    event["event"] = _CONTROL.sub(" ", scrubbed(str(event["event"]))).strip()
    return event


def scrubbed(text: str) -> str:
    """Return a foreign text without what looks like a credential."""
    return _USERINFO.sub(f"{MASK}@", _SECRET_TEXT.sub(rf"\1\2{MASK}", text))


def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the values of keys that are named like secrets, at any depth: the last fence, not the first."""
    return {key: _mask(key, value, _DEPTH_MAX) for key, value in event.items()}


def _mask(key: str, value: Any, depth: int) -> Any:
    if value is not None and _SECRET_KEY.search(key) and not _PLAIN_KEY.search(key):
        return MASK
    if depth == 0:
        return value if isinstance(value, str | int | float | bool | None) else MASK
    if isinstance(value, Mapping):
        return {name: _mask(str(name), inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask("", inner, depth - 1) for inner in value]
    return value


def _console(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


def _ordered(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put first what a person reads first."""
    return {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event} | dict(event)
