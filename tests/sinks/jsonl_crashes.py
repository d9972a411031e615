"""Die at every single step of the JSONL sink's work on its directory, and look what the next start makes of it.

A program of its own: it forks once for every step, which a test runner with threads must not.
Prints how many steps there were to die at.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from tests.sinks.contract import NODES, cursors, head, opened, recalled, record, remember
from tests.sinks.jsonl_place import JsonlPlace

LAPS = 6
STEPS_MAX = 1_000
TOUCHING = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir"}


async def live(place: JsonlPlace) -> None:
    """Go on from what is remembered to the last lap; rotate and compact on the way."""
    async with opened(place.sink(), NODES) as sink, sink.claim(NODES) as lane:
        done = (await cursors(lane)).get("prod/inventory", {"high": 0})["high"]
        for lap in range(done + 1, LAPS + 1):
            events = [record(10 * lap + n, f"web{n}", "reachability") for n in range(3)]
            states = [record(10 * lap + n, f"web{n}", "node-state", data={"lap": lap}) for n in range(3)]
            once = record(lap, f"once{lap}", "node-state", data={"lap": lap})
            gone = record(lap, "old", "node-state", data=None)
            await lane.commit(remember({"prod/inventory": head("a", high=lap)}, *events, *states, once, gone))


async def verify(place: JsonlPlace) -> None:
    lines = place.lines("pe.prod.reachability")
    ids = Counter(msgspec.json.decode(line)["id"] for line in lines)
    wanted = {f"e1:job/web{n}/event/{10 * lap + n}" for lap in range(1, LAPS + 1) for n in range(3)}
    assert ids == Counter(wanted), (ids - Counter(wanted), Counter(wanted) - ids)
    async with opened(place.sink(), NODES) as sink, sink.claim(NODES) as lane:
        memory = await recalled(lane, "node-state")
    states = {key: value for (where, key), value in memory.items() if where == "node-state"}
    often = {f"web{n}": b'{"lap":%d}' % LAPS for n in range(3)}
    assert states == often | {f"once{lap}": b'{"lap":%d}' % lap for lap in range(1, LAPS + 1)}, states
    assert place.ledger()["files"]["pe.prod.reachability"]["part"] > 2, "never rotated"
    assert place.ledger()["files"]["pe.prod.node-state"]["part"] > 1, "never compacted"
    assert not list(place.directory.glob("*.0*.draft"))


def die_at(step: int, directory: Path) -> None:
    left = step

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in TOUCHING and str(args[0]).startswith(str(directory)):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(hook)


def run(place: JsonlPlace, step: int) -> bool:
    """Live in a child that dies before its `step`th touch of the directory; tell whether it got to the end."""
    child = os.fork()
    if child == 0:
        die_at(step, place.directory)
        asyncio.run(live(place))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9), status
    return status == 0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for step in range(1, STEPS_MAX):
            place = JsonlPlace(Path(folder) / f"step-{step}", rotate_bytes=1_700)
            ended = run(place, step)
            run(place, STEPS_MAX)
            child = os.fork()  # threads of a sink must not be there at the next fork
            if child == 0:
                asyncio.run(verify(place))
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0, f"died at step {step}"
            if ended:
                print(step)
                return


if __name__ == "__main__":
    main()
