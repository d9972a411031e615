"""`orchbridge replay`: history once more, with the same ids, beside the live streams."""

from orchbridge.cli.replay.command import replay

__all__ = ["replay"]
