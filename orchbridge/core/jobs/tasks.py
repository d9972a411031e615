"""Which parameters of which task are sensitive, as far as the server told us lately."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchbridge.core.facts import Job, TaskMeta
from orchbridge.core.questions import TaskMetadata, Trouble

KEEP_S = 3600.0  # one look-up an hour per task and environment
RETRY_S = 60.0  # after trouble that time may mend
ENTRIES_MAX = 1_000
FINAL = frozenset({"missing", "absent", "forbidden", "invalid"})


class Known(msgspec.Struct, frozen=True):
    """Names of sensitive parameters, None where the metadata could not be read; good until `until`."""

    names: frozenset[str] | None
    until: float


class Tasks(msgspec.Struct, frozen=True):
    """Metadata by (task, environment)."""

    known: Mapping[tuple[str, str], Known] = {}

    def of(self, job: Job) -> Known | None:
        """Return what is known of the job's task; for a job without task that is: nothing sensitive."""
        if job.task is None:
            return Known(frozenset(), 0.0)
        return self.known.get(_key(job))

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
            old = self.known.get(key)
            pause = KEEP_S if answer.kind in FINAL else max(RETRY_S, answer.retry_after_s or 0.0)
            known = Known(old.names if old is not None else None, now + pause)
        kept = dict(self.known)
        if len(kept) >= ENTRIES_MAX:
            del kept[min(kept, key=lambda entry: kept[entry].until)]
        return Tasks({**kept, key: known})


def _key(job: Job) -> tuple[str, str]:
    return job.task or "", job.environment or "production"
