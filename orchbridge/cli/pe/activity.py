"""Who did what, from the Activity service, newest first."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.telling import PLAIN, json_line, lately, printable, short, table
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.models import Commit

NAMES_MAX, PAGE_MAX = 3, 1_000
SERVICES = ("rbac", "classifier", "pe-console", "code-manager")  # where older servers want one to be named


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, both inclusive; the server takes both ends or none."""

    since: datetime
    until: datetime

    def term(self) -> dict[str, str]:
        """Return it as the server's own term."""
        return {"start": _stamp(self.since), "end": _stamp(self.until)}

    def holds(self, commit: Commit) -> bool:
        """Whether an entry is in it; one without a time is in none."""
        return commit.at is not None and self.since <= commit.at <= self.until


async def list_activity(
    client: Client, service: str | None, limit: int, since: datetime | None, until: datetime | None, *, as_json: bool
) -> int:
    """Print entries of the activity log, at most `limit`."""
    if since and until and until < since:
        raise ConfigError(
            f"--until {until.date()} is before --since {since.date()}", hint="give the earlier as --since"
        )
    span = Span(since, until) if since and until else None
    try:
        query = [span.term()] if span else []
        several = client.activity.events(service, limit=min(limit, PAGE_MAX), order="desc", query=query)
        found = await _first(several, limit, None)
    except errors.Unsupported:
        found = await _of_v1(client, service, limit, span)
    for commit in found if as_json else ():
        json_line(_shape(commit))
    if not as_json:
        table(("at (UTC)", "by", "what"), [_row(commit) for commit in found], none="no such activity")
    return DONE


async def _of_v1(client: Client, service: str | None, limit: int, span: Span | None) -> list[Commit]:
    """Return the newest of what older servers tell service by service."""
    found: list[Commit] = []
    for name in (service,) if service else SERVICES:
        page = PAGE_MAX if span else min(limit, PAGE_MAX)
        found += await _first(client.activity.events_v1(name, limit=page, order="desc"), limit, span)
    return sorted(found, key=lambda commit: commit.at.timestamp() if commit.at else 0.0, reverse=True)[:limit]


async def _first(several: AsyncGenerator[Commit, None], limit: int, span: Span | None) -> list[Commit]:
    """Return the first entries that are in the span, which the newest come first of."""
    found: list[Commit] = []
    async with aclosing(several) as commits:
        async for commit in commits:
            if span and commit.at and commit.at < span.since:
                break
            if span is None or span.holds(commit):
                found.append(commit)
            if len(found) == limit:
                break
    return found


def _row(commit: Commit) -> tuple[str, ...]:
    names = [each.name or each.id or "" for each in commit.objects]
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    what = "; ".join(map(printable, commit.messages)) or printable(", ".join(names[:NAMES_MAX])) + more
    return lately(commit.at), printable(commit.subject.name or commit.subject.id or ""), short(what, 300)


def _shape(commit: Commit) -> dict[str, Any]:
    return {
        "kind": "activity",
        "at": commit.at,
        "by": commit.subject.name,
        "ip_address": commit.ip_address,
        "objects": [{"type": each.type, "id": each.id, "name": PLAIN.value(each.name)} for each in commit.objects],
        "messages": [PLAIN.value(text) for text in commit.messages],
    }


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
