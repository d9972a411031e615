"""Who did what, from the Activity service, newest first."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Any

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.jobs import PAGE_MAX
from orchbridge.cli.pe.telling import PLAIN, json_line, lately, printable, short, table
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.models import Commit

NAMES_MAX = 3


async def list_activity(
    client: Client, service: str | None, limit: int, since: datetime | None, until: datetime | None, *, as_json: bool
) -> int:
    """Print entries of the activity log, at most `limit`."""
    if since and until and until < since:
        raise ConfigError(
            f"--until {until.date()} is before --since {since.date()}", hint="give the earlier as --since"
        )
    query = [{"start": _stamp(since), "end": _stamp(until)}] if since and until else []
    found: list[Commit] = []
    commits: Any = client.activity.events(service, limit=min(limit, PAGE_MAX), order="desc", query=query)
    async with aclosing(commits) as several:
        async for commit in several:
            found.append(commit)
            if as_json:
                json_line(_shape(commit))
            if len(found) == limit:
                break
    if not as_json:
        table(("at (UTC)", "by", "what"), [_row(commit) for commit in found], none="no such activity")
    return DONE


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
