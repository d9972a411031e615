"""How a command is given, and what is said of it once it was sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from orchbridge.cli.exits import say
from orchbridge.cli.pe.session import telling_if_cut
from orchbridge.cli.pe.telling import json_line
from orchbridge.cli.pe.timing import Timing, timing_of
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.models import Ref

NOTHING = "nothing was started"


@dataclass(frozen=True, slots=True)
class Manners:
    """How a command is given: where, as what, and what comes after it."""

    environment: str
    description: str
    timeout: int | None
    follow: bool
    yes: bool
    as_json: bool
    timing: Timing | None = None

    @classmethod
    def of(cls, at: str | None, every: str | None, **how: Any) -> Manners:
        """Take what the options say; raise ConfigError where it contradicts itself."""
        timing = timing_of(at, every)
        if timing is not None and (how["follow"] or how["timeout"]):
            other = "--follow" if how["follow"] else "--timeout"
            raise ConfigError(f"--at and {other} exclude each other; {NOTHING}", hint=f"leave {other} out")
        return cls(**how, timing=timing)


def later(manners: Manners) -> str:
    """Return when it is to be, "" for now."""
    return f", {manners.timing.words()}" if manners.timing is not None else ""


async def sent(command: Callable[[], Awaitable[Ref]], look: str = "jobs") -> Ref:
    """Send a command; where that is cut short, say where to look, `pe jobs` or another list."""
    told = (
        f"cut short while the command was on its way, so it may have been carried out: look at `orchbridge pe {look}`"
    )
    with telling_if_cut(told):
        return await command()


def begun(made: Ref, kind: str, what: str, manners: Manners) -> None:
    """Say what was started, and that it had to be looked for where its answer was lost."""
    noun = kind.replace("_", " ")
    line = f"{noun} {made.id} {'made' if kind == 'schedule' else 'started'}: {what}"
    with telling_if_cut(line):
        if manners.as_json:
            told: dict[str, Any] = {"kind": "started", kind: made.id, "recovered": made.recovered}
            json_line(told)
        else:
            print(line, flush=True)
    if made.recovered:
        say(f"orchbridge: the server's answer was lost; {noun} {made.id} was found by the mark it carries")
    if kind != "schedule" and not manners.follow and not manners.as_json:
        say(f"follow it with `orchbridge pe {kind.replace('_', '-')} {made.id} --follow`")
