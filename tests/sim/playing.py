"""A world with its API in hand: time is moved by the test."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from orchbridge.sim.app import create_app
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.world import World

TOKEN = "a-token"


@dataclass
class Sim:
    """The API of one world at time `now`; `facts` is the truth so far."""

    world: World
    http: httpx.AsyncClient
    now: float = 0.0
    facts: list = field(default_factory=list)

    async def get(self, path, *, at=None, ok=200):
        """Return the JSON of a GET, asserting its status."""
        answer = await self.raw("GET", path, at=at)
        assert answer.status_code == ok, answer.text
        return answer.json()

    async def post(self, path, body, *, at=None, ok=202):
        """Return the JSON of a POST, asserting its status."""
        answer = await self.raw("POST", path, at=at, json=body)
        assert answer.status_code == ok, answer.text
        return answer.json()

    async def put(self, path, body, *, at=None, ok=200):
        """Return the JSON of a PUT, asserting its status."""
        answer = await self.raw("PUT", path, at=at, json=body)
        assert answer.status_code == ok, answer.text
        return answer.json()

    async def enter(self, login, permissions=(), **more):
        """Make an account with these permissions and be it from now on."""
        await self.post("/sim/users", {"login": login, "permissions": list(permissions), **more}, ok=200)
        await self.become(login)

    async def become(self, login):
        """Be somebody from now on, with a token that does not end."""
        token = (await self.post("/sim/tokens", {"login": login}, ok=200))["token"]
        self.http.headers["X-Authentication"] = token

    async def raw(self, method, path, *, at=None, **more):
        """Return the whole answer. Paths without a leading slash are below /orchestrator/v1."""
        self.now = self.now if at is None else at
        url = path if path.startswith("/") else f"/orchestrator/v1/{path}"
        return await self.http.request(method, url, **more)

    async def turn(self, **knobs):
        """Set knobs as a test or a demo would, over HTTP."""
        answer = await self.raw("POST", "/sim/knobs", json=knobs)
        assert answer.status_code == 200, answer.text

    async def ids(self, path, *, at=None):
        """Return the ids, or names, of a list as numbers."""
        items = (await self.get(path, at=at))["items"]
        return [int(item["id"] if item["id"].isdigit() else item["name"]) for item in items]


@asynccontextmanager
async def playing(scenario, *, at=0.0, token=None, seed=1, sent=TOKEN, **knobs):
    """Yield the API of a scenario, in process."""
    world = World(scenario, seed=seed, knobs=Knobs(**knobs))
    sim = Sim(world, None, at)
    world.listen(sim.facts.extend)
    app = create_app(world, token=token, clock=lambda: sim.now)
    headers = {"X-Authentication": sent} if sent else {}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://pe.test:8143", headers=headers) as sim.http:
        yield sim
