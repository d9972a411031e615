"""How many questions a tick of the jobs stream may ask: K + 2 where K jobs moved."""

from __future__ import annotations

from orchbridge.core.facts import Job
from tests.core.machines.carrier import Carrier
from tests.core.machines.judging import untold
from tests.core.machines.ledger import Ledger, Told
from tests.core.machines.model import ModelServer

LAG_S = 5.0  # until lists are right again, jobs seem to have moved that did not


class Kindness:
    """What a server shows, tick by tick, and so what there is to ask about."""

    def __init__(self, server: ModelServer, ledger: Ledger) -> None:
        self.server, self.ledger = server, ledger
        self.facts: dict[int, Job] = {}
        self.moved: set[int] = set()

    def most(self, carrier: Carrier, *, judged: bool) -> int | None:
        """K jobs moved, or have not had everything told that the list counts, or are new to this owner."""
        now = carrier.now
        facts = {job.serial: job.fact(now) for job in self.server.jobs if job.shown(now)}
        news = {fact.id for serial, fact in facts.items() if fact != self.facts.get(serial)}
        self.moved = moved = news if carrier.listed else news | self.moved
        self.facts = facts
        if not judged or self.ledger.head is None:
            return None
        if (
            "JobsPage" in self.server.faults.at_work
            or now < self.server.lagged + LAG_S
            or not carrier.state.walk.trusted
        ):
            return None
        jobs = {job.id: job for job in self.server.jobs}
        moved = moved | {id_ for id_ in jobs if (1, id_) not in self.ledger.told}  # no list need show it
        for id_, track in carrier.state.tracks.items():
            job, told = jobs.get(id_), self.ledger.told.get((1, id_), Told())
            if track.open and (job is None or ("JobEvents", id_) not in carrier.heard or untold(job, told, now)):
                moved = moved | {id_}
        return len(moved) + 2 + len(moved) // 50  # so many are new that one page does not list them
