"""The root of the API, and the status API on the same port (reference 4)."""

from __future__ import annotations

from typing import Any

from orchbridge.sim.answers import Answer, Ask, Problem, Reply, Route, invalid, params, reply

SERVICES = ("orchestrator-service", "broker-service", "status-service")
VERSIONS = {"2025": "2025.1.0.14"}


def root(ask: Ask) -> Answer:
    """GET /orchestrator/v1"""
    info = {
        "title": "Orchestrator API",
        "description": "Start, stop and watch jobs",
        "warning": "This is a simulator: nothing it tells has happened",
        "version": "0.1",
        "license": {"name": "none", "url": "https://example.com/license"},
    }

    def links(names: tuple[str, ...], *under: str) -> list[dict[str, str]]:
        return [{"name": name, "id": ask.url(*under, name)} for name in names]

    return reply(
        {
            "info": info,
            "status": {"name": "status", "id": ask.url("status")},
            "collections": links(("environments", "jobs")),
            "commands": links(("deploy", "stop"), "command"),
        }
    )


def _state(ask: Ask, service: str) -> str:
    knob = ask.knobs.broker_status
    if service != "broker-service":
        return "running"
    if knob != "auto":
        return knob
    return "error" if "500" in ask.knobs.doses("inventory") else "running"


def _service(ask: Ask, service: str, level: str) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if service == "orchestrator-service" and level != "critical":
        upstream = ("db_up", "classifier_up", "rbac_up", "puppetserver_up", "puppetdb_up", "pxp_up")
        details = dict.fromkeys(upstream, True) | {"replication": {"mode": "none", "status": "none"}}
        details["puppetdb_up"] = ask.knobs.puppetdb == "up"
        if level == "debug":
            counts = dict(ask.world.requests)
            details["metrics"] = {"routes": counts, "app": {"jobs": len(ask.world.jobs)}}
    version = ask.knobs.shape_version
    return {
        "service_version": VERSIONS.get(version, f"{version}.0.62"),
        "service_status_version": 1,
        "detail_level": level,
        "state": _state(ask, service),
        "status": details,
        "active_alerts": [],
    }


def services(ask: Ask) -> Answer:
    """GET /status/v1/services: 200 only if all run, else 503 with the same body."""
    level = ask.query.get("level", "info")
    if level not in {"critical", "info", "debug"}:
        return invalid(f"level must be critical, info or debug, not {level!r}")
    body = {service: _service(ask, service, level) for service in SERVICES}
    well = all(_state(ask, service) == "running" for service in SERVICES)
    return reply(body, 200 if well else 503)


def service(ask: Ask) -> Answer:
    """GET /status/v1/services/:name"""
    name, level = ask.path["name"], ask.query.get("level", "info")
    if level not in {"critical", "info", "debug"}:
        return invalid(f"level must be critical, info or debug, not {level!r}")
    if name not in SERVICES:
        return Problem(404, "not-found", f"No service {name}")
    bare = _service(ask, name, level)
    whole = bare if ask.knobs.single_service == "bare" else {name: bare}
    return reply(whole, 200 if _state(ask, name) == "running" else 503)


def simple(ask: Ask) -> Answer:
    """GET /status/v1/simple[/:name]"""
    name = ask.path.get("name")
    if name is not None and name not in SERVICES:
        return Reply(f"not found: {name}".encode(), 404, "text/plain")
    states = {_state(ask, service) for service in ([name] if name else SERVICES)}
    state = "running" if states == {"running"} else "error" if "error" in states else "unknown"
    return Reply(state.encode(), 200 if state == "running" else 503, "text/plain")


ROUTES = (Route("GET", "", root),)
STATUS_ROUTES = (
    Route("GET", "services", services, params("level", "timeout")),
    Route("GET", "services/{name}", service, params("level", "timeout")),
    Route("GET", "simple", simple),
    Route("GET", "simple/{name}", simple),
)
