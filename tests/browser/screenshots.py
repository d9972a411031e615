"""Pictures of the status page for docs/status.md, of a real bridge at work: python -m tests.browser.screenshots."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.browser.chromium import Chromium, Tab
from tests.browser.palette import reduced
from tests.browser.stage import World, bridged
from tests.debian import need
from tests.e2e.programs import get, wait_until

DOCS = Path(__file__).parent.parent.parent / "docs"
BYTES_MAX = 200_000
SCENES = (
    ("prod", "demo:nodes=400,shortest=3,longest=12", "now"),
    ("lab", "backlog:jobs=260,events=10", "earliest"),
)
# Name, width, how much of the height, dark: as much as fits into the bytes.
PICTURES = (("light", 1180, 3500, False), ("dark", 1180, 3500, True), ("narrow", 360, 4500, False))


def main() -> int:
    """Write the pictures; return 1 where one is too large."""
    need("chromium")
    with tempfile.TemporaryDirectory() as folder:
        with bridged(Path(folder), *SCENES, rates={"lab": 25}) as (address, worlds, _), Chromium() as browser:
            busy(worlds["prod"])
            wait_until("failures and a backfill", lambda: _eventful(address.rstrip("/")))
            again(worlds["prod"])
            time.sleep(4.0)  # so that the bars differ
            large = []
            for name, width, height, dark in PICTURES:
                tab = browser.tab(address, width=width, dark=dark, still=True)
                tab.wait_for("document.querySelectorAll('.bar').length > 4")
                path = DOCS / f"status-{name}.png"
                _unfold(tab)
                tab.picture(path, height_max=height)
                path.write_bytes(reduced(browser.tab(), path.read_bytes()))
                large += [path] if path.stat().st_size > BYTES_MAX else []
                print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size:,} bytes")
    return 1 if large else 0


def busy(world: World) -> None:
    """Let much happen: work in flight, nodes that leave, a task on nodes that are gone."""
    app = [f"app{number:02d}.example.com" for number in range(1, 101)]
    gone = [f"db{number:02d}.example.com" for number in range(1, 24)]
    world.connect(gone, connected=False)
    world.task([*app, "app101.example.com"], "restart the app tier after the change of certificates")
    world.task([*gone, *app[:9]], "take the databases out of maintenance")
    world.deploy(app[:60], "nightly")
    world.plan(app[:5])


def again(world: World) -> None:
    """Start some more, so that not everything is as far."""
    app = [f"app{number:02d}.example.com" for number in range(1, 101)]
    world.deploy(app[:70], "hotfix for the load balancers")
    world.task(app[20:80], "rotate the log files", task="package")


def _eventful(address: str) -> bool:
    told = get(address, "/status.json").json()
    streams = [stream for source in told["sources"] for stream in source["streams"]]
    done = [stream["view"]["progress"]["done"] for stream in streams if stream["view"]["progress"]]
    return max(done, default=0) > 80 and len(told["errors"]) > 1 and any(stream["left_s"] for stream in streams)


def _unfold(tab: Tab) -> None:
    tab.eval("document.querySelector('#failures details').open = true")


if __name__ == "__main__":
    sys.exit(main())
