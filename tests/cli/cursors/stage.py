"""A sink with a memory, its configuration, and the commands run against it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from orchbridge.cli import wiring
from orchbridge.cli.main import main
from orchbridge.config import load
from orchbridge.core import head as heads
from orchbridge.core import memos
from orchbridge.core.batch import Batch
from orchbridge.core.head import Anchor, Head
from orchbridge.core.idset import IdSet
from orchbridge.core.jobs.memo import Memo as JobMemo
from orchbridge.core.plans.track import Memo as PlanMemo
from orchbridge.core.ports import Sink, StreamId
from orchbridge.core.records import Record

URL = "http://127.0.0.1:9"  # where nobody answers

CONFIG = """
[[sources]]
name = "prod"
url = "{url}"
token_file = "{folder}/token"
streams = ["jobs", "plans", "inventory"]
{more}

[sink]
{sink}
"""

JOBS, PLANS, NODES = (StreamId("prod", kind) for kind in ("jobs", "plans", "inventory"))


@dataclass
class Stage:
    """`sink` is the sink table of the configuration, `folder` where that lies."""

    folder: Path
    sink: str

    @property
    def path(self) -> Path:
        return self.folder / "config.toml"

    def configure(self, url: str = URL, more: str = "") -> None:
        (self.folder / "token").write_text("s3cret-token\n")
        (self.folder / "token").chmod(0o600)
        self.path.write_text(CONFIG.format(url=url, folder=self.folder, sink=self.sink, more=more))

    def run(self, *arguments: str) -> Result:
        """Run `orchbridge cursors COMMAND -c FILE ...` without a terminal."""
        command, *rest = arguments
        try:
            return CliRunner().invoke(main, ["cursors", command, "-c", str(self.path), *rest])
        finally:
            logging.disable(logging.NOTSET)

    def make_sink(self) -> Sink:
        return wiring.sink_of(load(self.path, {}, files_exist=False).sink)

    def write(self, id_: StreamId, documents: Mapping[str, bytes | None], *records: Record) -> None:
        """Commit as a worker does."""

        async def work() -> None:
            sink = self.make_sink()
            try:
                await sink.open([id_])
                async with sink.claim(id_) as lane:
                    await lane.commit(Batch(records, documents, None))
            finally:
                await sink.close()

        asyncio.run(work())

    def documents(self) -> dict[str, bytes]:
        """Return what the sink keeps, byte for byte."""

        async def work() -> dict[str, bytes]:
            sink = self.make_sink()
            try:
                return {one.key: one.value for one in await sink.kept()}
            finally:
                await sink.close()

        return asyncio.run(work())

    def head(self, name: str) -> dict[str, object]:
        found: dict[str, object] = msgspec.json.decode(self.documents()[name])
        return found

    def furnish(self) -> None:
        """Write memories of three streams: jobs to 412 with two gaps, plans to 31, an inventory."""
        anchors = tuple(Anchor(id_, "2026-01-02T03:04:05Z", "u1") for id_ in range(412, 380, -1))
        jobs = {
            "prod/jobs": heads.encode(
                Head(url=URL, owner="w1", high=412, gaps=(355, 401), anchors=anchors),
            ),
            "prod/jobs/349": job(certified=9.0, counted=3, events=(7, 8, 9)),
            "prod/jobs/400": job(certified=9.0, counted=2, events=(7, 8, 9)),
            "prod/jobs/410": job(events=(100, 101)),
        }
        self.write(JOBS, jobs)
        plan = memos.encode(PlanMemo(1, IdSet.of((1, 2)), closed_at=5.0))
        self.write(PLANS, {"prod/plans": heads.encode(Head(url=URL, owner="w1", high=31)), "prod/plans/31": plan})
        self.write(NODES, {"prod/inventory": heads.encode(Head(url=URL, owner="w1", seeded=True))})


def job(*, events: tuple[int, ...], certified: float = 0.0, counted: int = 0) -> bytes:
    return memos.encode(JobMemo(1, IdSet.of(events), certified=certified, counted=counted))
