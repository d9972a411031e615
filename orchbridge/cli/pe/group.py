"""`orchbridge pe` as click shows it."""

from __future__ import annotations

import click

from orchbridge.cli.pe import console, reading, starting, watching
from orchbridge.cli.pe.options import Options, place


@click.group(short_help="Work with an orchestrator by hand: look, start, follow, stop.")
@place
def pe(options: Options) -> None:
    """Work with an orchestrator by hand: look at its jobs, start tasks, plans and Puppet runs, follow and stop them.

    Which one, in this order: -c FILE (a configuration of orchbridge; --source NAME where it has several),
    --url with --token-file and --ca-file, or what PE's own command-line tools use:
    ~/.puppetlabs/client-tools/orchestrator.conf, /etc/puppetlabs/client-tools/orchestrator.conf and
    ~/.puppetlabs/token. One line on standard error says which one it is.

    Tables on a terminal, plain columns in a pipe, JSON with --json, one object a line. What looks like a
    secret is not shown. Commands that start or stop something ask first; --yes answers.

    Exit codes: 0 done, and what was followed succeeded; 2 wrong input or configuration; 3 what was followed
    failed or was stopped, or the server refuses; 69 not reached, and certainly nothing was started; 75 cut
    short, by Ctrl-C or a lost answer: what was started goes on, or may.
    """
    click.get_current_context().obj = options


for command in (*watching.COMMANDS, *starting.COMMANDS, *reading.COMMANDS, *console.COMMANDS):
    pe.add_command(command)
