"""The simulator's knobs: one for each thing that is uncertain about real orchestrators, as plain text values.

A value is a form, with a number after a colon where the form has one, and options after
commas: `seconds:5,p=0.2`. Where only one form has a number, the number alone will do. Knobs
that take several forms at once join them with `+`: `reset,p=0.01+503,p=0.05,retry-after=2`.
The defaults are a well-behaved newest server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from orchbridge.core.errors import ConfigError
from orchbridge.sim import releases
from orchbridge.sim.releases import Feature


@dataclass(frozen=True, slots=True)
class Dose:
    """One form of a knob's value, taken apart. `p` is the probability of an effect per event or request."""

    form: str
    amount: float = 0.0
    p: float = 1.0
    retry_after_s: float | None = None
    back: int = 3
    on: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a knob accepts: a form ending in `:` takes a number, `many` allows several forms joined with `+`,
    `between` releases between the forms too."""

    forms: tuple[str, ...]
    options: tuple[str, ...] = ()
    many: bool = False
    between: bool = False


AUTH_FAULTS = ("expired", "revoked", "timed-out", "invalid", "user-revoked", "unauthenticated")
AUTH_TEXTS = {
    "expired": ("token-expired", "The provided token has expired."),
    "revoked": ("token-revoked", "The provided token has been revoked."),
    "timed-out": ("token-timed-out", "The provided token has timed out."),
    "invalid": ("invalid-token", "The provided token is invalid."),
    "user-revoked": ("user-revoked", "The user has been revoked."),
    "unauthenticated": ("user-unauthenticated", "Route requires authentication"),
    "credentials": ("user-unauthenticated", "The login or the password is not right"),
    "ambiguous": ("non-unique-lookup-attr", "More than one account has this login"),
    "server-error-401": ("server-error", "Could not reach the RBAC service"),
    "server-error-503": ("server-error", "Could not reach the RBAC service"),
}
RBAC_STATUS = {
    "token-expired": 403,
    "token-revoked": 403,
    "token-timed-out": 403,
    "invalid-token": 400,
    "non-unique-lookup-attr": 422,
    "server-error": 500,
}
P = ("p",)

RULES: Mapping[str, Rule] = {
    "shape_version": Rule(releases.ROWS, between=True),
    "default_order": Rule(("asc-timestamp", "desc-name")),
    "timestamps_key": Rule(("created_timestamp", "started_timestamp", "both")),
    "duration_type": Rule(("number", "string")),
    "finished_when_running": Rule(("null", "absent")),
    "empty_total": Rule(("auto", "null", "0")),
    "next_events": Rule(("last+1", "echo-start", "first-item", "global-next", "missing", "event-key-missing")),
    "start_past_end": Rule(("empty-200", "404", "400")),
    "event_visibility": Rule(("in-order", "ids:", "seconds:"), P),
    "job_visibility": Rule(("in-order", "ids:", "seconds:"), P),
    "job_finished_event": Rule(("always", "missing", "job_aborted"), P),
    "event_lag_after_terminal": Rule(("polls:",)),
    "id_gaps": Rule(("none", "some"), P),
    "id_restart": Rule(("never", "at:"), ("back",)),
    "prune": Rule(("never", "after:")),
    "limit_max": Rule(("none", "clamp:", "400:")),
    "unknown_query_params": Rule(("ignore", "400")),
    "validation_kind": Rule(("orchestrator", "validators")),
    "error_body": Rule(("with-details", "without-details", "html", "empty")),
    "auth_fault": Rule(("none", *AUTH_FAULTS, "server-error-401", "server-error-503"), P),
    "auth_modes": Rule(("header", "header-or-query", "cert-accepted", "cert-rejected")),
    "token_life": Rule(("days:", "superuser:", "endless", "untold", "absent")),
    "id_host": Rule(("authority", "localhost", "wrong-port")),
    "inventory": Rule(
        (
            "connected-only",
            "false-rows",
            "unknown-404",
            "blank",
            "500",
            "empty",
            "flapping",
            "stale-true:",
            "malformed-timestamp",
        ),
        P,
        many=True,
    ),
    "broker_status": Rule(("auto", "running", "error", "unknown", "starting")),
    "nodes": Rule(("plain", "big:", "null-result", "error-string", "no-latest-event-id"), many=True),
    "stopped_nodes": Rule(("as-they-were", "stopped")),
    "owner": Rule(("full", "id+login", "changing")),
    "scheduled": Rule(("auto", "new", "old", "old-empty")),
    "scheduler": Rule(("runs", "skips")),
    "activity": Rule(("at-end", "at-start")),
    "activity_totals": Rule(("int", "string")),
    "forbidden": Rule(("none", "job:", "activity"), many=True),
    "required_params": Rule(("ignored", "400")),
    "plan_finished_status": Rule(("500", "400", "409")),
    "puppetdb": Rule(("up", "down")),
    "all_tasks": Rule(("bool", "string")),
    "single_service": Rule(("wrapped", "bare")),
    "latency": Rule(("none", "seconds:"), ("p", "on")),
    "faults": Rule(
        ("none", "reset", "stall:", "lost", "truncated", "502", "503", "500", "429", "html-200"),
        ("p", "retry-after", "on"),
        many=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Knobs:
    """The setting of every knob; raises ConfigError where a value is not one of its forms.

    shape_version             fields, parameters and routes of that release; any from 2016.2 on
    default_order             of /jobs where the client asks for none
    timestamps_key            how the creation time is spelled
    duration_type             JSON type of durations
    finished_when_running     finished_timestamp of a job that still runs
    empty_total               pagination.total of an empty list; auto = as the release did
    next_events               what `next-events` points at
    start_past_end            the answer where `start` is beyond the last event
    event_visibility          events of jobs and plans appear after that many further ids (10 s at most), or seconds
    job_visibility            the same for jobs and plan jobs
    job_finished_event        whether a job's last event comes, is missing, or is job_aborted
    event_lag_after_terminal  the last event appears only after that many reads of a finished job's events
    id_gaps                   ids lost to rolled back transactions
    id_restart                at that second the newest jobs (`back`, default 3) are forgotten, their ids used again
    prune                     finished jobs and plans vanish after so many seconds
    limit_max                 the largest limit: larger ones are clamped or refused
    unknown_query_params      ignored, or 400
    validation_kind           prefix of the validation-error kind
    error_body                what error answers carry
    auth_fault                answers of the authentication layer, whatever the token
    auth_modes                `?token=`, or a client certificate instead of a token
    token_life                what RBAC says of the token: days until it ends, also a superuser's, no end, no word; or
                              no such service here
    id_host                   host and port in the `id` URLs
    inventory                 inventory oddities; `flapping,p=0.05` hides a node for one answer, `stale-true:30`
                              shows a node connected for so many seconds after it left
    broker_status             state of broker-service; auto = error while inventory answers 500
    nodes                     `big:2` makes task results 2 MB; results and ids missing or odd
    stopped_nodes             nodes of a stopped job that had not ended
    owner                     full object, id and login only, or last_login different on every read
    scheduled                 which scheduling routes exist: auto = as the release did, old-empty beside the new ones
    scheduler                 whether what is planned runs; skips = its time passes, and nothing is said of it
    activity                  when the commit of a job is written: at its end, or as it starts
    activity_totals           JSON type of the numbers in v2's pagination
    forbidden                 jobs that answer 403: `job:12+job:15`; `activity`: the log of it
    required_params           whether a task is refused that lacks parameters without default
    plan_finished_status      HTTP status of plan-already-finished
    puppetdb                  queries of scopes need it; `down` refuses them
    all_tasks                 JSON type of a task target's all_tasks
    single_service            the status of one service: under its name, or bare
    latency                   seconds before each answer
    faults                    on the wire, per request; `on=jobs/{id}/events` limits them to one route; `lost` does what
                              was asked and answers nothing
    """

    shape_version: str = "2025"
    default_order: str = "asc-timestamp"
    timestamps_key: str = "created_timestamp"
    duration_type: str = "number"
    finished_when_running: str = "null"
    empty_total: str = "auto"
    next_events: str = "last+1"
    start_past_end: str = "empty-200"
    event_visibility: str = "in-order"
    job_visibility: str = "in-order"
    job_finished_event: str = "always"
    event_lag_after_terminal: str = "polls:0"
    id_gaps: str = "none"
    id_restart: str = "never"
    prune: str = "never"
    limit_max: str = "none"
    unknown_query_params: str = "ignore"
    validation_kind: str = "orchestrator"
    error_body: str = "with-details"
    auth_fault: str = "none"
    auth_modes: str = "header"
    token_life: str = "days:365"  # noqa: S105 - a span of time
    id_host: str = "authority"
    inventory: str = "connected-only"
    broker_status: str = "auto"
    nodes: str = "plain"
    stopped_nodes: str = "as-they-were"
    owner: str = "full"
    scheduled: str = "auto"
    scheduler: str = "runs"
    activity: str = "at-end"
    activity_totals: str = "int"
    forbidden: str = "none"
    required_params: str = "ignored"
    plan_finished_status: str = "500"
    puppetdb: str = "up"
    all_tasks: str = "bool"
    single_service: str = "wrapped"
    latency: str = "none"
    faults: str = "none"

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            taken_apart(name, value)

    @classmethod
    def parse(cls, settings: Iterable[str]) -> dict[str, str]:
        """Return what these `name=value` texts turn, by name; raise ConfigError."""
        given: dict[str, str] = {}
        for text in settings:
            name, equals, value = text.partition("=")
            if not equals:
                raise ConfigError(f"knob {text!r} has no value", hint="write it as name=value")
            given[name.strip()] = value.strip()
        cls().turned(given)
        return given

    def turned(self, changes: Mapping[str, str]) -> Knobs:
        """Return a copy with these values; raise ConfigError for an unknown name or value."""
        for name in changes:
            if name not in RULES:
                raise ConfigError(f"there is no knob {name!r}", hint=f"one of {', '.join(RULES)}")
        return dataclasses.replace(self, **changes)

    def dose(self, name: str) -> Dose:
        """Return the value of a knob that takes one form."""
        return taken_apart(name, getattr(self, name))[0]

    def doses(self, name: str) -> Mapping[str, Dose]:
        """Return the forms of a knob, by form; of several equal ones the last counts."""
        return {dose.form: dose for dose in taken_apart(name, getattr(self, name))}

    def all_doses(self, name: str) -> tuple[Dose, ...]:
        """Return the forms of a knob in the order given."""
        return taken_apart(name, getattr(self, name))

    def has(self, feature: Feature) -> bool:
        """Whether the release played has this."""
        return releases.has(self.shape_version, feature)


@lru_cache(maxsize=1024)
def taken_apart(name: str, value: str) -> tuple[Dose, ...]:
    """Return the forms of one value; raise ConfigError where the knob does not take them."""
    rule = RULES[name]
    if rule.between:
        releases.number_of(value)
        return (Dose(value),)
    parts = value.split("+") if rule.many else [value]
    return tuple(_dose(name, rule, part) for part in parts)


def _dose(name: str, rule: Rule, text: str) -> Dose:
    form, *options = text.split(",")
    counted = [form for form in rule.forms if form.endswith(":")]
    if form not in rule.forms and not rule.many and len(counted) == 1 and form[:1].isdigit():
        form = counted[0] + form  # the only form with a number needs no name: latency=0.2
    word, colon, number = form.partition(":")
    if word + colon not in rule.forms:
        forms = ", ".join(f"{form}N" if form.endswith(":") else form for form in rule.forms)
        raise ConfigError(f"knob {name} does not take {form!r}", hint=f"one of {forms}")
    dose = Dose(word, _number(name, number) if colon else 0.0)
    for option in options:
        key, _, setting = option.partition("=")
        if key not in rule.options:
            raise ConfigError(
                f"knob {name} has no option {key!r}", hint=f"options: {', '.join(rule.options) or 'none'}"
            )
        match key:
            case "p":
                dose = dataclasses.replace(dose, p=_number(name, setting))
            case "retry-after":
                dose = dataclasses.replace(dose, retry_after_s=_number(name, setting))
            case "back":
                dose = dataclasses.replace(dose, back=int(_number(name, setting)))
            case _:
                dose = dataclasses.replace(dose, on=setting)
    return dose


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ConfigError(f"knob {name}: {text!r} is not a number >= 0", hint="for example p=0.1")
    return number
