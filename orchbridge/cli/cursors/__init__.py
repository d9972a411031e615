"""`orchbridge cursors`: where each stream stands, and the means to save, restore and move that place."""

from orchbridge.cli.cursors.commands import cursors

__all__ = ["cursors"]
