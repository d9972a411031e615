"""The activity service's answers: both versions of them, as commits."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core.facts import Commit, Deed, Named, Odd
from orchbridge.core.questions import Page
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.odd import understood


class _Envelope(msgspec.Struct):
    commits: list[msgspec.Raw] | None = None
    pagination: msgspec.Raw = msgspec.Raw()
    total_rows: Any = msgspec.field(name="total-rows", default=None)


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def page(body: bytes) -> Page | None:
    """Read a whole answer; None where it is none. A service without any entries may leave the list out."""
    try:
        told = _ENVELOPE.decode(body)
    except (ValueError, RecursionError):
        return None
    paging = understood(bytes(told.pagination))
    total = fields.count(told.total_rows if isinstance(paging, Odd) else paging.get("total"))
    if told.commits is None and total != 0:
        return None
    return Page(tuple(commit(bytes(item)) for item in told.commits or ()), total=total)


def commit(raw: bytes) -> Commit | Odd:
    """Read one entry; the first version of the API names one object, the second several."""
    told = understood(raw)
    if isinstance(told, Odd):
        return told
    one = told.get("object")
    objects = fields.listed(told.get("objects")) or ([one] if isinstance(one, dict) else [])
    return Commit(
        raw=raw,
        stamp=fields.text(told.get("timestamp")),
        subject=_named(fields.mapping(told.get("subject"))),
        objects=tuple(map(_named, objects)),
        deeds=tuple(map(_deed, fields.listed(told.get("events")))),
        ip=fields.text(told.get("ip_address")),
    )


def _named(told: dict[str, Any]) -> Named:
    id_ = told.get("id")
    if isinstance(id_, int) and not isinstance(id_, bool):
        id_ = str(id_)
    return Named(fields.text(id_), fields.text(told.get("name")), fields.text(told.get("type")))


def _deed(told: dict[str, Any]) -> Deed:
    return Deed(
        message=fields.text(told.get("message")),
        type=fields.text(told.get("type")),
        what=fields.text(told.get("what")),
        description=fields.text(told.get("description")),
    )
