"""Look at one source the way `orchbridge check` does: everything in one pass, nothing changed."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable

import httpx

from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import Finding
from orchbridge.core.questions import Inventory, JobsPage, PlansPage, Question, Trouble
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.access import ROOT, Access, http_client
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.look import Look, look
from orchbridge.orchestrator.tokens import Token

DAYS_LEFT_MIN = 14
SKEW_S_MAX = 30.0
_SERVICES = ("orchestrator-service", "broker-service")
_READS: tuple[tuple[str, str, str, bytes | None, Question], ...] = (
    ("jobs", "GET", f"{ROOT}/jobs?limit=1", None, JobsPage(1)),
    ("plan jobs", "GET", f"{ROOT}/plan_jobs?limit=1", None, PlansPage(1)),
    # Asked about a node that cannot exist: the whole inventory would be a burden.
    ("inventory", "POST", f"{ROOT}/inventory", b'{"nodes":["orchbridge-check.invalid"]}', Inventory()),
)
_IN_TIME = ("reachable", "certificate", "token accepted", *(name for name, *_ in _READS), "services", "clock")


async def probe(access: Access) -> tuple[Finding, ...]:
    """Return everything there is to say about reaching and reading this source.

    What could not be looked at, because something before it failed, is said to be not checked.
    """
    findings: list[Finding] = []
    try:
        token = Token(access.token_file, access.token)
        findings.append(_token_found(access, token))
    except ConfigError as error:
        token = Token(None, None)
        findings.append(_failed("token", str(error), error.hint))
    try:
        async with http_client(access) as http:
            findings.append(_ok("settings", f"address and TLS files can be used; trusted is {access.trust}"))
            findings.extend(await _answers(access, token, http))
    except ConfigError as error:
        findings.append(_failed("settings", str(error), error.hint))
        findings.extend(_not_checked(_IN_TIME, "the settings cannot be used"))
    return tuple(
        Finding(f"{access.name}: {each.subject}", each.level, token.hide(each.message), each.hint) for each in findings
    )


async def _answers(access: Access, token: Token, http: httpx.AsyncClient) -> list[Finding]:
    """Look at the API itself, one request after the other."""
    root = await look(access, token, http, http.build_request("GET", ROOT), JobsPage(1))
    findings = _network(access, root)
    if root.status is None:
        return [*findings, *_not_checked(_IN_TIME[2:], "the server was not reached")]
    denied = isinstance(root.problem, Denial) and root.problem.everything
    findings.append(_accepted(root))
    if denied:
        findings.extend(_not_checked((name for name, *_ in _READS), "the token is not accepted"))
    else:
        for name, method, path, body, question in _READS:
            headers = {"Content-Type": "application/json"} if body else None
            request = http.build_request(method, path, content=body, headers=headers)
            findings.append(_readable(name, await look(access, token, http, request, question)))
    request = http.build_request("GET", "/status/v1/services")
    findings.extend(_services(await look(access, token, http, request, JobsPage(1))))
    findings.append(_clock(root))
    return findings


def _token_found(access: Access, token: Token) -> Finding:
    refusal = token.read()
    if refusal:
        return _failed("token", refusal.message, refusal.hint)
    if access.token_file:
        if access.token_file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            return Finding(
                "token",
                "warning",
                f"everybody on this machine can read {access.token_file}; the token can also stop jobs",
                f"chmod 600 {access.token_file}",
            )
        return _ok("token", f"read from {access.token_file}")
    if access.token:
        return _ok("token", "given in the settings; it cannot be renewed without a restart, a token_file can")
    if access.client_cert_file:
        return Finding(
            "token",
            "warning",
            "only a client certificate is configured",
            "servers usually want a token: set token_file",
        )
    return _failed("token", "no token is configured", "set token_file: puppet-access login --lifetime 1y")


def _network(access: Access, root: Look) -> list[Finding]:
    if root.status is None:
        if isinstance(root.problem, Trouble) and root.problem.kind == "tls":
            return [_ok("reachable", access.place), _failed("certificate", root.reason, _tls_hint(access, root.reason))]
        way = f"through the proxy of source {access.name}" if access.proxy else "from here"
        hint = f"check url, DNS and firewall {way}; the orchestrator listens on port 8143"
        return [_failed("reachable", root.reason, hint), *_not_checked(("certificate",), "the server was not reached")]
    reached = _ok("reachable", f"{access.place} answered in {root.seconds * 1000:.0f} ms")
    if root.days_left is None:
        return [reached, _ok("certificate", "no TLS on this machine's own address")]
    days = f"the server's certificate is valid for {root.days_left:.0f} more days"
    if root.days_left < DAYS_LEFT_MIN:
        return [reached, Finding("certificate", "warning", days, "renew the primary's certificate in time")]
    return [reached, _ok("certificate", days)]


def _tls_hint(access: Access, reason: str) -> str:
    lower = reason.lower()
    if "expired" in lower or "not yet valid" in lower:
        return "renew the server's certificate, or correct this machine's clock"
    if "mismatch" in lower or "doesn't match" in lower:
        return "use in url the name the certificate was made for: the primary's certname"
    if access.ca_file:
        return f"put the primary's /etc/puppetlabs/puppet/ssl/certs/ca.pem into {access.ca_file}"
    return "set ca_file to a copy of the primary's /etc/puppetlabs/puppet/ssl/certs/ca.pem"


def _accepted(root: Look) -> Finding:
    if isinstance(root.problem, Denial) and root.problem.everything:
        return _failed("token accepted", root.reason, root.problem.hint)
    if root.problem:
        hint = "wait until the server is up, then check again; or correct the url"
        return _failed("token accepted", root.reason, hint)
    return _ok("token accepted", "the orchestrator API answers")


def _readable(name: str, seen: Look) -> Finding:
    match seen.problem:
        case None:
            return _ok(name, "may be read")
        case Denial():
            return _failed(name, seen.reason, seen.problem.hint)
        case Trouble("absent"):
            stream = "inventory" if name == "inventory" else "plans"
            hint = f"this server is too old to have them: leave {stream!r} out of `streams`"
            return Finding(name, "warning", seen.reason, hint)
        case Trouble("server") if name == "inventory":
            hint = "is the PCP broker up? Until then connections are unknown"
            return Finding(name, "warning", seen.reason, hint)
        case Trouble():
            return _failed(
                name, seen.reason, "look into the orchestrator's log, /var/log/puppetlabs/orchestration-services"
            )


def _services(seen: Look) -> list[Finding]:
    told = {name: fields.mapping(seen.told.get(name)) for name in _SERVICES if name in seen.told}
    if not told:
        return [Finding("services", "warning", f"the status of the services is not told: {seen.reason}".rstrip(": "))]
    states = {name: fields.text(about.get("state")) or "unknown" for name, about in told.items()}
    words = ", ".join(f"{name} is {state}" for name, state in states.items())
    well = all(state == "running" for state in states.values())
    hint = "" if well else "puppet infrastructure status on the primary tells more"
    version = fields.text(told.get(_SERVICES[0], {}).get("service_version"))
    return [Finding("services", "ok" if well else "warning", words, hint), *_version(version)]


def _version(version: str | None) -> list[Finding]:
    if not version:
        return []
    year = re.match(r"\d{4}\.\d+(\.\d+)?", version)
    return [_ok("version", f"probably PE {year[0]}" if year else f"the orchestrator calls itself {version[:40]}")]


def _clock(root: Look) -> Finding:
    if root.skew_s is None:
        return Finding("clock", "warning", "the server does not tell its time")
    ahead = f"the server's clock is {abs(root.skew_s):.0f} s {'ahead of' if root.skew_s > 0 else 'behind'} ours"
    if abs(root.skew_s) > SKEW_S_MAX:
        return Finding("clock", "warning", ahead, "let both machines follow the same time servers (chronyc tracking)")
    return _ok("clock", ahead)


def _ok(subject: str, message: str) -> Finding:
    return Finding(subject, "ok", message)


def _failed(subject: str, message: str, hint: str) -> Finding:
    return Finding(subject, "failed", message, hint)


def _not_checked(subjects: Iterable[str], why: str) -> list[Finding]:
    return [Finding(subject, "warning", f"not checked: {why}") for subject in subjects]
