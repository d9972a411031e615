"""Which parameters of which task are sensitive, as far as the server told us lately."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core.facts import Job, TaskMeta
from orchbridge.core.questions import TaskMetadata, Trouble

KEEP_S = 3600.0  # one look-up an hour per task and environment
WAIT_S = 60.0  # how long its jobs wait for an answer that time may mend, before all their parameters are hidden
WAIT_STEPS_S = (2.0, 4.0, 8.0, 16.0)
RETRY_S = 60.0  # once they do not wait any more
ENTRIES_MAX = 1_000
FINAL = frozenset({"missing", "absent", "forbidden", "invalid"})


class Known(msgspec.Struct, frozen=True):
    """Names of sensitive parameters, None where the metadata could not be read; good until `until`.

    `waiting` since the first failed look-up, 0 once that is over; `failures` counts these.
    """

    names: frozenset[str] | None
    until: float
    waiting: float = 0.0
    failures: int = 0


class Tasks(msgspec.Struct, frozen=True):
    """Metadata by (task, environment)."""

    known: Mapping[tuple[str, str], Known] = {}

    def of(self, job: Job) -> Known | None:
        """Return what is known of the job's task, None where that is still waited for.

        For a job without task that is: nothing sensitive.
        """
        if job.task is None:
            return Known(frozenset(), 0.0)
        known = self.known.get(_key(job))
        return None if known is not None and known.waiting else known

    def question(self, job: Job, now: float) -> TaskMetadata | None:
        """Return the look-up this job needs, if any."""
        if job.task is None:
            return None
        known = self.known.get(_key(job))
        return TaskMetadata(*_key(job)) if known is None or known.until <= now else None

    def after(self, question: TaskMetadata, answer: TaskMeta | Trouble, now: float) -> Tasks:
        """Return the cache after an answer; trouble leaves older knowledge in force."""
        key = (question.task, question.environment)
        if isinstance(answer, TaskMeta):
            known = Known(frozenset(answer.sensitive), now + KEEP_S)
        else:
            known = _without(self.known.get(key), answer, now)
        kept = dict(self.known)
        if len(kept) >= ENTRIES_MAX:
            del kept[min(kept, key=lambda entry: kept[entry].until)]
        return Tasks({**kept, key: known})


def _without(old: Known | None, trouble: Trouble, now: float) -> Known:
    """Return what a failed look-up leaves: older knowledge, a little patience, or in the end nothing."""
    final = trouble.kind in FINAL
    if old is not None and not old.waiting:
        return Known(old.names, now + (KEEP_S if final else max(RETRY_S, trouble.retry_after_s or 0.0)))
    if final:
        return Known(None, now + KEEP_S)
    since, failures = (old.waiting, old.failures) if old is not None else (now or 1e-9, 0)
    pause = max(WAIT_STEPS_S[min(failures, len(WAIT_STEPS_S) - 1)], trouble.retry_after_s or 0.0)
    if now + pause - since > WAIT_S:
        return Known(None, now + max(RETRY_S, pause))
    return Known(None, now + pause, since, failures + 1)


def _key(job: Job) -> tuple[str, str]:
    return job.task or "", job.environment or "production"
