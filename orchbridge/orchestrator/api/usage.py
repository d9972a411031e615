"""Usage of the estate, day by day (orchestrator API, section 11)."""

from __future__ import annotations

from datetime import date

from orchbridge.orchestrator import fields
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import read
from orchbridge.orchestrator.models import Day


class Usage:
    """`client.usage`; since 2019.0. Slow: more than a second, so not to be asked often."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def days(
        self, start_date: date | None = None, end_date: date | None = None, *, events: str | None = None
    ) -> tuple[Day, ...]:
        """Return UTC days, newest first, both ends inclusive; `events` is include or exclude (2021.1).

        Raises Invalid where the end is before the start.
        """
        params = {
            "start_date": start_date.isoformat() if start_date else None,
            "end_date": end_date.isoformat() if end_date else None,
            "events": events,
        }
        told = await self._caller.told(read("/usage", params=params))
        return tuple(map(Day.read, fields.listed(told.get("items"))))
