"""Writes the dashboards: `python -m deploy.grafana.boards [--to FOLDER] [--bridge URL]`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from deploy.grafana.boards.catalogue import BOARDS
from deploy.grafana.boards.parts import BRIDGE
from deploy.grafana.boards.render import text

HERE = Path(__file__).parent.parent / "dashboards"


def main() -> None:
    """Write one file a dashboard, each named after its uid."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana.boards", description=__doc__)
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to (default: the committed one)")
    parser.add_argument("--bridge", default=BRIDGE.value, help="address of the bridge's status page, for links")
    asked = parser.parse_args()
    bridge = replace(BRIDGE, value=asked.bridge.rstrip("/"))
    asked.to.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (asked.to / f"{board.uid}.json").write_text(text(board, bridge), encoding="utf-8")


if __name__ == "__main__":
    main()
