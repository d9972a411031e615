"""How nodes without an agent are reached, from a file: passwords and keys stand on no command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Scope, Target

KEYS = {field.replace("_", "-"): field for field in Target.__dataclass_fields__}
NEEDED = ("hostnames", "user", "transport")
TEXTS = {"user", "transport", "password", "private-key-content", "run-as", "sudo-password", "run-as-command", "tmpdir"}
HINT = (
    'give a JSON list: [{"hostnames": ["a.example.com"], "user": "root", "transport": "ssh", "private-key-content":'
    ' "..."}]'
)


def targets_of(file: str | None, scope: Scope) -> tuple[Target, ...]:
    """Return what the file says, () for None; raise ConfigError, which repeats no value, where it says nothing."""
    if file is None:
        return ()
    where = "standard input" if file == "-" else file
    try:
        told = msgspec.json.decode(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"--targets {where} cannot be read: {error.strerror}", hint=HINT) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = None  # the decoder's own words may repeat a value
    if not isinstance(told, list) or not told:
        raise ConfigError(f"--targets {where} is not a list of targets", hint=HINT)
    found = tuple(_target(each, f"target {number} of {where}") for number, each in enumerate(told, 1))
    named = set(scope.nodes or ())
    strange = sorted({host for each in found for host in each.hostnames} - named)
    if scope.nodes is not None and strange:
        raise ConfigError(
            f"--targets tells of nodes the task is not run on: {', '.join(strange)}",
            hint="name them in --nodes as well",
        )
    return found


def _target(told: Any, label: str) -> Target:
    if not isinstance(told, dict):
        raise ConfigError(f"{label} is no object", hint=HINT)
    strange = sorted(told.keys() - KEYS.keys())
    if strange:
        raise ConfigError(f"{label} has no {' and no '.join(strange)}", hint=f"it takes {', '.join(KEYS)}")
    missing = [key for key in NEEDED if not told.get(key)]
    if missing:
        raise ConfigError(f"{label} needs {' and '.join(missing)}", hint=HINT)
    names = told["hostnames"]
    wrong = [key for key in TEXTS & told.keys() if not isinstance(told[key], str)]
    wrong += [key for key in {"port", "connect-timeout"} & told.keys() if type(told[key]) is not int]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        wrong.append("hostnames")
    if wrong:
        raise ConfigError(f"{label}: {' and '.join(sorted(wrong))} cannot be that", hint=HINT)
    if told["transport"] not in {"ssh", "winrm"}:
        raise ConfigError(f"{label}: transport is ssh or winrm", hint=HINT)
    return Target(**{KEYS[key]: value for key, value in told.items()})


def hosts(targets: Sequence[Target]) -> frozenset[str]:
    """Return the nodes that need no agent."""
    return frozenset(host for each in targets for host in each.hostnames)


def secrets(targets: Sequence[Target]) -> tuple[str, ...]:
    """Return what of them may be shown nowhere."""
    return tuple(text for each in targets for text in each.secrets())
