"""Look at one source the way `orchbridge check` does: everything in one pass, nothing changed."""

from __future__ import annotations

import httpx

from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import Finding
from orchbridge.core.questions import JobsPage, Trouble
from orchbridge.orchestrator import fields
from orchbridge.orchestrator.access import ROOT, Access, http_client
from orchbridge.orchestrator.doctor import chain, pace, releases, tls, token
from orchbridge.orchestrator.doctor.findings import failed, not_checked, ok, warning
from orchbridge.orchestrator.doctor.reads import Reader, Reading
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.look import Look, look
from orchbridge.orchestrator.tokens import Token

SKEW_S_MAX = 30.0
CHEAP = 3  # requests for the latency alone, beside those that are small anyway
_SERVICES = ("orchestrator-service", "broker-service")
_READS = {"jobs": "jobs", "plans": "plan jobs", "inventory": "inventory", "schedules": "scheduled jobs"}


async def probe(access: Access, reading: Reading | None = None) -> tuple[Finding, ...]:
    """Return everything there is to say about reaching and reading this source.

    What could not be looked at, because something before it failed, is said to be not checked.
    """
    reading = reading or Reading()
    findings: list[Finding] = []
    try:
        held = Token(access.token_file, access.token)
        findings.append(token.found(access, held))
    except ConfigError as error:
        held = Token(None, None)
        findings.append(failed("token", str(error), error.hint))
    try:
        async with http_client(access) as http:
            findings.append(ok("settings", f"address and TLS files can be used; trusted is {access.trust}"))
            findings.extend(tls.files(access))
            findings.extend(await _answers(access, held, http, reading))
    except ConfigError as error:
        findings.append(failed("settings", str(error), error.hint))
        findings.extend(tls.files(access))
        in_time = ("reachable", "certificate", *_later(reading))
        findings.extend(not_checked(in_time, "the settings cannot be used"))
    return tuple(
        Finding(f"{access.name}: {each.subject}", each.level, held.hide(each.message), each.hint) for each in findings
    )


def _later(reading: Reading) -> tuple[str, ...]:
    reads = [_READS[stream] for stream in reading.streams if stream in _READS]
    activities = reading.activities if "activity" in reading.streams else ()
    return ("token accepted", *reads, *activities, "services", "clock")


async def _answers(access: Access, held: Token, http: httpx.AsyncClient, reading: Reading) -> list[Finding]:
    """Look at the API itself, one request after the other."""
    root = await look(access, held, http, http.build_request("GET", ROOT), JobsPage(1))
    findings = await _network(access, root)
    if root.status is None:
        return [*findings, *not_checked(_later(reading), "the server was not reached")]
    findings.append(token.accepted(root))
    reader = Reader(access, held, http)
    if isinstance(root.problem, Denial) and root.problem.everything:
        findings.extend(not_checked(_later(reading)[1:-2], "the token is not accepted"))
    elif root.problem:
        findings.extend(not_checked(_later(reading)[1:-2], "the API does not answer"))
    else:
        findings.extend(await token.life(access, renewed=reading.renewed) if held.held else [])
        findings.extend(await reader.findings(reading))
    services = await look(access, held, http, http.build_request("GET", "/status/v1/services"), JobsPage(1))
    findings.extend(_services(access, services, reading))
    findings.append(_clock(root))
    if not root.problem:
        for _ in range(CHEAP):
            seen = await look(access, held, http, http.build_request("GET", ROOT), JobsPage(1))
            reader.seconds += [seen.seconds] if not seen.problem else []
        if reader.seconds:
            findings.append(pace.latency(reader.seconds, reading.poll_s))
    return findings


async def _network(access: Access, root: Look) -> list[Finding]:
    if root.status is None:
        if isinstance(root.problem, Trouble) and root.problem.kind == "tls":
            return [ok("reachable", access.place), tls.refused(access, await chain.presented(access), root.reason)]
        way = f"through the proxy of source {access.name}" if access.proxy else "from here"
        hint = f"check url, DNS and firewall {way}; the orchestrator listens on port 8143"
        return [failed("reachable", root.reason, hint), *not_checked(("certificate",), "the server was not reached")]
    reached = ok("reachable", f"{access.place} answered in {root.seconds * 1000:.0f} ms")
    return [reached, *tls.accepted(chain.read(root.chain), root.days_left)]


def _services(access: Access, seen: Look, reading: Reading) -> list[Finding]:
    told = {name: fields.mapping(seen.told.get(name)) for name in _SERVICES if name in seen.told}
    if not told:
        said = f"the status of the services is not told: {seen.reason}".rstrip(": ")
        hint = f"ask on the primary: puppet infrastructure status; from here: curl {access.url}/status/v1/services"
        return [warning("services", said, hint)]
    states = {name: fields.text(about.get("state")) or "unknown" for name, about in told.items()}
    words = ", ".join(f"{name} is {state}" for name, state in states.items())
    version = fields.text(told.get(_SERVICES[0], {}).get("service_version"))
    release = releases.told(version, reading.streams)
    if all(state == "running" for state in states.values()):
        return [ok("services", words), *release]
    return [warning("services", words, "puppet infrastructure status on the primary tells more"), *release]


def _clock(root: Look) -> Finding:
    if root.skew_s is None:
        return warning("clock", "the server does not tell its time", "compare here and on the primary: date -u")
    ahead = f"the server's clock is {abs(root.skew_s):.0f} s {'ahead of' if root.skew_s > 0 else 'behind'} ours"
    if abs(root.skew_s) > SKEW_S_MAX:
        return warning("clock", ahead, "let both machines follow the same time servers (chronyc tracking)")
    return ok("clock", ahead)
