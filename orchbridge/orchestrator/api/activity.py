"""The Activity service: what people did, oldest first (orchestrator API, section 15)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.api.paging import told_plainly
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import Call, Value, encoded, read
from orchbridge.orchestrator.models import Commit

ROOT = "/activity-api"
PAGE = 1_000


class ActivityLog:
    """`client.activity`, at `rbac_url`, else port 4433 of the orchestrator's host.

    A commit has no id: its place, `offset` plus the number of those before it, is the only cursor,
    and holds as long as nothing is purged and the order is ascending. Servers before 2021.2 show
    the newest first whatever v2 is asked for. In descending order what comes between two pages moves
    the rest down, which is yielded once all the same, as long as less than a page came.
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
    ) -> AsyncGenerator[Commit, None]:
        """Yield commits of one service, or of all, page by page of `limit` (v2).

        service_id  classifier, rbac, pe-console, code-manager, ...; orchestrator work is under pe-console
        query       terms of {subject_type, subject_id}, {object_type, object_id}, {ip_address}, {start, end};
                    all are alternatives but the time range

        Raises NotPermitted, TokenRefused, Invalid; Unsupported where the server has v1 only.
        """
        asked = msgspec.json.encode(list(query)).decode() if query else None

        def page(at: int) -> tuple[Call, ...]:
            params: Mapping[str, Value] = {"service_id": service_id, "offset": at, "limit": limit, "query": asked}
            best = read("/v2/events", params={**params, "order": order}, root=ROOT)
            return best, read("/v2/events", params=params, root=ROOT)

        async with aclosing(self._commits(page, offset, order)) as found:
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
    ) -> AsyncGenerator[Commit, None]:
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

        def page(at: int) -> tuple[Call, ...]:
            params: Mapping[str, Value] = {"service_id": service_id, "offset": at, "limit": limit, "order": order}
            return (read("/v1/events", params={**params, **filters}, root=ROOT),)

        async with aclosing(self._commits(page, offset, order)) as found:
            async for commit in found:
                yield commit

    async def _commits(
        self, page: Callable[[int], Sequence[Call]], offset: int, order: str
    ) -> AsyncGenerator[Commit, None]:
        """Advance by what was received; a short page ends nothing before the total does.

        By as much as the total grows a descending list moves down: so many of a page may have been on the one before.
        """
        level, known = 0, None
        before: Counter[bytes] = Counter()
        while True:
            level, told = await told_plainly(self._caller, page(offset), level)
            commits = tuple(map(Commit.read, fields.listed(told.get("commits"))))
            total = fields.count(fields.mapping(told.get("pagination")).get("total", told.get("total-rows")))
            del told  # a traceback may show what is still in a frame
            moved = max(0, total - known) if order == "desc" and total is not None and known is not None else 0
            marks = [hashlib.sha256(encoded(commit.raw)).digest() for commit in commits]
            for commit, mark in zip(commits, marks, strict=True):
                if moved and before[mark]:
                    moved, before[mark] = moved - 1, before[mark] - 1
                else:
                    yield commit
            offset, known, before = offset + len(commits), total, Counter(marks)
            if not commits or (total is not None and offset >= total):
                return
