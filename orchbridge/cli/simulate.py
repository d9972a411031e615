"""`orchbridge simulate`: the simulator alone, on a port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchbridge.cli.exits import DONE, UNAVAILABLE, code_of, say
from orchbridge.core.errors import ConfigError
from orchbridge.sim import releases
from orchbridge.sim.knobs import RULES, Knobs
from orchbridge.sim.scenarios import SCENARIOS
from orchbridge.sim.serve import SimulatorOptions, serve


def run_simulator(given: dict[str, Any]) -> int:
    """Serve until a signal asks to stop; return the exit code."""
    if given["list_"]:
        _list()
        return DONE
    try:
        options = _options(given)
        what = options.scenario or ("demo" if options.state_path is None else f"the world of {options.state_path}")
        serve(options, lambda address: say(f"orchbridge simulate: {what} on {address}"))
    except ConfigError as error:
        return code_of(error)
    except OSError as error:
        reason = error.strerror or str(error)
        say(f"orchbridge: cannot listen on {given['host']}:{given['port']}: {reason} — choose another --host or --port")
        return UNAVAILABLE
    return DONE


def _options(given: dict[str, Any]) -> SimulatorOptions:
    knobs, version = list(given["knobs"]), given["version"]
    if version is not None:
        if any(knob.startswith("shape_version=") for knob in knobs):
            raise ConfigError("--version and --knob shape_version are both given", hint="give one of them")
        releases.number_of(version)
        knobs.append(f"shape_version={version}")
    token: str | None = given["token"]
    file: Path | None = given["token_file"]
    if file is not None:
        if token is not None:
            raise ConfigError("--token and --token-file are both given", hint="give one of them")
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--token-file {file}: it cannot be read as text", hint="write the token into it"
            ) from error
    if token == "":
        raise ConfigError("the token is empty", hint="give one, or leave it away to let everybody in")
    return SimulatorOptions(
        host=given["host"],
        port=given["port"],
        token=token,
        scenario=given["scenario"],
        seed=given["seed"],
        knobs=Knobs.parse(knobs),
        tls_dir=given["tls"],
        truth_path=given["truth"],
        state_path=given["state"],
    )


def _list() -> None:
    """Print what can be played and turned."""
    console = Console()
    scenarios = Table("scenario", "what happens", box=None, pad_edge=False)
    for name, scenario in SCENARIOS.items():
        scenarios.add_row(name, scenario.description)
    console.print(scenarios)
    rows = Table("release", "has, beside what the ones before it have", box=None, pad_edge=False)
    for row in releases.ROWS:
        rows.add_row(row, "; ".join(releases.news_of(row)))
    console.print()
    console.print(rows)
    knobs = Table("knob", "as it stands", "forms", box=None, pad_edge=False)
    for name, rule in RULES.items():
        knobs.add_row(name, str(getattr(Knobs(), name)), " | ".join(rule.forms))
    console.print()
    console.print(knobs)
