"""What all records of one job or plan share: who, where, and what must be hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from orchbridge.core import times
from orchbridge.core.redact import Rules, innocent, redact, redact_again, redact_text
from orchbridge.core.size import EVENT_MAX, LEAST, NOTE_ROOM, RAW_MAX, TEXT_ROOM, cut_json, cut_text

PATHS_MAX = 100


class Origin(msgspec.Struct, frozen=True):
    """The stream's own part: source name, redaction rules, console link pattern, replay mark."""

    instance: str
    rules: Rules
    job_url: str | None = None
    replay: bool = False


class Context(msgspec.Struct, frozen=True):
    """One job's or plan's part.

    about     the `job` or `plan` object of event-formats 8, encoded once; `hidden`: paths redacted in it
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
    hidden: tuple[str, ...] = ()

    def innocent(self, raws: Sequence[bytes]) -> bool:
        """Return whether none of these needs redaction; False where that takes a closer look at each."""
        return not self.unknown and innocent(raws, self.origin.rules, self.names, self.secrets)

    def redacted(self, raw: bytes, at: str, paths: list[str], *, again: bool = False) -> bytes:
        """Return the JSON without its secrets, the very bytes where it has none; note where they were under `at`.

        `again` remembers the result for the next record that carries the same bytes.
        """
        do = redact_again if again else redact
        done = do(raw, self.origin.rules, self.names, self.unknown, self.secrets)
        if done.paths:
            paths.extend(f"${at}{path[1:]}" for path in done.paths)
        return done.raw

    def clean(self, raw: bytes, at: str, paths: list[str]) -> bytes:
        """Return the JSON redacted and cut."""
        return cut_json(self.redacted(raw, at, paths), RAW_MAX)

    def clean_text(self, text: str | None, at: str, paths: list[str], room: int = TEXT_ROOM) -> str | None:
        """Return the text redacted and cut, None for None."""
        if not text:
            return text
        done, touched = redact_text(text, self.origin.rules, self.secrets)
        if touched:
            paths.append(f"${at}")
        return cut_text(done, room)

    def base(self, stamp: str | None, observed: str) -> tuple[str, dict[str, Any]]:
        """Return the time of a record and the fields all `data` begin with."""
        known = times.seconds(stamp) is not None
        return (stamp if known and stamp else observed), {
            "instance": self.origin.instance,
            "epoch": self.epoch,
            "observed_at": observed,
            "time_basis": "pe" if known else "observed",
        }

    def seal(self, data: dict[str, Any], paths: list[str] | None = None) -> None:
        """End the data with the places that were redacted, where there are any."""
        if paths or self.hidden:
            data["redacted"] = [*(paths or ()), *self.hidden][:PATHS_MAX]

    def seal_with_pe(self, data: dict[str, Any], redacted: bytes, paths: list[str], *, beside: int = 0) -> None:
        """End the data with PE's own object, redacted already, and say what was done to it.

        It gets the room that is left where the other fields take `beside` bytes.
        """
        fitting = redacted
        if len(redacted) > LEAST:
            fitting = cut_json(redacted, max(LEAST, EVENT_MAX - beside - len(bytes(self.about))))
        data["pe"] = msgspec.Raw(fitting)
        if fitting is not redacted:
            data["pe_truncated"] = True
        self.seal(data, paths)


def description(text: str | None, origin: Origin, secrets: tuple[str, ...]) -> tuple[str | None, bool]:
    """Return what a person wrote about a job or plan, redacted and cut, and whether anything was hidden."""
    if not text:
        return text, False
    done, touched = redact_text(text, origin.rules, secrets)
    return cut_text(done, NOTE_ROOM), touched
