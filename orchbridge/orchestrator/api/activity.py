"""The Activity service: what people did, oldest first (orchestrator API, section 15)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Value, read
from orchbridge.orchestrator.models import Commit

ROOT = "/activity-api"
PAGE = 1_000


class ActivityLog:
    """`client.activity`, at `rbac_url`, else port 4433 of the orchestrator's host.

    A commit has no id: its place, `offset` plus the number of those before it, is the only cursor,
    and holds as long as nothing is purged and the order is ascending. Servers before 2021.2 show
    the newest first whatever v2 is asked for.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def events(
        self,
        service_id: str | None = None,
        *,
        offset: int = 0,
        limit: int = PAGE,
        order: str = "asc",
        query: Sequence[Mapping[str, Any]] = (),
    ) -> AsyncIterator[Commit]:
        """Yield commits of one service, or of all, page by page of `limit` (v2).

        service_id  classifier, rbac, pe-console, code-manager, ...; orchestrator work is under pe-console
        query       terms of {subject_type, subject_id}, {object_type, object_id}, {ip_address}, {start, end};
                    all are alternatives but the time range

        Raises NotPermitted, TokenRefused.
        """
        asked = msgspec.json.encode(list(query)).decode() if query else None

        def page(at: int) -> Call:
            params: Mapping[str, Value] = {"service_id": service_id, "offset": at, "limit": limit, "order": order}
            return read("/v2/events", params={**params, "query": asked}, root=ROOT)

        async with aclosing(self._commits(page, offset)) as found:
            async for commit in found:
                yield commit

    async def events_v1(
        self,
        service_id: str,
        *,
        offset: int = 0,
        limit: int = PAGE,
        order: str = "asc",
        subject_type: str | None = None,
        subject_id: str | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        after_service_commit_time: datetime | None = None,
    ) -> AsyncIterator[Commit]:
        """Yield commits of one service, page by page of `limit` (v1). Ids are comma lists and go with their type.

        Raises NotPermitted, TokenRefused, Invalid.
        """
        filters: Mapping[str, Value] = {
            "subject_type": subject_type,
            "subject_id": subject_id,
            "object_type": object_type,
            "object_id": object_id,
            "after_service_commit_time": after_service_commit_time,
        }

        def page(at: int) -> Call:
            params: Mapping[str, Value] = {"service_id": service_id, "offset": at, "limit": limit, "order": order}
            return read("/v1/events", params={**params, **filters}, root=ROOT)

        async with aclosing(self._commits(page, offset)) as found:
            async for commit in found:
                yield commit

    async def _commits(self, page: Callable[[int], Call], offset: int) -> AsyncGenerator[Commit, None]:
        """Advance by what was received; a short page ends nothing before the total does."""
        while True:
            told = await self._caller.told(page(offset))
            commits = tuple(map(Commit.read, fields.listed(told.get("commits"))))
            total = fields.count(fields.mapping(told.get("pagination")).get("total", told.get("total-rows")))
            del told  # a traceback may show what is still in a frame
            for commit in commits:
                yield commit
            offset += len(commits)
            if not commits or (total is not None and offset >= total):
                return
