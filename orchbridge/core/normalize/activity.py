"""The activity service's commits as records (event-formats 2.3 and 8), and what tells them apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.facts import Commit, Named
from orchbridge.core.normalize.context import Context, Origin
from orchbridge.core.normalize.quarantine import short
from orchbridge.core.records import AUDIT, INFO, Record
from orchbridge.core.redact import redact_text
from orchbridge.core.size import RAW_MAX, cut_field, cut_json

SERVICE = "activity/v2"  # of the CloudEvents source, whichever version of the API it was read through


def digest(service: str, commit: Commit, origin: Origin) -> str:
    """Return what stands for a commit, which has no id: the SHA-256 of what never changes in it.

    Objects are left out, as the two versions of the API tell them differently, and so are names, which a person
    may change. Texts are redacted first, so that nobody can find a short secret by trying.
    """
    moment = times.seconds(commit.stamp)
    when = commit.stamp if moment is None else times.text(moment)
    texts = [deed.message or deed.description or deed.type or "" for deed in commit.deeds]
    rules = replace(origin.rules, pseudonym_key=None)
    hidden = [redact_text(text, rules)[0] for text in texts]
    canonical = msgspec.json.encode([service, when, commit.subject.id or commit.subject.name, hidden])
    return hashlib.sha256(canonical).hexdigest()


def commit_record(  # one field each
    origin: Origin, epoch: str, service: str, commit: Commit, name: str, observed: str, *, late: bool
) -> Record:
    """Return the record of one commit; `name` is its digest and which of equal ones it is: `<sha256>/1`."""
    key = short(f"{service}/{_about(commit)}")
    job = next((each.id for each in commit.objects if each.type == "job" and (each.id or "").isdecimal()), None)
    correlation = None if job is None else f"job/{job}"
    ctx = Context(origin, epoch, f"activity/{service}", key, correlation or "", msgspec.Raw(b"{}"))
    paths: list[str] = []
    time, data = ctx.base(commit.stamp, observed)
    objects = msgspec.json.encode([_named(ctx, each) for each in commit.objects])
    deeds = ctx.redacted(msgspec.json.encode([_deed(ctx, each, paths) for each in commit.deeds]), ".events", paths)
    objects, deeds = cut_json(objects, RAW_MAX // 2), cut_json(deeds, RAW_MAX)
    data |= {
        "service": service,
        "subject": {"id": cut_field(commit.subject.id), "name": cut_field(commit.subject.name)},
        "objects": msgspec.Raw(objects),
        "events": msgspec.Raw(deeds),
        "ip_address": cut_field(commit.ip),
    }
    if late:
        data["late"] = True
    ctx.seal_with_pe(data, ctx.redacted(commit.raw, ".pe", paths), paths, beside=len(objects) + len(deeds))
    return Record(
        AUDIT, origin.instance, key, f"{epoch}:act/{service}/{name}", "audit.activity.v1", ctx.subject, time, observed,
        epoch, data, None, INFO, correlation, origin.replay, SERVICE,
    )  # fmt: skip


def _about(commit: Commit) -> str:
    """Return what the commit is about, for its key: its first object, else who did it."""
    names = [*((each.id, each.name) for each in commit.objects), (commit.subject.id, commit.subject.name)]
    return next((found for id_, name in names if (found := id_ or name)), "unknown")


def _named(ctx: Context, thing: Named) -> dict[str, Any]:
    return {
        "id": cut_field(thing.id),
        "name": ctx.clean_text(thing.name, ".objects", []),
        "type": cut_field(thing.type),
    }


def _deed(ctx: Context, deed: Any, paths: list[str]) -> dict[str, Any]:
    return {
        "type": cut_field(deed.type),
        "what": cut_field(deed.what),
        "description": ctx.clean_text(deed.description, ".events", paths),
        "message": ctx.clean_text(deed.message, ".events", paths),
    }
