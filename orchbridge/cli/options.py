"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

CONFIG = click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file (TOML); config.example.toml shows every key.",
)
