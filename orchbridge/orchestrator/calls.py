"""Calls as values: what is sent, whether it may be sent twice, and what of it may not be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from orchbridge.orchestrator.access import ROOT
from orchbridge.orchestrator.hidden import Hidden
from orchbridge.orchestrator.requests import Request, filled

Value: TypeAlias = str | int | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its manners.

    again    it may be sent twice: a read, or a command that changes nothing the second time
    signed   it carries our token, and a 401 is a verdict on it
    own      it asks about our token, so that a refusal is about it too
    answers  statuses besides 2xx that carry an answer
    hidden   values in it that may not be shown
    """

    request: Request
    again: bool
    signed: bool = True
    own: bool = False
    answers: frozenset[int] = frozenset()
    hidden: Hidden = field(default_factory=Hidden)

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.endpoint}"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, and its body as it came. The repr shows no data."""

    status: int
    body: bytes = field(repr=False)


def read(
    template: str,
    *parts: int | str,
    params: Mapping[str, Value] = MappingProxyType({}),
    root: str = ROOT,
    signed: bool = True,
    answers: frozenset[int] = frozenset(),
) -> Call:
    """Return a GET below /orchestrator/v1 or another root. Parameters that are None are left out."""
    request = Request(_endpoint(root, template), root + filled(template, *parts), (_written(params),))
    return Call(request, again=True, signed=signed, answers=answers)


def send(
    template: str,
    *parts: int | str,
    content: bytes | None,
    method: str = "POST",
    root: str = ROOT,
    again: bool = False,
    signed: bool = True,
    own: bool = False,
    hidden: Hidden | None = None,
) -> Call:
    """Return a request that changes something, or is a read with a body (`again`)."""
    request = Request(_endpoint(root, template), root + filled(template, *parts), method=method, body=content)
    return Call(request, again=again, signed=signed, own=own, hidden=hidden or Hidden())


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON; raise TypeError, which shows nothing of it, where it holds what JSON cannot."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        problem = str(error)
    del body  # a traceback may show what is still in a frame
    raise TypeError(f"the body cannot be written as JSON: {problem}")


def given(**values: Any) -> dict[str, Any]:
    """Return what is not None: a key that an older version does not know is only sent where it is wanted."""
    return {name: value for name, value in values.items() if value is not None}


def stamp(moment: datetime) -> str:
    """Return a time the way PE takes it: UTC, whole seconds. A time without a zone is refused (ValueError)."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _endpoint(root: str, template: str) -> str:
    """Return how an endpoint is named in metrics and errors."""
    return template or "/" if root == ROOT else root + template


def _written(params: Mapping[str, Value]) -> dict[str, str]:
    return {name: _text(value) for name, value in params.items() if value is not None}


def _text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return stamp(value)
        case _:
            return str(value)
