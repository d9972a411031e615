"""The simulator on a real port."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import SimulatorOptions, run_server, served
from orchbridge.sim.tls import make_tls
from orchbridge.sim.world import World


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return make_tls(tmp_path_factory.mktemp("tls"))


def client(address, tls=None, **more):
    verify = True if tls is None else ssl.create_default_context(cafile=str(tls.ca))
    return httpx.AsyncClient(base_url=f"{address}/orchestrator/v1", verify=verify, trust_env=False, **more)


async def test_tls_is_verified_with_the_ca_it_makes(tls):
    async with served(World("quiet"), token=None, tls=tls) as address, client(address, tls) as api:
        assert address.startswith("https://127.0.0.1:")
        assert (await api.get("/jobs")).status_code == 200


async def test_a_stranger_does_not_trust_it(tls):
    async with served(World("quiet"), token=None, tls=tls) as address, client(address) as api:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await api.get("/jobs")


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    ("fault", "what"), [("reset", "without sending a response"), ("truncated", "without sending complete message body")]
)
async def test_connections_are_cut(tls, secure, fault, what):
    files = tls if secure else None
    world = World("quiet", knobs=Knobs(faults=fault))
    async with served(world, token=None, tls=files) as address, client(address, files) as api:
        with pytest.raises(httpx.TransportError, match=what):
            await api.get("/jobs")


async def test_an_answer_is_lost_and_what_was_asked_is_done_all_the_same():
    world = World("empty", knobs=Knobs(faults="lost,on=command"))
    async with served(world, token=None) as address, client(address) as api:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.post("/command/deploy", json={"environment": "production", "userdata": {"nonce": "n1"}})
        (job,) = (await api.get("/jobs")).json()["items"]
        assert job["userdata"] == {"nonce": "n1"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_cut_hurts_only_its_own_connection(method):
    world = World("quiet", knobs=Knobs(faults="reset,on=inventory"))
    async with served(world, token=None) as address, client(address) as api:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
            await api.request(method, "/inventory", json={"nodes": ["a" * 200_000]})
        assert (await api.get("/jobs")).status_code == 200


async def test_world_time_is_real_time_here():
    world = World("empty")
    async with served(world, token=None) as address, client(address) as api:
        await api.post("/command/deploy", json={"environment": "production"})
        before = world.advance(0.0)
        assert 0.0 < before < 30.0
        async with asyncio.timeout(30):
            while (await api.get("/jobs/1")).json()["state"] == "new":
                pass
        assert world.advance(0.0) > before


async def test_a_port_that_is_taken_is_an_os_error():
    async with served(World("quiet"), token=None) as address:
        with pytest.raises(OSError, match="in use"):
            async with served(World("quiet"), token=None, port=int(address.rpartition(":")[2])):
                pytest.fail("two servers on one port")


async def test_run_server_reports_its_address_and_stops_when_asked(tmp_path):
    options = SimulatorOptions(
        port=0, token="secret-token", scenario="quiet", tls_dir=tmp_path / "tls", truth_path=tmp_path / "truth.jsonl"
    )
    assert "secret-token" not in repr(options)
    stop, addresses = asyncio.Event(), asyncio.Queue()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(run_server(options, stop, addresses.put_nowait))
        address = await addresses.get()
        async with client(address, make_tls(tmp_path / "tls")) as api:
            assert (await api.get("/jobs")).status_code == 401
            answer = await api.get("/jobs", headers={"X-Authentication": "secret-token"})
            assert answer.status_code == 200
            created = datetime.fromisoformat(answer.json()["items"][0]["created_timestamp"])
            assert timedelta() < datetime.now(UTC) - created < timedelta(hours=1)
        stop.set()
    assert (tmp_path / "truth.jsonl").read_text().count('"fact":"job"') == 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_the_truth_is_complete(tmp_path, number):
    path = tmp_path / "truth.jsonl"
    program = (
        "from orchbridge.sim.serve import SimulatorOptions, serve\n"
        f"serve(SimulatorOptions(port=0, scenario='demo', truth_path={str(path)!r}), lambda a: print(a, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        address = child.stdout.readline().strip()
        while '"fact":"job_event"' not in path.read_text():
            assert child.poll() is None
            time.sleep(0.02)
        jobs = httpx.get(f"{address}/orchestrator/v1/jobs?limit=500", trust_env=False).json()["items"]
        child.send_signal(number)
        assert child.wait(timeout=20) == 0
    facts = [json.loads(line) for line in path.read_text().splitlines()]
    assert {int(job["name"]) for job in jobs} <= {fact["id"] for fact in facts if fact["fact"] == "job"}


async def test_the_callers_own_errors_pass_through():
    with pytest.raises(KeyError):
        async with served(World("quiet"), token=None):
            raise KeyError


async def test_a_certificate_reads_but_makes_no_tokens(tls):
    world = World("quiet", knobs=Knobs(auth_modes="cert-accepted"))
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.load_cert_chain(tls.client_cert, tls.client_key)
    async with (
        served(world, token="secret-token", tls=tls) as address,
        httpx.AsyncClient(base_url=address, verify=context, trust_env=False) as api,
    ):
        for path in ("/orchestrator/v1/jobs", "/activity-api/v2/events"):
            assert (await api.get(path)).status_code == 200
        refused = await api.post("/rbac-api/v1/tokens", json={})
        assert (refused.status_code, refused.json()["kind"]) == (401, "puppetlabs.rbac/api-user-login")
        renewed = await api.post("/rbac-api/v1/tokens", json={}, headers={"X-Authentication": "secret-token"})
        assert renewed.status_code == 200
