"""What runs report: puppet runs and tasks, successes and failures (reference 6.3)."""

from __future__ import annotations

from random import Random
from typing import Any

from orchbridge.sim import releases
from orchbridge.sim.catalogue import planted
from orchbridge.sim.knobs import Knobs

BIG_OUTPUT_LINE = "a line of output that nobody will read to the end, over and over again\n"


def run_result(random: Random, outcome: str, *, noop: bool, environment: str) -> dict[str, Any]:
    """Return the result of one puppet run."""
    changed = 0 if noop else random.choice((0, 0, 1, 3, 12))
    failed = 2 if outcome == "failed" else 0
    status = "failed" if failed else "changed" if changed else "unchanged"
    digest = f"{random.getrandbits(160):040x}"
    metrics = {
        "total": 310 + random.randrange(90),
        "failed": failed,
        "changed": changed,
        "skipped": 4 if failed else 0,
        "restarted": changed // 3,
        "scheduled": 0,
        "out_of_sync": changed + failed,
        "corrective_change": min(changed, 1),
        "failed_to_restart": 0,
    }
    return {
        "hash": digest,
        "status": status,
        "noop": {"noop": noop, "no_noop": False},
        "environment": environment,
        "configuration_version": str(1741500000 + random.randrange(10_000)),
        "metrics": metrics,
        "report-url": f"https://pe.example.com/#/cm/report/{digest}",
    }


def task_result(random: Random, task: str, outcome: str) -> dict[str, Any]:
    """Return what a task printed; some print secrets nobody marked as such."""
    if outcome == "failed":
        error = {
            "kind": "puppetlabs.tasks/task-error",
            "msg": f"The task errored with a code {random.choice((1, 2, 127))}",
            "details": {"exit_code": 1},
        }
        return {"_output": f"{task}: something went wrong\n", "_error": error}
    match task:
        case "facts":
            return {"os": {"family": "RedHat", "release": {"full": "9.3"}}, "uptime_s": random.randrange(10**7)}
        case "package":
            return {"status": "installed", "version": f"2.{random.randrange(40)}.1"}
        case "service::restart":
            return {"active": True, "pid": random.randrange(300, 30_000)}
        case "dbx::dump":
            return {"bytes": random.randrange(10**9), "password": planted("result-password"), "path": "/var/tmp/db"}  # noqa: S108
        case "vault::rotate":
            return {"rotated": True, "_sensitive": "Sensitive [value redacted]", "api_key": planted("result-key")}
    return {"_output": f"{task}: done in {random.randrange(1, 900)} ms\n"}


def dressed(result: Any, node_state: str | None, knobs: Knobs) -> Any:
    """Return a node's result as the knob `nodes` wants it."""
    odd = knobs.doses("nodes")
    if "null-result" in odd:
        return None
    if not isinstance(result, dict):
        return result
    if "_sensitive" in result and not knobs.has(releases.SENSITIVE_RESULTS):
        result = {**result, "_sensitive": planted("result-sensitive")}
    if "error-string" in odd and node_state in {"failed", "errored"}:
        result = {**result, "_error": "the task failed, and this is all it says"}
    if "big" in odd and "report-url" not in result:
        lines = int(odd["big"].amount * 1_000_000) // len(BIG_OUTPUT_LINE) + 1
        result = {**result, "_output": BIG_OUTPUT_LINE * lines}
    return result
