"""What the bridge has to say itself, to people: notices."""

from __future__ import annotations

from orchbridge.core.normalize.context import Origin
from orchbridge.core.records import INFO, NOTICES, WARN, Record

NEWS = frozenset({"backfill_started", "backfill_done"})  # good to know, nothing to do


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
        "bridge", observed, observed, epoch, data, None,
        INFO if kind in NEWS else WARN, None, origin.replay,
    )  # fmt: skip
