"""`orchbridge replay` as click shows it; what it imports it imports when called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from orchbridge.cli.exits import code_of, run_to_end
from orchbridge.cli.options import CONFIG
from orchbridge.core.errors import ConfigError


@click.command(short_help="Deliver a part of history once more, beside the live streams.")
@CONFIG
@click.option("--source", metavar="NAME", help="Which source; may be left out where there is one.")
@click.option("--jobs", metavar="RANGE", multiple=True, help="Jobs: 412, 350..400 or 350..; repeat as needed.")
@click.option("--plan-jobs", "plans", metavar="RANGE", multiple=True, help="Plans, in the same way.")
@click.option("--since", metavar="TIME", help="Jobs and plans created since: 2h or 3d ago, or 2026-05-01T08:00:00Z.")
@click.option("--until", metavar="TIME", help="With --since: created no later than this.")
@click.option(
    "--to", metavar="PREFIX", required=True, help="Prefix of the topics or files to write; {source} may be in it."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="JSONL: write into this directory, while a bridge writes to the configured one.",
)
@click.option(
    "--share",
    metavar="FRACTION",
    type=float,
    default=0.25,
    show_default=True,
    help="How much of the source's concurrency and requests_per_s to use.",
)
@click.option(
    "--patience",
    metavar="TIME",
    default="2m",
    show_default=True,
    help="How long to wait for an orchestrator or sink that does not answer.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be read, and how long that would take.")
@click.option("--again", is_flag=True, help="Deliver everything anew, although it was done before.")
@click.option("--yes", is_flag=True, help="Do not ask before writing to the topics of the live streams.")
def replay(
    path: Path,
    source: str | None,
    jobs: tuple[str, ...],
    plans: tuple[str, ...],
    since: str | None,
    until: str | None,
    to: str,
    directory: Path | None,
    share: float,
    patience: str,
    *,
    dry_run: bool,
    again: bool,
    yes: bool,
) -> None:
    """Deliver a part of history once more: jobs by id, plans by id, or both by time.

    Everything that is over and that the orchestrator still shows is read again, into topics (or files)
    of another prefix, with the same ids as the live records, marked as replay. The live streams are
    not touched, and keep the request budget to themselves but for a share.

    \b
    Once more, for a consumer that lost them:
        orchbridge replay -c bridge.toml --jobs 350..400 --to replayed.{source}
    Look first:
        orchbridge replay -c bridge.toml --since 3d --to replayed.{source} --dry-run

    Ctrl-C ends it at a batch's end; the same command goes on from there. A relative time such as 3d
    means another one when it is given again, so the command to go on with is printed.

    Exit codes: 0 done, 2 wrong arguments or configuration, 3 refused, 69 not reached, 75 interrupted.
    """
    import logging

    from orchbridge.cli.replay.run import replay_history
    from orchbridge.cli.replay.task import Options
    from orchbridge.cli.replay.wanted import patience_of, share_of, wanted
    from orchbridge.config import load

    logging.disable(logging.CRITICAL)  # the libraries' own lines say less than ours
    try:
        options = Options(
            path, wanted(jobs, plans, since, until), to, source, directory, share_of(share), patience_of(patience),
            yes=yes, again=again, dry_run=dry_run,
        )  # fmt: skip
        settings = load(path, os.environ)
    except ConfigError as error:
        sys.exit(code_of(error))
    sys.exit(run_to_end(replay_history(options, settings)))
