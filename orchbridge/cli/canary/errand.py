"""What a canary is sent for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchbridge.core.ports import StreamId


@dataclass(frozen=True, slots=True)
class Errand:
    """One source's canary: the task, where it runs, how often, how long it may take until it is in the sink."""

    source: str
    task: str
    nodes: tuple[str, ...]
    environment: str = "production"
    interval_s: float = 900.0
    timeout_s: float = 300.0
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def stream(self) -> StreamId:
        """The stream whose owner sends it, and sees it arrive."""
        return StreamId(self.source, "jobs")
