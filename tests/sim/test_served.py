"""The simulator on a real port."""

import ssl

import httpx
import pytest

from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import served
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


async def test_the_callers_own_errors_pass_through():
    with pytest.raises(KeyError):
        async with served(World("quiet"), token=None):
            raise KeyError
