"""The commands; the only room that knows all others."""

from orchbridge.cli.main import main

__all__ = ["main"]
