"""What a call to the orchestrator can fail with, by what there is to do about it.

ApiError
├── Rejected                 the request cannot be carried out as it was put
│   ├── Invalid              a value, a parameter or a body is wrong         validation-error
│   ├── NotFound             what was named is not there                     404
│   │   ├── UnknownJob       a job or plan job: never was, or was pruned     unknown-job
│   │   ├── UnknownTask                                                      unknown-task
│   │   ├── UnknownPlan                                                      unknown-plan
│   │   ├── UnknownEnvironment                                               unknown-environment
│   │   ├── UnknownTaskTarget                                                unknown-task-target
│   │   ├── UnknownEvent     the event belongs to another plan job           mismatched-job-event-id
│   │   └── Unsupported      this version of PE has no such route            404 without a kind
│   ├── EmptyTarget          the scope means no node at all                  empty-target, empty-environment
│   ├── QueryRefused         the query is wrong, or not permitted            query-error
│   ├── PastTime             the time to start at has passed                 invalid-time
│   ├── ScheduleDisabled     a disabled scheduled job stays as it is         disabled-scheduled-job
│   └── PlanFinished         the plan job has ended already                  plan-already-finished
├── NotPermitted             the token's user lacks a permission             not-permitted, permission-denied
├── TokenRefused             the token itself; nothing is asked until it changes
├── LoginRefused             the name or password of a login; ten of them revoke an account
├── Unavailable              time may mend it
│   ├── Throttled            429
│   ├── ServerFault          5xx, server-error, puppetdb-error
│   │   └── BrokerDown       inventory while the PCP broker is away: unknown, never "all disconnected"
│   ├── Unreachable          no connection, or it broke; `sent` tells whether the request may have arrived
│   │   └── TooSlow          no answer in time
│   └── NotStarted           PE itself failed at a command, and certainly nothing was started: it may be sent again
├── Malformed                an answer that is none: HTML, torn, too large, a redirect
└── Uncertain                a command got no answer and may have been carried out; `candidates` are what it may be

Every text in them is free of the token, of parameters and of passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchbridge.core.errors import OrchbridgeError


class ApiError(OrchbridgeError):
    """A call that did not succeed.

    status   the HTTP status, None where no answer came
    kind     the server's kind, such as `puppetlabs.orchestrator/unknown-job`; "" where it gave none
    message  the server's words, or ours where it had none
    details  what the server added, {} where it added nothing
    hint     what the person who reads it can do
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        kind: str = "",
        details: Mapping[str, Any] | None = None,
        call: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        told = " ".join(str(part) for part in (status, kind) if part)
        super().__init__(": ".join(part for part in (call, told, message) if part), hint=hint)
        self.message = message
        self.status = status
        self.kind = kind
        self.details: Mapping[str, Any] = details or {}
        self.retry_after_s = retry_after_s

    @property
    def word(self) -> str:
        """The kind without its prefix: `unknown-job`."""
        return self.kind.rpartition("/")[2]


class Rejected(ApiError):
    """The request cannot be carried out as it was put."""


class Invalid(Rejected):
    """A value, a parameter or a body is wrong."""


class NotFound(Rejected):
    """What was named is not there."""


class UnknownJob(NotFound):
    """There is no such job or plan job: it never was, or it was pruned."""


class UnknownTask(NotFound):
    """There is no such task in the environment."""


class UnknownPlan(NotFound):
    """There is no such plan in the environment."""


class UnknownEnvironment(NotFound):
    """There is no such environment."""


class UnknownTaskTarget(NotFound):
    """There is no such task target."""


class UnknownEvent(NotFound):
    """The event belongs to another plan job."""


class Unsupported(NotFound):
    """This version of PE has no such route."""


class EmptyTarget(Rejected):
    """The scope means no node at all."""


class QueryRefused(Rejected):
    """The query is wrong, or the token's user may not ask it."""


class PastTime(Rejected):
    """The time to start at has passed."""


class ScheduleDisabled(Rejected):
    """A disabled scheduled job cannot be changed any more."""


class PlanFinished(Rejected):
    """The plan job has ended already."""


class NotPermitted(ApiError):
    """The token's user lacks a permission."""


class TokenRefused(ApiError):
    """The server does not accept the token; nothing is asked with it until the token changes."""


class LoginRefused(ApiError):
    """The server does not accept this name and password, or was not asked because it would lock the account."""


class Unavailable(ApiError):
    """No answer now; time may mend it."""


class Throttled(Unavailable):
    """The server asks for a pause."""


class ServerFault(Unavailable):
    """The server failed."""


class BrokerDown(ServerFault):
    """The PCP broker is away, so which nodes are connected is unknown."""


class Unreachable(Unavailable):
    """No connection, or it broke.

    `sent` tells whether the request may have arrived, `lasting` that the next try would fare no better.
    """

    sent = False
    lasting = False


class TooSlow(Unreachable):
    """No answer in time."""


class NotStarted(Unavailable):
    """PE itself failed at a command, and certainly nothing was started: it may be sent again."""


class Malformed(ApiError):
    """An answer that is none."""


class Uncertain(ApiError):
    """A command got no answer, and it may have been carried out.

    `candidates` are the ids of what it may have started, newest first; `nonce` is what its userdata
    holds under `orchbridge-nonce`, "" where this version of PE keeps no userdata.
    """

    candidates: tuple[int, ...] = ()
    nonce: str = ""


KINDS: Mapping[str, type[ApiError]] = {
    "validation-error": Invalid,
    "malformed-request": Invalid,
    "schema-violation": Invalid,
    "unknown-job": UnknownJob,
    "unknown-task": UnknownTask,
    "unknown-plan": UnknownPlan,
    "unknown-environment": UnknownEnvironment,
    "unknown-task-target": UnknownTaskTarget,
    "mismatched-job-event-id": UnknownEvent,
    "empty-target": EmptyTarget,
    "empty-environment": EmptyTarget,
    "unknown-target": EmptyTarget,
    "query-error": QueryRefused,
    "invalid-time": PastTime,
    "disabled-scheduled-job": ScheduleDisabled,
    "plan-already-finished": PlanFinished,
    "not-permitted": NotPermitted,
    "permission-denied": NotPermitted,
    "puppetdb-error": ServerFault,
    "server-error": ServerFault,
}
