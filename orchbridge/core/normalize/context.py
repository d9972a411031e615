"""What all records of one job or plan share: who, where, and what must be hidden."""

from __future__ import annotations

from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.redact import Rules, redact, redact_text
from orchbridge.core.size import cut_json, cut_text


class Origin(msgspec.Struct, frozen=True):
    """The stream's own part: source name, redaction rules, console link pattern, replay mark."""

    instance: str
    rules: Rules
    job_url: str | None = None
    replay: bool = False


class Context(msgspec.Struct, frozen=True):
    """One job's or plan's part.

    about     the `job` or `plan` object of event-formats 8, encoded once
    names     parameters known to be sensitive; `secrets`: their values where PE shows them
    unknown   the task's metadata could not be read: parameter values are hidden (fail closed)
    """

    origin: Origin
    epoch: str
    subject: str
    key: str
    correlation: str
    about: msgspec.Raw
    names: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    unknown: bool = False

    def clean(self, raw: bytes, at: str, paths: list[str]) -> bytes:
        """Return the JSON redacted and cut; note the redacted places under the path `at`."""
        done = redact(raw, self.origin.rules, self.names, unknown_params=self.unknown, secrets=self.secrets)
        if done.paths:
            paths.extend(f"${at}{path[1:]}" for path in done.paths)
        return done.raw if len(done.raw) <= 1_000 else cut_json(done.raw)[0]

    def clean_text(self, text: str | None, at: str, paths: list[str]) -> str | None:
        """Return the text redacted and cut, None for None."""
        if not text:
            return text
        done, touched = redact_text(text, self.origin.rules, self.secrets)
        if touched:
            paths.append(f"${at}")
        return cut_text(done)

    def base(self, stamp: str | None, observed: str) -> tuple[str, dict[str, Any]]:
        """Return the time of a record and the fields all `data` begin with."""
        known = times.seconds(stamp) is not None
        return (stamp if known and stamp else observed), {
            "instance": self.origin.instance,
            "epoch": self.epoch,
            "observed_at": observed,
            "time_basis": "pe" if known else "observed",
        }


def pe_object(context: Context, raw: bytes, data: dict[str, Any], paths: list[str]) -> None:
    """Put PE's own object under `data.pe`, saying so where the size ladder cut it."""
    clean = context.clean(raw, ".pe", paths)
    data["pe"] = msgspec.Raw(clean)
    if len(raw) > len(clean) and clean.startswith(b'{"cut":true'):
        data["pe_truncated"] = True
    if paths:
        data["redacted"] = paths[:100]
