"""What the orchestrator answers, as frozen values that tolerate every version.

Ids are numbers, whatever type or URL they came in. States and types are text, since later versions
add to them. A time is an aware datetime, None where it is absent or malformed. Durations are
seconds. Where something is absent or null, so is the field. `raw` is the object as it came, with
the keys nobody knows yet. No repr shows parameters, results, messages or `raw`: they may hold secrets.
"""

from orchbridge.orchestrator.models.activity import Activity, Commit
from orchbridge.orchestrator.models.common import Owner, Ref, Scope, StatusItem
from orchbridge.orchestrator.models.inventory import Connection
from orchbridge.orchestrator.models.jobs import Job, JobEvent, Node, ReportRow, Stopped
from orchbridge.orchestrator.models.library import Listed, Parameter, Plan, Task
from orchbridge.orchestrator.models.plan_jobs import PlanEvent, PlanJob
from orchbridge.orchestrator.models.schedules import LastRun, OldSchedule, Schedule
from orchbridge.orchestrator.models.service import Root, Service
from orchbridge.orchestrator.models.targets import Target, TaskTarget
from orchbridge.orchestrator.models.tokens import Issued, TokenInfo
from orchbridge.orchestrator.models.usage import Day

__all__ = [
    "Activity",
    "Commit",
    "Connection",
    "Day",
    "Issued",
    "Job",
    "JobEvent",
    "LastRun",
    "Listed",
    "Node",
    "OldSchedule",
    "Owner",
    "Parameter",
    "Plan",
    "PlanEvent",
    "PlanJob",
    "Ref",
    "ReportRow",
    "Root",
    "Schedule",
    "Scope",
    "Service",
    "StatusItem",
    "Stopped",
    "Target",
    "Task",
    "TaskTarget",
    "TokenInfo",
]
