"""`orchbridge check`: everything a run needs, looked at once, with what to fix; nothing is changed."""

from orchbridge.cli.check.command import check_all

__all__ = ["check_all"]
