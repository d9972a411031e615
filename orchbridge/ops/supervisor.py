"""Telling systemd how we are: ready, alive, what we do, ending. Without systemd nobody is told.

The protocol is a datagram with lines of `NAME=value` to the socket named by NOTIFY_SOCKET (sd_notify(3)).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from orchbridge.ops.status import STANDBY, Status

TRIED_S = 10.0  # a worker that stands by has nothing to claim, and is ready all the same
LOOK_S = 0.25  # until ready
LINE_S = 10.0  # between two looks at what we do


class Stopping(Protocol):
    """Says when we are asked to stop."""

    def telling(self, heard: Callable[[], None]) -> AbstractContextManager[None]: ...


class Supervisor:
    """systemd, as this process was told of it."""

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Supervisor | None:
        """Return whom to tell, None where there is nobody; a watchdog meant for another process is not ours."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        meant = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        usec = environ.get("WATCHDOG_USEC", "")
        return cls(address, int(usec) / 1e6 if meant and usec.isdecimal() and int(usec) > 0 else None)

    def tell(self, line: str) -> None:
        """Send, without waiting; what does not get through is said again or does not matter."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as place:
            place.setblocking(False)
            place.sendto(line.encode(), self._address)


@contextlib.asynccontextmanager
async def supervised(
    environ: Mapping[str, str], status: Callable[[], Status], alarms: Callable[[], tuple[str, ...]], stop: Stopping
) -> AsyncIterator[None]:
    """Tell the supervisor, if there is one, while the block runs."""
    supervisor = Supervisor.of(environ, os.getpid())
    if supervisor is None:
        yield
        return
    group = await asyncio.TaskGroup().__aenter__()
    works = [course(supervisor, status, alarms), alive(supervisor, alarms)]
    telling = [group.create_task(work, name="supervisor") for work in works]
    try:
        with stop.telling(lambda: supervisor.tell("STOPPING=1")):
            yield
    finally:
        # By hand, so that what the block raises stays what it is.
        for task in telling:
            task.cancel()
        await group.__aexit__(None, None, None)


async def course(supervisor: Supervisor, status: Callable[[], Status], alarms: Callable[[], tuple[str, ...]]) -> None:
    """Say that we are ready, and from then on what we do whenever that changes.

    Ready means: the endpoints answer, and claiming was tried. Orchestrators and brokers may be away at that
    moment: to wait for them would make systemd end us for their absence, when waiting for them is our work.
    What is wrong from the start, configuration or topics, has ended us before.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + TRIED_S
    while loop.time() < ends and not _tried(status()):  # noqa: ASYNC110 - whoever tries need not know of systemd
        await asyncio.sleep(LOOK_S)
    supervisor.tell("READY=1")
    said = ""
    while True:
        line = "; ".join(alarms()) or _line(status())
        if line != said:
            supervisor.tell(f"STATUS={line}")
            said = line
        await asyncio.sleep(LINE_S)


async def alive(supervisor: Supervisor, alarms: Callable[[], tuple[str, ...]]) -> None:
    """Say so twice as often as the watchdog wants to hear it, for as long as nothing of ours hangs.

    From the event loop itself: where that does not turn nothing is said, which is the point.
    """
    while supervisor.watchdog_s is not None:
        if not alarms():
            supervisor.tell("WATCHDOG=1")
        await asyncio.sleep(supervisor.watchdog_s / 2)


def _tried(status: Status) -> bool:
    return any(stream.state != STANDBY for source in status.sources for stream in source.streams)


def _line(status: Status) -> str:
    """Return how many streams do what: `prod: 3 live; lab: 1 parked, 2 live`."""
    told = []
    for source in status.sources:
        words = Counter(stream.state for stream in source.streams)
        told.append(f"{source.name}: {', '.join(f'{count} {word}' for word, count in sorted(words.items()))}")
    return "; ".join(told)
