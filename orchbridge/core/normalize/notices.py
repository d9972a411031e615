"""What the bridge has to say itself: notices for people, and records that could not be delivered whole."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from orchbridge.core.facts import Odd
from orchbridge.core.normalize.context import Context, Origin
from orchbridge.core.records import ERROR, NOTICES, QUARANTINE, WARN, Record
from orchbridge.core.redact import redact, redact_text
from orchbridge.core.size import cut_text

ORIGINAL_MAX = 8_000


def notice(  # what happened, to what, and what a person should do
    origin: Origin, stream: str, epoch: str, kind: str, subject: str, *, explanation: str, action: str, observed: str
) -> Record:
    """Return a `bridge.notice`; `kind` as in event-formats 8, `subject` makes its id deterministic."""
    data = {
        "instance": origin.instance,
        "epoch": epoch,
        "observed_at": observed,
        "time_basis": "observed",
        "kind": kind,
        "stream": stream,
        "subject": subject,
        "explanation": explanation,
        "action": action,
    }
    return Record(
        NOTICES, origin.instance, origin.instance, f"{epoch}:{stream}/notice/{kind}/{subject}", "bridge.notice.v1",
        "bridge", observed, observed, epoch, data, None, WARN, None, origin.replay,
    )  # fmt: skip


def odd_id(odd: Odd) -> str:
    """Return a name for an item without a usable id, from its content."""
    return "x" + hashlib.sha256(odd.raw).hexdigest()[:16]


def odd_record(ctx: Context, odd: Odd, observed: str) -> Record:
    """Return the quarantine record of an item of a job or plan that could not be understood."""
    rules = ctx.origin.rules
    try:
        original = redact(odd.raw, rules, ctx.names, unknown_params=True, secrets=ctx.secrets).raw.decode()
    except ValueError:  # not JSON, or not UTF-8: its bytes survive as lone surrogates
        original = redact_text(odd.raw.decode("utf-8", "surrogateescape"), rules, ctx.secrets)[0]
    about = f"{ctx.epoch}:{ctx.subject}/event/{odd_id(odd)}"
    return _quarantine(
        ctx.origin.instance, ctx.key, about, ctx.epoch, observed, "normalize", odd.reason, cut_text(original), None,
        len(odd.raw),
    )  # fmt: skip


def quarantined(record: Record, reason: str) -> Record:
    """Return the quarantine record that takes the place of one the sink cannot carry.

    Its data is already redacted; only its head is kept, with size and digest, so that it fits.
    """
    try:
        encoded = msgspec.json.encode(record.data)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        encoded = repr(record.data).encode("utf-8", "backslashreplace")
    head = encoded[:ORIGINAL_MAX].decode("utf-8", "ignore")
    if len(head) < len(encoded):
        head = f"{head}\n[cut here, sha256 of all {len(encoded)} bytes: {hashlib.sha256(encoded).hexdigest()}]"
    return _quarantine(
        record.instance, record.key, record.id, record.epoch, record.observed, "publish", reason, head,
        record.type, len(encoded),
    )  # fmt: skip


def _quarantine(  # one field each
    instance: str, key: str, about: str, epoch: str, observed: str, stage: str, reason: str, original: str,
    original_type: str | None, size: int,
) -> Record:  # fmt: skip
    data = {
        "instance": instance,
        "epoch": epoch,
        "observed_at": observed,
        "time_basis": "observed",
        "reason": reason,
        "stage": stage,
        "original_type": original_type,
        "original": original,
        "size": size,
    }
    try:
        original.encode()
    except UnicodeEncodeError:  # it stands for bytes that are no text
        data["original"] = base64.b64encode(original.encode("utf-8", "surrogateescape")).decode()
        data["encoding"] = "base64"
    headers = (
        ("__connect.errors.topic", about.partition(":")[2]),  # where it came from: PE has no topics
        ("__connect.errors.stage", stage.upper()),
        ("__connect.errors.exception.class.name", "orchbridge.Quarantined"),
        ("__connect.errors.exception.message", reason),
        ("__connect.errors.exception.stacktrace", f"{stage}: {reason}"),
    )
    return Record(
        QUARANTINE, instance, key, f"{about}/quarantine", "quarantine.v1", "bridge", observed, observed, epoch, data,
        None, ERROR, None, False, "orchestrator/v1", headers,
    )  # fmt: skip
