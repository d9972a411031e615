"""`orchbridge pe`: an orchestrator by hand, for people and scripts."""

from orchbridge.cli.pe.group import pe

__all__ = ["pe"]
