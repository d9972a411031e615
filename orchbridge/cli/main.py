"""`orchbridge` and its commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from orchbridge import __version__
from orchbridge.cli.cursors import cursors
from orchbridge.cli.exits import code_of, run_to_end
from orchbridge.cli.options import CONFIG
from orchbridge.cli.pe import pe
from orchbridge.cli.replay import replay
from orchbridge.core.errors import ConfigError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="orchbridge")
def main() -> None:
    """Carry every job, plan and node fact of Puppet Enterprise orchestrators into Kafka, exactly once.

    New here? `orchbridge demo` shows it at work and needs neither. Then write a configuration file
    (config.example.toml explains every key), `orchbridge check` it, and `orchbridge run` it.

    Exit codes: 0 done, 2 configuration, 3 a check failed, 69 unavailable, 70 bug, 75 cut short.
    """


@main.command(short_help="Tail the configured orchestrators into the sink.")
@CONFIG
def run(path: Path) -> None:
    """Tail the configured orchestrators into the sink until stopped.

    SIGTERM or Ctrl-C finishes the batch under way and ends with 0; a second one cuts (75). Either
    way nothing is lost or repeated: the next start resumes from the last commit.
    """
    from orchbridge.cli.run import run_bridge
    from orchbridge.config import load

    try:
        settings = load(path, os.environ)
    except ConfigError as error:
        sys.exit(code_of(error))
    sys.exit(run_to_end(run_bridge(settings)))


@main.command(short_help="Look at everything a run needs; print what to fix.")
@CONFIG
@click.option("--offline", is_flag=True, help="Look at the file alone; ask neither source nor sink.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, one object a line.")
def check(path: Path, *, offline: bool, as_json: bool) -> None:
    """Look at everything a run needs and print what to fix; change nothing.

    Ends with 0 when all is well, 2 for the configuration file, 3 when something else must be fixed.
    """
    from orchbridge.cli.check import check_all

    sys.exit(run_to_end(check_all(path, offline=offline, as_json=as_json)))


@main.command(short_help="See it work with nothing else installed.")
@click.option(
    "--for", "seconds", metavar="TIME", default=None, help="End by itself after so long: 20s, 5m; else Ctrl-C ends it."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-data"),
    show_default=True,
    help="Where the records go, as JSON lines: an absent or empty folder, or an earlier demo's, which is cleared.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:0",
    show_default=True,
    help="Where metrics and the status page are; port 0 takes a free one.",
)
@click.option("--seed", default=1, show_default=True, help="Another seed is another story.")
def demo(seconds: str | None, data: Path, listen: str, seed: int) -> None:
    """See it work with nothing else installed: simulator, bridge, JSONL sink and endpoints in one process.

    A live table on a terminal, plain lines elsewhere. At the end the files are read back and held
    against what the simulator knows to have happened: 0 when every fact of every finished job is
    there exactly once, 3 when not.
    """
    from orchbridge.cli.demo import DemoOptions, run_demo

    try:
        options = DemoOptions(duration_of(seconds), data, listen, seed)
    except ConfigError as error:
        sys.exit(code_of(error))
    sys.exit(run_to_end(run_demo(options)))


@main.command(short_help="Play an orchestrator on a port, to try things on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8143,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--tls",
    "tls",
    type=click.Path(path_type=Path, file_okay=False),
    help="Serve HTTPS; makes a CA and a certificate in this folder.",
)
@click.option("--token", help="Accept only this token; without it everybody is let in.")
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The same, from a file."
)
@click.option(
    "--scenario",
    default=None,
    metavar="NAME[:KEY=VALUE,...]",
    help="What happens, see --list; with parameters: backlog:jobs=1000,events=100.  [default: demo]",
)
@click.option("--version", "version", default=None, help="Behave as this release of PE, from 2016.2 on, see --list.")
@click.option("--seed", type=int, default=None, help="Another seed is another story.  [default: 1]")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the world in this file, and go on with it after a restart. Holds what was sent, secrets too.",
)
@click.option("--knob", "knobs", multiple=True, metavar="NAME=VALUE", help="Turn a knob; repeat as needed, see --list.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every fact here, before any fault is applied.",
)
@click.option("--list", "list_", is_flag=True, help="List scenarios and knobs.")
def simulate(**given: Any) -> None:
    """Play an orchestrator: the API of Puppet Enterprise on a port, with jobs, plans and nodes that live.

    Try your pipeline against it without a PE. Jobs can be started with POST /orchestrator/v1/command/...;
    faults are turned on while it runs with POST /sim/knobs {"NAME": "VALUE"}.

    RBAC and activity are on the same port. Log in as admin, ops, ada, deployer, viewer or nobody with the password
    "simulated"; POST /sim/users {"login": ..., "permissions": ["orchestrator:view:*"]} makes others.
    """
    from orchbridge.cli.simulate import run_simulator

    sys.exit(run_simulator(given))


main.add_command(cursors)
main.add_command(replay)
main.add_command(pe)


def duration_of(text: str | None) -> float | None:
    """Return seconds for `20s`, `5m`, `1h` or plain `20`; None for None."""
    if text is None:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--for {text!r} is no time", hint="write it as 20s, 5m or 1h")
    return seconds
