"""Serving inside the process: a real socket, a busy port, a polite end."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

import httpx
import pytest
from starlette.types import ASGIApp

from orchbridge.core.errors import ConfigError
from orchbridge.ops.app import application
from orchbridge.ops.serve import serving
from tests.ops.stage import Stage


def app() -> ASGIApp:
    stage = Stage()
    return application(stage.watch.status, stage.metrics)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_answers_and_stops(host: str) -> None:
    async with serving(app(), host, 0) as port, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{host}:{port}/healthz")).text == "ok\n"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_it_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(app(), "127.0.0.1", 0):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_busy_port_is_told_with_what_to_do() -> None:
    async with serving(app(), "127.0.0.1", 0) as port:
        with pytest.raises(ConfigError) as refusal:
            async with serving(app(), "127.0.0.1", port):
                pass
    assert refusal.value.line() == (
        f"http.listen: cannot listen on 127.0.0.1:{port} (Address already in use)"
        " — another process has this port; stop it, or write another port"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.listen"):
        async with serving(app(), host, 0):
            pass


async def test_what_the_block_raises_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with serving(app(), "127.0.0.1", 0):
            raise ZeroDivisionError


async def test_an_open_connection_does_not_hold_up_the_end() -> None:
    async with serving(app(), "127.0.0.1", 0) as port:
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    idle.close()
    await idle.wait_closed()
