"""Where what a command started can be seen again, should its answer be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from orchbridge.orchestrator import errors, fields
from orchbridge.orchestrator.api.drafts import Draft
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Reply, Value, read
from orchbridge.orchestrator.decoding import decoded
from orchbridge.orchestrator.excerpt import one_line
from orchbridge.orchestrator.models.common import Json

NONCE = "orchbridge-nonce"
PAGE = 100
PAGES_MAX = 10


@dataclass(frozen=True, slots=True)
class Shelf:
    """A list, newest first, that shows what was started.

    keeps_userdata  newer versions show there what userdata a command carried
    paged           it takes limit and offset
    by_id           its order is known to be that of the ids, so that what is older need not be read
    honest          an empty list means that there is nothing
    """

    template: str
    params: Mapping[str, Value]
    keeps_userdata: bool = True
    paged: bool = True
    by_id: bool = True
    honest: bool = True

    def calls(self, limit: int, offset: int) -> tuple[Call, ...]:
        """Return how one page is asked for, best first."""
        if not self.paged:
            return (read(self.template),)
        place: Mapping[str, Value] = {"limit": limit, "offset": offset}
        oldest = (read(self.template, params={"limit": limit}),) if offset == 0 else ()
        return read(self.template, params={**place, **self.params}), read(self.template, params=place), *oldest


JOBS = Shelf("/jobs", {"order": "desc", "order_by": "name"})
PLAN_JOBS = Shelf("/plan_jobs", {"order": "desc", "order_by": "name", "results": "exclude"})
SCHEDULES = Shelf("/scheduled_jobs/environment_jobs", {"order": "desc", "order_by": "name"}, by_id=False)
# Nobody says that what the older schedule commands are given as userdata shows up here.
SCHEDULES_OF_OLD = replace(SCHEDULES, keeps_userdata=False)
OLD_SCHEDULES = replace(SCHEDULES_OF_OLD, template="/scheduled_jobs", honest=False)  # may be empty whatever there is
TASK_TARGETS = Shelf("/scopes/task_targets", {}, keeps_userdata=False, paged=False, by_id=False)


@dataclass(frozen=True, slots=True)
class Footing:
    """What a shelf showed before the command was sent: its highest id, and whether its things carry userdata.

    `carries` None is that it is empty, so its things cannot be looked at.
    """

    highest: int
    carries: bool | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at the shelf found.

    own         what carries the nonce
    candidates  what was started since and may be it, newest first; `notes` tell each with its owner and time
    whole       it reaches back to the footing: what it does not show is not there now
    """

    own: int | None = None
    candidates: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    whole: bool = False


Seen: TypeAlias = tuple[list[Json], bool]


async def footing(caller: Caller, shelf: Shelf) -> Footing | None:
    """Return where the shelf stands; None where it cannot be seen, so that nothing can be found on it later."""
    if shelf.by_id:
        page = await _page(caller, shelf, 1, 0)
        seen: Seen | errors.ApiError = page if isinstance(page, errors.ApiError) else (_items(page), True)
    else:
        seen = await _down_to(caller, shelf, 0)
    if isinstance(seen, errors.ApiError):
        if isinstance(seen, errors.Unavailable | errors.TokenRefused | errors.Malformed):
            raise seen  # nothing was sent yet, and nothing should be
        return None  # this version has no such list, or this user may not read it
    items = seen[0]
    ids = [number for item in items if (number := fields.own_id(item)) is not None]
    carries = any("userdata" in item for item in items) if items else None
    return Footing(max(ids, default=0), carries if shelf.keeps_userdata else False)


async def look(caller: Caller, shelf: Shelf, since: Footing, draft: Draft, nonce: str) -> Sight:
    """Look through everything newer than the footing once."""
    seen = await _down_to(caller, shelf, since.highest)
    if isinstance(seen, errors.ApiError):
        return Sight()
    items, whole = seen
    candidates: dict[int, str] = {}
    for item in items:
        number = fields.own_id(item)
        if number is None or number <= since.highest:
            continue
        if nonce and fields.mapping(item.get("userdata")).get(NONCE) == nonce:
            return Sight(own=number)
        # What shows no userdata at all may be ours: the list was empty, so nobody knew whether it would.
        if (not nonce or "userdata" not in item) and draft.may_be(item):
            candidates[number] = _note(number, item)
    newest = sorted(candidates, reverse=True)
    notes = tuple(candidates[number] for number in newest)
    return Sight(candidates=tuple(newest), notes=notes, whole=whole and (shelf.honest or bool(items)))


def _note(number: int, item: Json) -> str:
    owner = fields.owner(item.get("owner")).login
    at = fields.created(item) or fields.text(item.get("timestamp"))
    told = [f"of {owner}"] * bool(owner) + [f"at {at}"] * bool(at)
    return one_line(" ".join([str(number), *told]), 100)


async def _down_to(caller: Caller, shelf: Shelf, highest: int) -> Seen | errors.ApiError:
    """Read the shelf from its newest thing down to this id, or to its end."""
    items: list[Json] = []
    for _ in range(PAGES_MAX):
        page = await _page(caller, shelf, PAGE, len(items))
        if isinstance(page, errors.ApiError):
            return page
        found = _items(page)
        items.extend(found)
        reached = shelf.by_id and any((fields.own_id(item) or 0) <= highest for item in found)
        total = fields.count(fields.mapping(page.get("pagination")).get("total"))
        if reached or not found or not shelf.paged or (total is not None and len(items) >= total):
            return items, True
        if "pagination" not in page:
            break  # an old server, which has one page
    return items, False


async def _page(caller: Caller, shelf: Shelf, limit: int, offset: int) -> Json | errors.ApiError:
    outcome: Reply | errors.ApiError | None = None
    for call in shelf.calls(limit, offset):
        outcome = await caller.outcome(call)
        if not isinstance(outcome, errors.Invalid):
            break
    assert outcome is not None
    if isinstance(outcome, errors.ApiError):
        return outcome
    told = decoded(outcome.body)
    return errors.Malformed("a list that cannot be read") if told is None else told


def _items(page: Json) -> list[Json]:
    return fields.listed(page.get("items"))
