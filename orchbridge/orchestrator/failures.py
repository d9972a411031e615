"""Answers that are none: status and body of a refusal -> Trouble, or Denial where only a person helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from orchbridge.core.facts import Odd
from orchbridge.core.questions import (
    Activity,
    BrokerStatus,
    JobDetail,
    JobEvents,
    JobNodes,
    PlanDetail,
    PlanEvents,
    PlanEventWhole,
    Question,
    TaskMetadata,
    Trouble,
)
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.excerpt import excerpt, one_line
from orchbridge.orchestrator.odd import understood

PERMISSION = "Job orchestrator: Start, stop and view jobs (orchestrator:view:*)"
RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S = 1.0, 300.0

_MISSING = {"unknown-job", "unknown-task", "unknown-plan", "unknown-environment", "mismatched-job-event-id"}
ABOUT_TOKEN = {
    "token-expired",
    "token-timed-out",
    "token-revoked",
    "user-revoked",
    "invalid-token",
    "user-unauthenticated",
}
_ONE_ITEM = (JobDetail, JobEvents, JobNodes, PlanDetail, PlanEvents, PlanEventWhole, TaskMetadata)


@dataclass(frozen=True, slots=True)
class Denial:
    """The server will not answer this token.

    `everything` tells a token from a missing right, `part` that another part of the endpoint may be allowed.
    """

    kind: str
    message: str
    hint: str
    everything: bool
    part: bool = False


def failure(
    question: Question, access: Access, status: int, headers: Mapping[str, str], body: bytes
) -> Trouble | Denial:
    """Return what a status that is not 2xx means. The error's kind decides, then the status."""
    kind, msg = kind_of(body)
    word = kind.rpartition("/")[2]
    said = f"{status} {kind}".rstrip() + (f": {msg}" if msg else "" if kind else f"; {excerpt(body)}")

    def trouble(sort: str) -> Trouble:
        return Trouble(sort, said, status=status, retry_after_s=retry_after_s(headers))

    if 300 <= status < 400:
        return Trouble("malformed", redirect(status, headers), status=status)
    if word == "server-error" or status >= 500:
        return trouble("server")
    if isinstance(question, BrokerStatus) and status in {401, 403}:
        return trouble("forbidden")
    if isinstance(question, Activity) and status in {401, 403}:  # another service: the orchestrator may be content
        right = status == 403 and word not in ABOUT_TOKEN
        hint = _activity_hint(access) if right else token_hint(word, access)
        return Denial(kind, f"{access.name}: {said}", hint, everything=False, part=right)
    if status == 401 or (status == 403 and word in ABOUT_TOKEN):
        return Denial(kind, f"{access.name}: {said}", token_hint(word, access), everything=True)
    if status == 403:
        if isinstance(question, _ONE_ITEM):
            return trouble("forbidden")
        return Denial(kind, f"{access.name}: {said}", permission_hint(access), everything=False)
    match status:
        case 404:
            return trouble("missing" if word in _MISSING else "absent")
        case 408:
            return trouble("timeout")
        case 429:
            return trouble("throttled")
        case _:
            return trouble("invalid" if status >= 400 else "malformed")


def kind_of(body: bytes) -> tuple[str, str]:
    """Return kind and message of an error body, empty where it has none."""
    told = understood(body)
    if isinstance(told, Odd):
        return "", ""
    return one_line(fields.text(told.get("kind")) or "", 100), one_line(fields.text(told.get("msg")) or "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the server's wish in seconds, between 1 and 300; its own clock counts for a date."""
    wish = headers.get("retry-after", "").strip()
    if not wish:
        return None
    pause = fields.seconds(wish)
    if pause is None:
        until = http_date(wish)
        if until is None:
            return None
        now = http_date(headers.get("date", "")) or datetime.now(UTC)
        pause = (until - now).total_seconds()
    return min(RETRY_AFTER_MAX_S, max(RETRY_AFTER_MIN_S, pause))


def http_date(text: str) -> datetime | None:
    """Return an HTTP date, None where the text is none."""
    try:
        read = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def redirect(status: int, headers: Mapping[str, str]) -> str:
    """Say where a redirect points, and that it is not followed."""
    try:
        host = urlsplit(headers.get("location", "")).hostname or "the same host"
    except ValueError:
        host = "an address that is none"
    return f"{status}: the server points to {one_line(host, 100)}; redirects are not followed, correct the url"


def token_hint(word: str, access: Access) -> str:
    """Say what helps where the token is refused; `word` is the error's kind without its prefix."""
    where = str(access.token_file) if access.token_file else "the source's `token` setting (then restart)"
    fresh = f"put a fresh token into {where}: puppet-access login --lifetime 1y"
    if not access.token_file and not access.token:
        if access.client_cert_file:
            return (
                "a client certificate is configured but no token, and this server does not accept the"
                " certificate alone: set token_file"
            )
        return "no token is configured: set token_file"
    match word:
        case "token-expired":
            return fresh
        case "token-timed-out":
            return f"{fresh}; its idle timeout ended it, so take a token without --timeout"
        case "token-revoked":
            return f"the token was revoked; {fresh}"
        case "user-revoked":
            return f"the token's user is revoked: reinstate it in the console, then {fresh}"
        case "invalid-token":
            return f"what is there is not a token of this server; {fresh}"
        case "":
            return (
                f"no PE error came with it, so a proxy in between may have answered: check url and proxy, else {fresh}"
            )
        case _:
            return fresh


def _activity_hint(access: Access) -> str:
    then = f"then touch {access.token_file}" if access.token_file else "then restart"
    return f"let a role of the token's user read the activity service, {then}; or leave activity out of `streams`"


def permission_hint(access: Access) -> str:
    """Say what helps where the token's user may not read."""
    then = f"then touch {access.token_file}" if access.token_file else "then restart"
    return f"give a role of the token's user the permission {PERMISSION}, {then}"
