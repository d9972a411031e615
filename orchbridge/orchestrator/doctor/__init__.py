"""What `orchbridge check` says of a source. Not imported by a running bridge, which needs none of it."""

from orchbridge.orchestrator.doctor.reads import Reading
from orchbridge.orchestrator.doctor.source import probe

__all__ = ["Reading", "probe"]
