"""The commands of `orchbridge cursors`, as click shows them; what they import they import when called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchbridge.cli.exits import code_of, run_to_end
from orchbridge.cli.options import CONFIG
from orchbridge.core.errors import ConfigError

if TYPE_CHECKING:
    from orchbridge.config import Settings

FORCE = click.option("--force", is_flag=True, help="Do it although a worker carries the stream: it is fenced.")
YES = click.option("--yes", is_flag=True, help="Do not ask; required where there is no terminal to ask on.")


@click.group(short_help="See, save, restore and move the place of each stream.")
def cursors() -> None:
    """See, save, restore and move the place up to which each stream has been delivered.

    What is remembered lies in the sink: the cursor topic, or the cursor file of a JSONL directory.
    `show` and `export` only look. `set`, `reset` and `import` first say what they will repeat or
    skip, refuse while a worker carries the stream, and write through the same door as a worker does.

    Exit codes: 0 done, 2 wrong arguments or configuration, 3 refused, 69 not reached.
    """


@cursors.command(short_help="Show where each stream stands.")
@CONFIG
@click.argument("which", metavar="[SOURCE[/STREAM]]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a stream and line.")
def show(path: Path, which: str | None, *, as_json: bool) -> None:
    """Show where each stream stands: position, epoch, gaps, what is tracked, who carries it, how large it is."""
    from orchbridge.cli.cursors.show import show_places

    _run(path, lambda settings: show_places(settings, which, as_json=as_json))


@cursors.command(short_help="Save the memory of streams as one JSON document.")
@CONFIG
@click.argument("which", metavar="[SOURCE[/STREAM]]", required=False)
@click.option("-o", "--output", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
def export(path: Path, which: str | None, file: Path | None) -> None:
    """Save the memory of all streams, or of these, as one JSON document; nothing is changed or held up."""
    from orchbridge.cli.cursors.transfer import export_places

    _run(path, lambda settings: export_places(settings, which, file))


@cursors.command("import", short_help="Put back what export saved.")
@CONFIG
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@FORCE
@YES
def import_(path: Path, file: Path, *, force: bool, yes: bool) -> None:
    """Put back what `export` saved, in the place of what is remembered of these streams now.

    Everything is looked at first, so that either all of it can be used or nothing is written.
    """
    from orchbridge.cli.cursors.transfer import import_places

    _run(path, lambda settings: import_places(settings, file, force=force, yes=yes))


@cursors.command("set", short_help="Move a stream to another job or plan.")
@CONFIG
@click.argument("which", metavar="SOURCE/STREAM")
@click.option("--job", type=click.IntRange(min=0), help="The last job that counts as delivered.")
@click.option("--plan", type=click.IntRange(min=0), help="The last plan that counts as delivered.")
@FORCE
@YES
def set_(path: Path, which: str, job: int | None, plan: int | None, *, force: bool, yes: bool) -> None:
    """Move a stream's place: everything above job (or plan) N is read again, or read next.

    Back, what lies between is delivered a second time, with the same ids. Forward, it is skipped.
    """
    from orchbridge.cli.cursors.move import set_place

    _run(path, lambda settings: set_place(settings, which, job=job, plan=plan, force=force, yes=yes))


@cursors.command(short_help="Forget a stream's memory: it begins anew.")
@CONFIG
@click.argument("which", metavar="SOURCE/STREAM")
@FORCE
@YES
def reset(path: Path, which: str, *, force: bool, yes: bool) -> None:
    """Forget everything that is remembered of a stream: it begins anew as `start` in the configuration says."""
    from orchbridge.cli.cursors.move import reset_place

    _run(path, lambda settings: reset_place(settings, which, force=force, yes=yes))


def _run(path: Path, work: Callable[[Settings], Coroutine[Any, Any, int]]) -> None:
    import logging

    from orchbridge.config import load

    logging.disable(logging.CRITICAL)  # the libraries' own lines say less than ours
    try:
        settings = load(path, os.environ, files_exist=False)  # a token's file is not needed to look
    except ConfigError as error:
        sys.exit(code_of(error))
    sys.exit(run_to_end(work(settings)))
