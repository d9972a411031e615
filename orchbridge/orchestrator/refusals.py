"""Answers that are none, as the errors of the public client (orchestrator API, section 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from orchbridge.core.questions import Trouble
from orchbridge.orchestrator import errors, fields
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.calls import Call
from orchbridge.orchestrator.decoding import decoded
from orchbridge.orchestrator.excerpt import excerpt, one_line
from orchbridge.orchestrator.failures import ABOUT_TOKEN, Denial, redirect, retry_after_s, token_hint
from orchbridge.orchestrator.hidden import cleaned
from orchbridge.orchestrator.hints import HINTS, hint_for
from orchbridge.orchestrator.reach import not_verified, transport_trouble
from orchbridge.orchestrator.tokens import Token

LOGIN = "/rbac-api/v1/auth/token"
KNOWN = errors.KINDS.keys() | ABOUT_TOKEN | HINTS.keys()
_LOOKED_AT = 64 * 1024
_NEVER_SENT = (
    httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    | httpx.LocalProtocolError | httpx.UnsupportedProtocol
)  # fmt: skip
_REPEATED = {"submitted"}  # a schema violation repeats the whole body
_KIND = re.compile(r"(puppetlabs\.\w+/)?[a-z-]+")


def refusal(
    call: Call, access: Access, token: Token, status: int, headers: Mapping[str, str], body: bytes
) -> errors.ApiError:
    """Return the error a status means. The error's kind decides, then the status."""

    def clean(text: str) -> str:
        return token.hide(call.hidden.text(text))

    said: Mapping[str, Any] = decoded(body) or {}
    kind = fields.text(said.get("kind")) or ""
    word = kind.rpartition("/")[2]
    if word not in KNOWN or not _KIND.fullmatch(kind):
        kind = one_line(clean(kind), 100)  # anything may be in it; a known one is only a word
        word = kind.rpartition("/")[2]
    words = fields.text(said.get("msg")) or fields.text(said.get("message"))
    message = one_line(clean(words)) if words else f"no PE error came with it; {look_of(body, clean)}"
    if 300 <= status < 400:
        return errors.Malformed(
            token.hide(redirect(status, headers)), status=status, hint="correct the url", call=str(call)
        )
    details = fields.mapping(said.get("details"))
    made = _class(call, word, status)
    if made is errors.TokenRefused:
        ours = call.signed or call.own
        hint = token_hint(word, access) if ours else "this token is of no use any more: take another one"
    elif made is errors.LoginRefused and word not in {"user-revoked", "api-user-login", "remote-user-conflict"}:
        hint = "check name and password before you try again: after ten failures in a row the account is revoked"
    else:
        hint = hint_for(word, status, call)
    return made(
        message,
        hint=hint,
        status=status,
        kind=kind,
        details=cleaned({name: value for name, value in details.items() if name not in _REPEATED}, clean),
        call=str(call),
        retry_after_s=retry_after_s(headers),
    )


def broken(call: Call, access: Access, error: BaseException, *, sent: bool) -> errors.Unreachable:
    """Return the error of an exchange that broke off; `sent` is that the request may have arrived."""
    trouble: Trouble = transport_trouble(access, error)
    made = errors.TooSlow if trouble.kind == "timeout" else errors.Unreachable
    hint = {
        "tls": _tls_hint(error),
        "timeout": "the server is overloaded, or something on the way swallows packets: try again later",
    }.get(trouble.kind, _behind(call))
    found = made(trouble.explanation, hint=hint, call=str(call))
    found.sent = sent and not isinstance(error, _NEVER_SENT)
    return found


def _behind(call: Call) -> str:
    """Say where to look when nothing answers: tokens and activity are another service's, on a port of its own."""
    if call.request.endpoint.startswith(("/rbac-api", "/activity-api")):
        return "check the service pe-console-services and the firewall in between, or name its address as rbac_url"
    return "check the url, the service pe-orchestration-services and the firewall in between"


def _tls_hint(error: BaseException) -> str:
    if not_verified(error):
        there = "/etc/puppetlabs/puppet/ssl/certs/ca.pem"
        return f"give the CA certificate of this server as ca_file: copy {there} of the primary"
    return "check the url: what listens there does not speak TLS 1.2 or later, as the orchestrator's port 8143 does"


def denied(denial: Denial, call: Call) -> errors.TokenRefused:
    """Return the error of a token that cannot be used, or is known to be refused."""
    status = None if denial.kind == "token-file" else 401
    return errors.TokenRefused(denial.message, hint=denial.hint, kind=denial.kind, status=status, call=str(call))


def malformed(call: Call, why: str) -> errors.Malformed:
    """Return the error of a 2xx answer that is not what was asked for."""
    hint = "check that the url is that of the orchestrator itself, and no proxy answers in its place"
    return errors.Malformed(why, hint=hint, call=str(call))


def _class(call: Call, word: str, status: int) -> type[errors.ApiError]:
    if word == "server-error":
        return errors.ServerFault
    if call.request.endpoint == LOGIN and status in {401, 403}:
        return errors.LoginRefused
    if status == 401 or word in ABOUT_TOKEN:
        return errors.TokenRefused
    if word in errors.KINDS:
        return errors.KINDS[word]
    if status >= 500:
        return errors.BrokerDown if call.request.endpoint.startswith("/inventory") else errors.ServerFault
    match status:
        case 403:
            return errors.NotPermitted
        case 404:
            named = word or call.request.endpoint.startswith("/status/")
            return errors.NotFound if named else errors.Unsupported
        case 408:
            return errors.TooSlow
        case 429:
            return errors.Throttled
        case 400 | 422:
            return errors.Invalid
        case _:
            return errors.Rejected if status >= 400 else errors.Malformed


def look_of(body: bytes, clean: Callable[[str], str]) -> str:
    """Return what a body looks like; cleaned before it is cut, since half a secret is one as well."""
    return excerpt(clean(body[:_LOOKED_AT].decode("utf-8", "replace")).encode("utf-8", "replace"))
