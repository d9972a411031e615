"""What a ledger must say of the jobs of a server, and of nothing else."""

from __future__ import annotations

from orchbridge.core import times
from tests.core.machines.carrier import Carrier
from tests.core.machines.ledger import Ledger, Told
from tests.core.machines.model import ModelJob, ModelServer


def missed(ledger: Ledger, epoch: str = "") -> set[int]:
    """Return the ids that were said to be empty or gone."""
    found = set()
    for notice in (*ledger.notices("gap"), *ledger.notices("pruned_unread")):
        low, _, high = str(notice["subject"]).partition("-")
        if epoch in {"", notice["epoch"]}:
            found |= set(range(int(low if low.isdecimal() else high), int(high) + 1))  # 7-9, or plan-7
    return found


def every_id_is_accounted_for(ledger: Ledger, base: int) -> None:
    """From `base` on every id up to the head was told of, or its absence was."""
    head = ledger.head
    if head is None:
        return
    told = {id_ for epoch, id_ in ledger.told if epoch == head.epoch}
    resets = ledger.notices("source_reset")
    assert len(resets) == head.epoch - 1
    survivor = int(resets[-1]["explanation"].rpartition(" ")[2]) if resets else 0
    first = survivor + 1 if survivor else 0 if resets else base
    told |= missed(ledger, f"e{head.epoch}")
    first = first or ledger.lowest or head.high + 1
    silent = set(range(first, head.high + 1)) - told
    assert not silent, f"no word about {silent}"


def true(name: str, server: ModelServer, told: Told, certificate: dict[str, object]) -> None:
    """What is called complete has the end of every node."""
    if not certificate["complete"] or not told.serials:
        return
    lost = set(server.all[next(iter(told.serials))].ends) - told.ended
    assert not lost, f"{name} is called complete without the end of {lost}"


def counts_what_showed(id_: int, told: Told, server: ModelServer) -> None:
    """The first certificate of a job counts all that showed at its end."""
    for job in server.jobs:
        if job.id == id_:
            ended = job.states[-1][0]
            shown = {event for event, _, _, at, late in job.events if at + late <= ended}
            assert shown <= told.counted[0], f"job {id_} is certified without {shown - told.counted[0]}"


def no_gap_was_only_slow(ledger: Ledger, server: ModelServer) -> None:
    """What is called a gap is not there, or took very long to show."""
    gaps = {str(notice["subject"]) for notice in ledger.notices("gap")}
    for job in server.jobs:
        slow = (job.visible or 0.0) - job.created
        assert slow > 20.0 or f"{job.id}-{job.id}" not in gaps, f"job {job.id} was only slow"


def untold(job: ModelJob, told: Told, now: float) -> bool:
    """Whether the list counts nodes whose events were not told, or waits for a certificate."""
    nodes = {id_ for id_, node, _, at, _ in job.events if node is not None and at <= now}
    return bool(nodes - set(told.events)) or job.over


def excused(job: ModelJob, told: Told, server: ModelServer, window_s: float, *, history: bool) -> bool:
    """Whether nobody could know better, and the records say so: a job that seemed gone, or could not be read."""
    last = told.certificates[-1] if told.certificates else None
    denied = server.denied[job.serial] >= 2
    if last is None:
        return denied and history  # its number is among those called gone
    at = times.seconds(last["observed_at"]) or 0.0
    if server.refused.get(job.serial, 0.0) >= at + window_s:
        return True  # as it was asked for the last time
    if not history:
        return denied and bool(last["truncated"])
    if told.asides:
        return True  # an answer was torn, and history is not asked for again
    unread = any(reason.startswith("it could not be read") for reason in last["reasons"])
    late = {id_ for id_, _, _, happened, late in job.events if happened + late > at}
    return unread or last["truncated"] or (bool(late) and not late & set(told.events))  # history is not waited for


def unwatched(job: ModelJob, server: ModelServer, ledger: Ledger, base: int, *, bounded: bool) -> bool:
    """Whether a job showed after its gap was given up, or after the first list, and below what lists show."""
    newer = sum(other.id > job.id for other in server.jobs)
    late = job.id < base or job.id in missed(ledger)
    return job.visible is not None and late and (bounded or newer >= 25)


def nothing_is_open(carrier: Carrier, server: ModelServer) -> None:
    """Once all has been heard, only jobs that are not over are left."""
    walk, tracked = carrier.state.walk, set(carrier.state.tracks)
    assert walk.trusted or not server.jobs
    assert not walk.todo
    assert not walk.gaps
    over = {job.id for job in server.jobs if job.over}
    there = {job.id for job in server.jobs}
    assert tracked <= there - over, f"still tracked: {tracked - (there - over)}"


def whole(job: ModelJob, told: Told, *, sick: bool) -> bool:
    """Whether everything about a job is told, and its last certificate says so."""
    if set(told.events) != {id_ for id_, *_ in job.events} or (told.serials and told.serials != {job.serial}):
        return False
    if told.states != job.words():
        return False
    if not job.over:
        return True
    if not told.certificates or told.certificates[-1]["delivered"]["events"] != len(job.events):
        return False
    return sick or bool(told.certificates[-1]["complete"])  # a sick server may not have shown the nodes in time
