"""What a walk over the server's ids revealed, in words for people."""

from __future__ import annotations

from orchbridge.core.normalize.context import Origin
from orchbridge.core.normalize.notices import notice
from orchbridge.core.records import Record
from orchbridge.core.walk import Happening, Reset


def happening_record(origin: Origin, stream: str, epoch: str, happening: Happening, observed: str) -> Record:
    """Return the notice of a reset, a gap or a range that was pruned unread; `epoch` is the one it leads to."""
    match happening:
        case Reset():
            kind, subject = "source_reset", epoch
            explanation = (
                f"the server's history of {stream} went back: {happening.reason}; "
                f"reading on as {epoch} above id {happening.survivor}"
            )
            action = "check whether the orchestrator was restored or reinstalled; peepoch tells the histories apart"
        case _ if happening.pruned:
            kind, subject = "pruned_unread", f"{happening.first}-{happening.last}"
            explanation = (
                f"{stream} {happening.first} to {happening.last} were gone from the server before they were read"
            )
            action = "keep the bridge running or raise the server's job_prune_threshold; these are lost"
        case _:
            kind, subject = "gap", f"{happening.first}-{happening.last}"
            explanation = f"{stream} {happening.first} to {happening.last} never became visible"
            action = "usually none, servers leave ids unused; look into it if it happens often"
    return notice(origin, stream, epoch, kind, subject, explanation=explanation, action=action, observed=observed)
