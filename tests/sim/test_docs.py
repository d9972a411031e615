"""docs/simulator.md tells of every lever, option and account."""

from pathlib import Path

import pytest

from orchbridge.cli.main import simulate
from orchbridge.sim.people import PASSWORD, staff
from orchbridge.sim.routes_people import KINDS
from orchbridge.sim.routes_people import ROUTES as PEOPLE
from orchbridge.sim.routes_sim import ROUTES as LEVERS
from tests.sim.playing import playing

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("route", [*LEVERS, *PEOPLE], ids=lambda route: f"{route.method}-{route.template}")
def test_every_lever(route):
    assert f"{'GET ' if route.method == 'GET' else '`'}/sim/{route.template}`" in TEXT


def test_every_option_and_key_of_an_account():
    options = {name for option in simulate.params for name in option.opts}
    assert [
        name for name in sorted(options - {"--host", "--port"}) if f"`{name}" not in TEXT and name not in TEXT
    ] == []
    assert [key for key in KINDS if f'"{key}"' not in TEXT] == []


async def test_everybody_who_is_told_of_can_log_in():
    told = [login for login in staff() if f"| `{login}` |" in TEXT]
    assert sorted(told) == sorted(login for login in staff() if login != "bridge")
    assert f"`{PASSWORD}`" in TEXT
    async with playing("quiet") as sim:
        for login in told:
            await sim.post("/rbac-api/v1/auth/token", {"login": login, "password": PASSWORD}, ok=200)
