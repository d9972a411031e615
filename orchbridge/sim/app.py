"""The simulator as a Starlette application."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.applications import Starlette
from starlette.routing import Route as Path

from orchbridge.sim import (
    routes_activity,
    routes_bolt,
    routes_commands,
    routes_inventory,
    routes_jobs,
    routes_people,
    routes_plans,
    routes_rbac,
    routes_schedules,
    routes_schedules_old,
    routes_scopes,
    routes_sim,
    routes_status,
    routes_tasks,
    routes_usage,
)
from orchbridge.sim.answers import Ask, Reply, Route, not_found
from orchbridge.sim.door import Door, House
from orchbridge.sim.truth import TruthLog
from orchbridge.sim.world import World

API = "/orchestrator/v1"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
API_ROUTES = (
    *routes_jobs.ROUTES,
    *routes_inventory.ROUTES,
    *routes_plans.ROUTES,
    *routes_tasks.ROUTES,
    *routes_schedules.ROUTES,
    *routes_schedules_old.ROUTES,
    *routes_scopes.ROUTES,
    *routes_usage.ROUTES,
    *routes_commands.ROUTES,
    *routes_bolt.ROUTES,
    *routes_status.ROUTES,
)


def create_app(
    world: World, *, token: str | None, clock: Callable[[], float], truth: TruthLog | None = None
) -> Starlette:
    """Return the orchestrator's API for this world, with our own levers below /sim.

    `clock` tells world seconds. `token` None lets everybody in. `truth` gets every fact; then
    world time must not have moved yet (ValueError).
    """
    if truth is not None:
        world.listen(truth.write)
    house = House(world, token, clock)
    paths = [
        *_paths(house, "/orchestrator", routes_status.ROUTES, guarded=True),
        *_paths(house, API, API_ROUTES, guarded=True),
        *_paths(house, "/status/v1", routes_status.STATUS_ROUTES, guarded=False),
        *_paths(house, "/rbac-api/v1", routes_rbac.LOGIN, guarded=False),
        *_paths(house, "/rbac-api/v1", routes_rbac.RENEWAL, guarded=True),
        *_paths(house, "/rbac-api/v2", routes_rbac.routes(house.bearer), guarded=False),
        *_paths(house, "/rbac-api/v2", routes_rbac.REVOCATION, guarded=True),
        *_paths(house, "/activity-api", routes_activity.ROUTES, guarded=True),
        *_paths(house, "/sim", (*routes_sim.ROUTES, *routes_people.ROUTES), guarded=False),
        *_paths(house, "", tuple(map(_anything, METHODS)), guarded=False),
    ]
    app = Starlette(routes=paths)
    app.state.house = house
    return app


def _paths(house: House, prefix: str, routes: Iterable[Route], *, guarded: bool) -> Iterable[Path]:
    by_template: dict[str, dict[str, Route]] = {}
    for route in routes:
        house.routes[route.method, prefix, route.template] = route
        by_template.setdefault(route.template, {})[route.method] = route
    for template, methods in by_template.items():
        door = Door(house, methods, prefix=prefix, guarded=guarded)
        path = f"{prefix}/{template}".rstrip("/")
        yield Path(path, door)
        if not template:
            yield Path(f"{path}/", door)


def _anything(method: str) -> Route:
    def handler(_: Ask) -> Reply:
        return not_found()

    return Route(method, "{anything:path}", handler)
