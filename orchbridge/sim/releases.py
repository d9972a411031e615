"""What each release of PE has: one table, row by row that of the reference's section 17.

Two lines lived side by side: 2019.8.x got some of what 2021.x had, and nothing after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from orchbridge.core.errors import ConfigError

Number = tuple[int, ...]  # three of them
NEWEST = "2025"
_LONG_TERM = (2019, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """Something that some releases have: from `since` on, or in the line of 2019.8 from `long_term` on; `until` is
    the first without it."""

    what: str
    since: str
    long_term: str = ""
    until: str = ""


ALWAYS = Feature("the root; deploy, stop; jobs with nodes, report and events; the older activity log; tokens", "2016.2")
UNKNOWN_TARGET = Feature("deploy: an unknown application as `target` is refused", "2016.2", until="2017.3")

SCOPE = Feature("scopes: nodes, query, and in the options of jobs; node_count", "2016.4")
APPLICATIONS = Feature("scopes: application", "2016.4", until="2021.0")
WHOLE_ENVIRONMENT = Feature("scopes: whole_environment", "2016.4", until="2017.3")

INVENTORY = Feature("inventory", "2016.5")

INVENTORY_BODY = Feature("POST inventory without a body is refused", "2017.2")

TASKS = Feature("tasks; command/task", "2017.3")
PAGES = Feature("jobs: offset, order, order_by, pagination; nodes: limit, offset, next-events", "2017.3")
JOB_WORDS = Feature("jobs: node_states, command, description; the owner whole", "2017.3")
STOPPING = Feature("jobs: stopping, stopped", "2017.3")
NO_NOOP = Feature("deploy: no_noop", "2017.3")
NODE_TIMES = Feature("nodes: start_timestamp, finish_timestamp, duration, result, latest-event-id", "2017.3")

PLAN_JOBS = Feature("plan_jobs; command/plan_start, plan_task", "2018.1")
NODE_GROUPS = Feature("scopes: node_group", "2018.1")
TASK_RIGHTS = Feature("tasks are permitted one by one", "2018.1")
TRANSPORT = Feature("nodes: transport", "2018.1")
PLAN_FINISH = Feature("command/plan_finish", "2018.1.2")
SCHEDULES = Feature("command/schedule_task; the older scheduled_jobs, up to 2021.6", "2018.1.5")

USAGE = Feature("usage", "2019.0")

PLANS = Feature("plans; command/plan_run", "2019.2")
PLAN_EVENTS = Feature("plan_jobs: events", "2019.2")

TASK_TARGETS = Feature("command/task_target; scopes/task_targets", "2019.4")
PLAN_EVENT = Feature("plan_jobs: a single event", "2019.4")

JOB_TYPES = Feature("jobs: type, the filters type and task", "2019.8")
RUN_FLAGS = Feature("deploy: tags, skip_tags, ordering, timeouts of HTTP, cached catalogs", "2019.8")
SCHEDULE_DEPLOY = Feature("command/schedule_deploy", "2019.8")
PERMITTED = Feature("tasks: permitted", "2019.8")
ACTIVITY_V2 = Feature("the newer activity log", "2019.8")
PLAN_RESULTS = Feature("plan_jobs: results=exclude", "2019.8.1")
SCHEDULE_PLAN = Feature("command/schedule_plan", "2019.8.3")
PLAN_OPTIONS = Feature("plan_jobs: environment and sensitive in the options", "2019.8.3")

JOB_TIMES = Feature("jobs: created_timestamp, finished_timestamp, duration; plan_jobs: duration", "2021.0", "2019.8.5")
USERDATA = Feature("userdata, of deploys, tasks and plans", "2021.0", "2019.8.5")
NODE_ORDER = Feature("nodes: order, order_by", "2021.0", "2019.8.5")
ENVIRONMENT_PLAN_RUN = Feature("command/environment_plan_run", "2021.0", "2019.8.5")
PLAN_TYPES = Feature("jobs of plans: plan_script and others beside plan_task", "2021.0", "2019.8.5")
ACTIVITY_ADDRESS = Feature("the newer activity log: ip_address", "2021.0", "2019.8.5")

USAGE_EVENTS = Feature("usage: events", "2021.1", "2019.8.6")
SENSITIVE_RESULTS = Feature("results: the value of _sensitive is hidden", "2021.1", "2019.8.6")

NODE_STATES = Feature("nodes: the filter state", "2021.2", "2019.8.7")
PLANS_FAIL = Feature(
    "plan_jobs: what runs when the service crashes fails, and does not run for ever", "2021.2", "2019.8.7"
)
ACTIVITY_ORDER = Feature("the newer activity log: order", "2021.2", "2019.8.7")

PLAN_ORDER = Feature("plan_jobs: order, order_by; timestamp in the list", "2021.3", "2019.8.8")

TIME_FILTERS = Feature("jobs, plan_jobs: min_finish_timestamp, max_finish_timestamp", "2021.6")

ZERO_TOTAL = Feature("pagination: total is 0, not null, where there is nothing", "2021.7.0")
FORCE = Feature("command/stop: force", "2021.7.0")
NEW_SCHEDULES = Feature("scheduled_jobs/environment_jobs instead of the older scheduled_jobs", "2021.7.0")
ACTIVITY_TIMES = Feature("the newer activity log: times and state of jobs", "2021.7.0")

STOP_PLAN = Feature("command/stop_plan", "2021.7.1")

TIMEOUT = Feature("deploy, task, plan_run: timeout", "2023.0")
PENDING = Feature("plan_jobs: pending", "2023.0")

FEATURES: tuple[Feature, ...] = tuple(value for value in tuple(globals().values()) if isinstance(value, Feature))


@lru_cache(maxsize=256)
def number_of(release: str) -> Number:
    """Return a release as numbers, 2021.7 as 2021.7.0; raise ConfigError where nobody can say what it has."""
    if re.fullmatch(r"\d{4}(\.\d{1,2}){0,2}", release, re.ASCII) is None:
        raise ConfigError(
            f"{release!r} is no release of PE",
            hint="write it as 2019.8.5; orchbridge simulate --list shows what each has",
        )
    year, *rest = map(int, release.split("."))
    number = (year, *rest, 0, 0)[:3]
    if number < number_of_row(ALWAYS.since):
        raise ConfigError(f"PE {release} is older than this API", hint=f"{ALWAYS.since} is the first that has it")
    if year > int(NEWEST):
        raise ConfigError(f"nothing is known of PE {release} yet", hint=f"{NEWEST} is the newest that can be played")
    return number


def number_of_row(release: str) -> Number:
    """Return a release of the table as numbers."""
    year, *rest = map(int, release.split("."))
    return (year, *rest, 0, 0)[:3]


ROWS: tuple[str, ...] = tuple(
    sorted(
        {NEWEST, *(text for one in FEATURES for text in (one.since, one.long_term, one.until) if text)},
        key=number_of_row,
    )
)


def row_of(release: str) -> str:
    """Return the newest row of the table that is not above a release: what it is played as; raise ConfigError."""
    number = number_of(release)
    return max((row for row in ROWS if number_of_row(row) <= number), key=number_of_row)


def news_of(row: str) -> tuple[str, ...]:
    """Return what is new in a row of the table, and what it has no more."""
    new = (one.what for one in FEATURES if row in {one.since, one.long_term})
    gone = (f"no more {one.what}" for one in FEATURES if row == one.until)
    return (*new, *gone)


@lru_cache(maxsize=4096)
def has(release: str, feature: Feature) -> bool:
    """Whether a release has something; raise ConfigError for what is no release."""
    number = number_of(release)
    beside = number[:2] == _LONG_TERM and feature.long_term
    since = number_of_row(beside or feature.since)
    return since <= number and (not feature.until or number < number_of_row(feature.until))
