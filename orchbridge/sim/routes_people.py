"""Our levers for accounts and environments, below /sim: what PE's console and code manager would do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchbridge.sim.answers import Answer, Ask, Route, invalid, reply, typed
from orchbridge.sim.people import User, made
from orchbridge.sim.rbac import MAXIMUM_LIFETIME_S, seconds_of

KINDS: dict[str, type] = {
    "login": str,
    "password": str,
    "permissions": list,
    "roles": list,
    "superuser": bool,
    "revoked": bool,
    "ambiguous": bool,
    "idle_minutes": int,
}


def _shape(user: User) -> dict[str, Any]:
    return {
        "login": user.login,
        "id": user.id,
        "permissions": sorted(user.permissions),
        "roles": user.about["role_ids"],
        "superuser": user.superuser,
        "revoked": user.revoked,
        "failures": user.failures,
    }


def users(ask: Ask) -> Answer:
    """GET /sim/users: everybody and what they may do; passwords are not told."""
    return reply({"users": [_shape(user) for user in ask.world.people.users.values()]})


def user(ask: Ask) -> Answer:
    """POST /sim/users {"login", "password", "permissions", "roles", "revoked", ...}: make or change one."""
    problem = typed(ask.body, KINDS)
    if problem is not None or not ask.body.get("login") or ask.body.keys() - KINDS.keys():
        return problem or invalid(f"The body must be {{{', '.join(KINDS)}}}; only login is required")
    body = {key: value for key, value in ask.body.items() if value is not None}
    if not _all(body.get("permissions", ()), str) or not _all(body.get("roles", ()), int):
        return invalid("The body must be {permissions: [<text>, ...], roles: [<number>, ...]}")
    people = ask.world.people
    new = body["login"] not in people.users
    found = people.users.setdefault(body["login"], made(body["login"]))
    if "permissions" in body or "roles" in body:
        found.allow(body.get("permissions", ()), body.get("roles", ()))
    people.changes += 1
    found.password = body.get("password", found.password)
    found.ambiguous = body.get("ambiguous", found.ambiguous)
    found.idle_minutes = body.get("idle_minutes", found.idle_minutes)
    found.about["is_superuser"] = body.get("superuser", found.superuser)
    if "revoked" in body:
        (people.revoke if body["revoked"] else people.reinstate)(found)
    ask.world.note_user(found, "create" if new else "edit", ask.now)
    return reply(_shape(found))


def _all(values: Iterable[Any], kind: type) -> bool:
    return all(isinstance(value, kind) for value in values)


def token(ask: Ask) -> Answer:
    """POST /sim/tokens {"login", "token"?, "lifetime"?}: one of your choosing, for ten years unless told otherwise."""
    problem = typed(ask.body, {"login": str, "token": str, "lifetime": str, "label": str})
    if problem is not None:
        return problem
    body = {key: value for key, value in ask.body.items() if value is not None}
    found = ask.world.people.users.get(body.get("login", ""))
    lifetime = seconds_of(body["lifetime"]) if "lifetime" in body else MAXIMUM_LIFETIME_S
    if found is None or lifetime is None:
        return invalid('The body must be {"login": <known login>, "token": <text>, "lifetime": "1h"}')
    made_ = ask.world.people.issue(found, lifetime, ask.now, text=body.get("token", ""), label=body.get("label"))
    return reply({"token": made_.text, "login": found.login})


def environments(ask: Ask) -> Answer:
    """POST /sim/environments {"name", "present"}: make or remove an environment; answers with those there are."""
    match ask.body:
        case {"name": str(name), "present": bool(present)}:
            ask.world.place(name, present, ask.now)
            return reply({"environments": ask.world.environments})
    return invalid('The body must be {"name": <environment>, "present": true or false}')


def activity(ask: Ask) -> Answer:
    """POST /sim/activity {"service", "subject", "type", "message", "object"?: {...}}: write a commit."""
    match ask.body:
        case {"service": str(service), "subject": str(login), "type": str(kind), "message": str(message)} as body:
            subject, found = ask.world.people.users.get(login), body.get("object") or {}
            if subject is not None and isinstance(found, dict):
                names = {"type": "node_groups", "id": "1", "name": "All Nodes"} | found
                thing = (str(names["type"]), str(names["id"]), str(names["name"]))
                ask.world.note(service, subject, thing, kind, message, ask.now)
                return reply({"written": ask.world.activity.written})
    return invalid('The body must be {"service", "subject": <known login>, "type", "message"}')


def purge(ask: Ask) -> Answer:
    """POST /sim/purge {"oldest": n}: the oldest commits are gone, the others move up; answers with how many went."""
    match ask.body:
        case {"oldest": int(oldest)} if oldest >= 0 and oldest is not True:
            return reply({"purged": ask.world.purge(oldest, ask.now)})
    return invalid('The body must be {"oldest": <whole number>}')


def rewind(ask: Ask) -> Answer:
    """POST /sim/rewind {"newest": n}: the log comes back from a backup without these; answers with how many went."""
    match ask.body:
        case {"newest": int(newest)} if newest >= 0 and newest is not True:
            return reply({"rewound": ask.world.rewind(newest, ask.now)})
    return invalid('The body must be {"newest": <whole number>}')


ROUTES = (
    Route("GET", "users", users),
    Route("POST", "users", user, lasting=True),
    Route("POST", "tokens", token, lasting=True),
    Route("POST", "environments", environments, lasting=True),
    Route("POST", "activity", activity, lasting=True),
    Route("POST", "purge", purge, lasting=True),
    Route("POST", "rewind", rewind, lasting=True),
)
