"""One demo under way: a world on a port, the bridge that tails it, somebody who shows it, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live

from orchbridge.cli.demo import lines
from orchbridge.cli.demo.folder import SIMULATOR, SOURCE
from orchbridge.cli.demo.scene import Scene
from orchbridge.cli.demo.screen import draw
from orchbridge.cli.demo.tally import Listening, Tally
from orchbridge.cli.run import Running, bridge
from orchbridge.config import Settings
from orchbridge.runtime.stop import Stop
from orchbridge.sim.serve import served
from orchbridge.sim.tls import make_tls
from orchbridge.sim.truth import TruthLog
from orchbridge.sim.world import World

SETTLE_S = 10.0  # to certify what had ended when time was up; it takes a poll or two
LINE_EVERY_S, FRAME_EVERY_S = 2.0, 0.25


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How long (None is until stopped), where the files go, where the endpoints listen, which story is played."""

    seconds: float | None
    data: Path
    listen: str
    seed: int


class Play:
    """`ending` asks for the end; `due` are then the jobs (`job/12`) that have ended; `truth` is the truth log."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self.lively = console.is_terminal and not console.is_dumb_terminal
        self.ending = Stop()
        self.due: frozenset[str] | None = None
        self.truth = options.data / SIMULATOR / "truth.log"
        self._options, self._console = options, console
        self._world = World("demo", seed=options.seed, start=datetime.now(UTC))
        self._tally = Tally()
        self._stop = Stop()

    async def out(self) -> None:
        """Play until the end; then truth log and files are complete."""
        tls = make_tls(self._options.data / SIMULATOR / "tls")
        token = secrets.token_urlsafe()
        with TruthLog(self.truth) as truth:
            async with served(self._world, token=token, tls=tls, truth=truth) as url, asyncio.TaskGroup() as group:
                beside: list[asyncio.Task[None]] = []

                def started(running: Running) -> None:
                    scene = Scene(self._options.data, self._options.seconds, url, running, self._tally, self.ending)
                    beside.append(group.create_task(self._show(scene), name="show"))
                    beside.append(group.create_task(self._end(), name="end"))

                settings = _settings(self._options, url, tls.ca, token)
                await bridge(
                    settings,
                    self._stop,
                    started=started,
                    through=lambda watch: Listening(watch, self._tally, self._settled),
                )
                for task in beside:
                    task.cancel()

    async def _end(self) -> None:
        """Wait for the end, then for the certificates that are owed by then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.seconds):
                await self.ending.wait()
        ended = [number for number, job in self._world.jobs.items() if job.finished is not None]
        self._tally.expect(map(str, ended))
        self.due = frozenset(f"job/{number}" for number in ended)
        self.ending.ask()
        await self._stop.rest(SETTLE_S)
        self._stop.ask()

    def _settled(self) -> None:
        """Stop as soon as no job is half told."""
        if self.due is not None and not self._tally.owed:
            self._stop.ask()

    async def _show(self, scene: Scene) -> None:
        if not self.lively:
            for line in lines.opening(scene):
                self._console.print(line)
            while True:
                await asyncio.sleep(LINE_EVERY_S)
                self._console.print(lines.moment(scene))
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(draw(scene, self._console.height), refresh=True)
                await asyncio.sleep(FRAME_EVERY_S)


def _settings(options: DemoOptions, url: str, ca_file: Path, token: str) -> Settings:
    source = {
        "name": SOURCE,
        "url": url,
        "rbac_url": url,
        "ca_file": ca_file,
        "token": token,
        "start": "earliest",
        "poll_interval_s": 1.0,
        "inventory_interval_s": 3.0,
    }
    sink = {"type": "jsonl", "directory": options.data}
    raw = {"sources": [source], "sink": sink, "http": {"listen": options.listen}}
    return Settings.model_validate(raw, context={"folder": Path.cwd(), "files_exist": True})
