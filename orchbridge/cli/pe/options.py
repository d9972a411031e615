"""Options that the commands of `orchbridge pe` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from orchbridge.orchestrator import Client

F = TypeVar("F", bound=Callable[..., Any])

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
YES = click.option("--yes", is_flag=True, help="Do not ask; required where there is no terminal to ask on.")
ENVIRONMENT = click.option("--environment", metavar="NAME", default="production", show_default=True)
RBAC_URL = click.option(
    "--rbac-url", metavar="URL", help="Where RBAC and Activity are; port 4433 of the same host otherwise."
)  # goes above @place
FOLLOW = click.option("--follow", is_flag=True, help="Stay until it ends, and end with its outcome: 0, or 3.")
_FILE = click.Path(path_type=Path, dir_okay=False)
_PLACE = (
    click.option("-c", "--config", type=_FILE, help="The PE of this configuration of orchbridge."),
    click.option("--source", metavar="NAME", help="With -c: which source; may be left out where there is one."),
    click.option("--url", metavar="URL", help="The PE at this address: https://pe.example.com:8143."),
    click.option("--token-file", type=_FILE, help="Its token; ~/.puppetlabs/token otherwise."),
    click.option("--ca-file", type=_FILE, help="The CA it is verified with; the system's otherwise."),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was said about the place on the command line; None is nothing.

    token_there  a token must be there already; not so where one is to be got
    """

    config: Path | None = None
    source: str | None = None
    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    rbac_url: str | None = None
    token_there: bool = True


def carried_out(
    options: Options, work: Callable[[Client], Coroutine[Any, Any, int]], *, starts: bool = False, yes: bool = False
) -> None:
    """Find the PE, do the work with a client of it, and end the process with its exit code.

    `starts` is that the work changes something, so that somebody must be there to be asked.
    """
    from orchbridge.cli.pe.session import code_of_work

    sys.exit(code_of_work(options, work, must_ask=starts and not yes))


def place(command: F) -> F:
    """Add the options that say which PE is meant; the command gets them as `options`.

    They may stand before the command too, as in `pe --url URL jobs`; what is said behind it goes over that.
    """

    @wraps(command)
    def taking(
        *arguments: Any,
        config: Path | None,
        source: str | None,
        url: str | None,
        token_file: Path | None,
        ca_file: Path | None,
        rbac_url: str | None = None,
        **more: Any,
    ) -> Any:
        said = Options(config, source, url, token_file, ca_file, rbac_url)
        before = click.get_current_context().find_object(Options)
        return command(*arguments, options=said if before is None else _over(before, said), **more)

    made: Any = taking
    for option in reversed(_PLACE):
        made = option(made)
    found: F = made
    return found


def _over(before: Options, said: Options) -> Options:
    named = {each.name: getattr(said, each.name) for each in fields(said)}
    return replace(before, **{name: value for name, value in named.items() if value is not None})


def scope(command: F) -> F:
    """Add the three ways to name nodes."""
    made: Any = command
    for option in reversed(
        (
            click.option(
                "--nodes", metavar="NAME,NAME", multiple=True, help="These nodes; @FILE reads them from a file."
            ),
            click.option("--query", metavar="PQL", help="Nodes by query: 'inventory[certname] { ... }'."),
            click.option("--node-group", metavar="UUID", help="The nodes of a node group."),
        )
    ):
        made = option(made)
    found: F = made
    return found


def manners(command: F) -> F:
    """Add how a command is given and what comes after it: description, timeout, at, every, follow, yes, as_json."""
    made: Any = command
    timeout = click.option(
        "--timeout", metavar="SECONDS", type=click.IntRange(min=1), help="Give a node so long (PE 2023 and later)."
    )
    description = click.option("--description", metavar="TEXT", default="", help="What the job is to say of itself.")
    at = click.option("--at", metavar="TIME", help="Start it then: 2026-05-01T08:00:00Z, or +2h from now.")
    every = click.option("--every", metavar="TIME", help="With --at: and again every 30m, 12h, 7d.")
    for option in (AS_JSON, YES, FOLLOW, every, at, timeout, description):
        made = option(made)
    found: F = made
    return found
