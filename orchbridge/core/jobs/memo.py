"""What is remembered of one tracked job: its cursor document."""

from __future__ import annotations

import msgspec

from orchbridge.core.idset import IdSet


class Memo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job's part of the cursor.

    epoch      the epoch its records were written in
    events     ids of the events delivered; `odd` names delivered items that had no id
    states     id parts of the states delivered, in order
    closed     job_finished or job_aborted was delivered
    ended      when we first saw it over, Unix seconds; 0 while it is not
    certified  when its newest certificate went out; 0 before; `revision` and `complete` are that one's
    counted    how many events that certificate counts; one that came later needs another certificate
    whole      all events that such a job has were delivered: late ones are most unlikely
    document   revision of its newest document
    told       a notice said that this job cannot be read
    """

    epoch: int
    events: IdSet = IdSet.of(())
    odd: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    closed: bool = False
    ended: float = 0.0
    certified: float = 0.0
    revision: int = 0
    complete: bool = False
    counted: int = 0
    whole: bool = False
    document: int = 0
    told: bool = False
    v: int = 1
