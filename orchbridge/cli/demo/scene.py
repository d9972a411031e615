"""What there is to show of a running demo, the same for the live table and for plain lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchbridge.cli.demo.folder import LOG
from orchbridge.cli.demo.tally import Tally
from orchbridge.cli.run import Running
from orchbridge.core.view import StreamView
from orchbridge.ops.status import Status
from orchbridge.runtime.stop import Stop


@dataclass(frozen=True, slots=True)
class Scene:
    """The fixed facts of a demo, and where the moving ones are told. `seconds` None is until stopped."""

    data: Path
    seconds: float | None
    simulator: str
    running: Running
    tally: Tally
    ending: Stop

    def elapsed(self) -> str:
        """Return how long it runs, and of how long, as text."""
        now = _clock(self.tally.elapsed_s)
        return now if self.seconds is None else f"{now} of {_clock(self.seconds)}"

    def log(self) -> Path | None:
        """Return the file of warnings, None while there are none."""
        path = self.data / LOG
        return path if path.exists() and path.stat().st_size else None


def views(status: Status) -> dict[str, StreamView]:
    """Return the view of each of the demo's streams by kind."""
    return {stream.kind: stream.view for source in status.sources for stream in source.streams}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
