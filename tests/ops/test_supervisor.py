"""What systemd is told, over real datagrams: when we are ready, that we live, and never that we do where we hang."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchbridge.ops.supervisor import TRIED_S, Supervisor, supervised
from orchbridge.runtime.stop import Stop
from tests.ops.stage import JOBS_STREAM, Stage
from tests.runtime.virtual import clock, live


class Systemd:
    """A manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.place.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.place.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.place.recv(4096).decode())
            except BlockingIOError:
                return found

    def environ(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, **more}


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = f"@orchbridge-test-{uuid.uuid4().hex}" if request.param == "abstract" else str(tmp_path / "notify")
    manager = Systemd(address)
    yield manager
    manager.place.close()


def test_ready_once_claiming_was_tried_and_stopping_once_asked(systemd: Systemd) -> None:
    async def main() -> None:
        stage, stop = Stage(), Stop()
        async with supervised(systemd.environ(), stage.watch.status, tuple, stop):
            await asyncio.sleep(2.0)
            assert systemd.heard() == []
            stage.carry(JOBS_STREAM)
            await asyncio.sleep(1.0)
            assert systemd.heard() == ["READY=1", "STATUS=prod: 1 live, 2 standby; lab: 1 standby"]
            await asyncio.sleep(100.0)
            assert systemd.heard() == [], "nothing has changed, and nobody asked for a watchdog"
            stop.ask()
            assert systemd.heard() == ["STOPPING=1"]

    live(main())


def test_a_worker_that_stands_by_is_ready_too(systemd: Systemd) -> None:
    async def main() -> None:
        async with supervised(systemd.environ(), Stage().watch.status, tuple, Stop()):
            await asyncio.sleep(TRIED_S + 1.0)
            assert systemd.heard()[0] == "READY=1"

    live(main())


def test_the_watchdog_hears_nothing_while_something_hangs(systemd: Systemd) -> None:
    async def main() -> None:
        alarms: list[str] = []
        stage, environ = Stage(), systemd.environ(WATCHDOG_USEC="20000000", WATCHDOG_PID=str(os.getpid()))
        stage.carry(JOBS_STREAM)
        async with supervised(environ, stage.watch.status, lambda: tuple(alarms), Stop()):
            await asyncio.sleep(75.0)  # a socket holds ten datagrams
            assert systemd.heard().count("WATCHDOG=1") == 8
            alarms.append("prod/jobs: its commit does not return")
            await asyncio.sleep(100.0)
            assert systemd.heard() == [f"STATUS={alarms[0]}"]
            alarms.clear()
            await asyncio.sleep(20.0)
            assert systemd.heard().count("WATCHDOG=1") == 2
        assert clock() == 195.0

    live(main())


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"NOTIFY_SOCKET": "/x"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_what_the_environment_says(environ: dict[str, str], watchdog_s: float | None) -> None:
    found = Supervisor.of(environ, 7)
    assert found is not None
    assert found.watchdog_s == watchdog_s


@pytest.mark.parametrize("address", ["", "vsock:2:3", "relative"])
def test_nobody_to_tell(address: str) -> None:
    assert Supervisor.of({"NOTIFY_SOCKET": address}, 7) is None
    assert Supervisor.of({}, 7) is None


def test_a_manager_that_went_away_or_does_not_read_disturbs_nothing(tmp_path: Path) -> None:
    Supervisor(str(tmp_path / "nobody")).tell("READY=1")
    manager = Systemd(str(tmp_path / "notify"))
    begun = time.monotonic()
    for _ in range(5_000):
        Supervisor(manager.address).tell("WATCHDOG=1")
    assert time.monotonic() - begun < 5.0
    manager.place.close()
