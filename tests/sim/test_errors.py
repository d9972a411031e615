"""Section 2 of the reference, row by row: each error that a request can provoke, with its status, kind and details."""

from dataclasses import dataclass, field, replace

import pytest

from tests.sim.playing import TOKEN, playing

WEB = "web01.example.com"
NODES, NOBODY = {"nodes": [WEB]}, {"nodes": []}
QUERY = {"query": 'nodes { certname = "web01.example.com" }'}
DEPLOY = {"environment": "production", "scope": NODES}
TASK = {"task": "facts", "params": {}, "scope": NODES}
PLAN = {"plan_name": "rollout::web", "params": {}}
NEW = "scheduled_jobs/environment_jobs"
LATER, EARLIER = {"start_time": "2030-01-01T00:00:00Z"}, {"start_time": "2020-01-01T00:00:00Z"}
ORDER = {
    **{"type": "task", "input": {"name": "facts", "parameters": {}, "scope": NODES}, "environment": "production"},
    **{"schedule": LATER, "description": "", "userdata": {}},
}
LOOKING = ("orchestrator:view:*",)
PREFIX = "puppetlabs.orchestrator/"
BOTH = ("puppetlabs.orchestrator/validation-error", "puppetlabs.validators/validation-error")


@dataclass(frozen=True)
class Ask:
    """One request, by whom, on which server; `first` is what was asked before it."""

    path: str
    body: object = None
    method: str = ""
    may: tuple = ("*",)
    knobs: dict = field(default_factory=dict)
    first: tuple = ()

    def on(self, **knobs):
        return replace(self, knobs={**self.knobs, **knobs})

    def by(self, *may):
        return replace(self, may=may)

    def after(self, *first):
        return replace(self, first=first)

    async def sent(self, sim):
        method = self.method or ("GET" if self.body is None else "POST")
        return await sim.raw(method, self.path, **({} if self.body is None else {"json": self.body}))


def deploy(**changes):
    return Ask("command/deploy", {**DEPLOY, **changes})


def task(**changes):
    return Ask("command/task", {**TASK, **changes})


def plan(**changes):
    return Ask("command/plan_run", {**PLAN, **changes})


def order(**changes):
    return Ask(NEW, {**ORDER, **changes})


def put(number, **changes):
    return Ask(f"{NEW}/{number}", changes, "PUT")


STARTED = Ask("command/plan_start", {"plan_name": "rollout::web"})
ENDED = Ask("command/plan_finish", {"plan_job": "2", "status": "success"})

# HTTP | kind (prefix puppetlabs.orchestrator/) | from | details seen | what provokes it
SECTION_2 = [
    (400, "validation-error", "bad ids", (), [Ask("jobs/x"), Ask("jobs/1/events?start=x"), Ask("plan_jobs/x")]),
    (400, "validation-error", "bad params", (), [Ask("jobs?limit=x"), Ask("usage?start_date=x"), Ask("jobs?order=up")]),
    (400, "validation-error", "bad bodies", (), [deploy(noop="yes"), task(params=7), plan(params={"x": 1}),
                                                 Ask("inventory", method="POST"), Ask("command/stop", {})]),
    (400, "empty-environment", "deploy", ("environment",), [deploy(environment="")]),
    (400, "empty-target", "deploy, task", ("environment", "target"), [deploy(scope=NOBODY), task(scope=NOBODY)]),
    (400, "unknown-target", "deploy 2016.x", ("environment", "target"),
     [Ask("command/deploy", {"environment": "production", "target": "Shop"}).on(shape_version=old)
      for old in ("2016.2", "2016.4", "2016.5")]),
    (400, "dependency-cycle", "deploy <= 2019.x", ("environment",),
     [deploy(scope={"application": "Ouroboros"}).on(shape_version=old) for old in ("2016.4", "2019.8")]),
    (400, "puppetdb-error", "scope query, PuppetDB down", (), [deploy(scope=QUERY).on(puppetdb="down"),
                                                               task(scope=QUERY).on(puppetdb="down")]),
    (400, "query-error", "bad PQL", (), [deploy(scope={"query": "nodes {"}), task(scope={"query": ["?", "a", "b"]})]),
    (400, "query-error", "no permission to query", (), [task(scope=QUERY).by("tasks:run:*"),
                                                        deploy(scope=QUERY).by("puppet_agent:run:*")]),
    (400, "query-error", "bad paging of scheduled_jobs", (),
     [Ask(f"{NEW}?limit=x"), Ask(f"{NEW}?order_by=x"), Ask(f"{NEW}/x"),
      Ask("scheduled_jobs?limit=x").on(shape_version="2019.8")]),
    (400, "invalid-time", "scheduled time in the past", (),
     [order(schedule=EARLIER), put(31, schedule=EARLIER),
      Ask("command/schedule_task", {**TASK, "scheduled_time": EARLIER["start_time"]})]),
    (400, "disabled-scheduled-job", "PUT on a disabled scheduled job", (),
     [put(31, description="again").after(put(31, enabled=False)), put(31, enabled=True).after(put(31, enabled=False))]),
    (403, "not-permitted", "task, plan_run, deletion of scheduled jobs", (),
     [task().by(*LOOKING), plan().by(*LOOKING), put(31, enabled=False).by(*LOOKING),
      Ask("scheduled_jobs/31", method="DELETE").by(*LOOKING).on(shape_version="2019.8")]),
    (404, "unknown-environment", "named resource", ("environment",),
     [task(environment="mars"), deploy(environment="mars"), plan(environment="mars"), Ask("tasks?environment=mars"),
      Ask("plans/rollout/web?environment=mars"), order(environment="mars")]),
    (404, "unknown-task", "named resource", ("environment",), [task(task="no::such"), Ask("tasks/no/such")]),
    (404, "unknown-plan", "named resource", ("environment",), [plan(plan_name="no::such"), Ask("plans/no/such")]),
    (404, "unknown-job", "named resource", ("job",),
     [Ask("jobs/99"), Ask("jobs/99/nodes"), Ask("jobs/99/report"), Ask("jobs/99/events"), Ask("plan_jobs/99"),
      Ask("plan_jobs/99/events"), Ask("plan_jobs/99/event/1"), Ask("command/stop", {"job": "99"}),
      Ask("command/stop_plan", {"plan_job": "99"})]),
    (404, "unknown-task-target", "named resource", (), [Ask("scopes/task_targets/99")]),
    (404, "mismatched-job-event-id", "plan event of another plan job", (), [Ask("plan_jobs/1/event/999")]),
    (404, None, "unknown route", (), [Ask("no/such"), Ask("jobs/1/events/1"), Ask("no", {}, "PUT")]),
    (404, None, "a command this version lacks", (),
     [plan().on(shape_version="2018.1"), task().on(shape_version="2017.2"), STARTED.on(shape_version="2017.3")]),
    (500, "plan-already-finished", "plan_task on a finished plan job", (),
     [Ask("command/plan_task", {**TASK, "plan_job": "2"}).after(STARTED, ENDED)]),
    (500, "unknown-error", "inventory, the broker cannot be reached", (),
     [Ask("inventory").on(inventory="500"), Ask(f"inventory/{WEB}").on(inventory="500"),
      Ask("inventory", NODES).on(inventory="500")]),
    (500, None, "root, the API is down", (), [Ask("").on(faults="500,on=root")]),
]  # fmt: skip
CASES = [
    pytest.param(status, kind, details, ask, id=f"{kind}-{source}-{number}")
    for status, kind, source, details, asks in SECTION_2
    for number, ask in enumerate(asks)
]


async def answered(ask, **knobs):
    async with playing("quiet", **ask.knobs, **knobs) as sim:
        await sim.enter("someone", ask.may)
        for one in ask.first:
            assert (await one.sent(sim)).is_success
        sim.world.advance(0.0)
        before = sim.world.job_ids.last, sim.world.plan_ids.last, len(sim.world.schedules)
        answer = await ask.sent(sim)
        assert (sim.world.job_ids.last, sim.world.plan_ids.last, len(sim.world.schedules)) == before
        return answer


@pytest.mark.parametrize(("status", "kind", "details", "ask"), CASES)
async def test_each_row_of_section_2(status, kind, details, ask):
    answer = await answered(ask)
    assert answer.status_code == status, answer.text
    if kind is None:
        assert not answer.headers["Content-Type"].startswith("application/json")
        return
    told = answer.json()
    assert told["kind"] == PREFIX + kind
    assert told["msg"]
    assert tuple(told.get("details", {})) == details


@pytest.mark.parametrize("ask", [case.values[3] for case in CASES if case.values[1] == "validation-error"])
async def test_validation_errors_have_two_prefixes(ask):
    kinds = [(await answered(ask, validation_kind=word)).json()["kind"] for word in ("orchestrator", "validators")]
    assert tuple(kinds) == BOTH


@pytest.mark.parametrize("status", [500, 400, 409])
async def test_the_status_of_a_finished_plan_is_not_known(status):
    (case,) = (case for case in CASES if case.values[1] == "plan-already-finished")
    answer = await answered(case.values[3], plan_finished_status=str(status))
    assert (answer.status_code, answer.json()["kind"]) == (status, f"{PREFIX}plan-already-finished")


@pytest.mark.parametrize(("release", "status"), [("2016.5", 200), ("2017.1", 200), ("2017.2", 400), ("2025", 400)])
async def test_an_inventory_asked_about_nothing(release, status):
    assert (await answered(Ask("inventory", method="POST").on(shape_version=release))).status_code == status


# Who refuses: kind (prefix puppetlabs.rbac/) | what befell the token | status of RBAC's own endpoint (section 14)
GUESS, MINE = "0guess", "0mine"
TOKENS = [
    ("user-unauthenticated", "", None, 0.0, 400),
    ("invalid-token", GUESS, None, 0.0, 400),
    ("token-expired", MINE, None, 61.0, 403),
    ("token-timed-out", MINE, ("POST", "/sim/users", {"login": "someone", "idle_minutes": 0}), 1.0, 403),
    ("token-revoked", MINE, ("DELETE", f"/rbac-api/v2/tokens/{MINE}", None), 0.0, 403),
    ("user-revoked", MINE, ("POST", "/sim/users", {"login": "someone", "revoked": True}), 0.0, 401),
]
DOORS = ("", "jobs", "usage", "scopes/task_targets", NEW, "plans", "/activity-api/v2/events")


@pytest.mark.parametrize(("kind", "sent", "befell", "later", "of_rbac"), TOKENS, ids=lambda value: str(value)[:24])
async def test_what_the_authentication_layer_refuses_is_401_here_and_not_at_rbac(kind, sent, befell, later, of_rbac):
    async with playing("quiet", token=TOKEN) as sim:
        await sim.post("/sim/users", {"login": "someone", "permissions": ["*"]}, ok=200)
        await sim.post("/sim/tokens", {"login": "someone", "token": MINE, "lifetime": "60s"}, ok=200)
        if befell is not None:
            method, path, body = befell
            assert (await sim.raw(method, path, **({} if body is None else {"json": body}))).is_success
        sim.http.headers["X-Authentication"] = sent
        for path in DOORS:
            answer = await sim.get(path, at=later, ok=401)
            assert answer["kind"] == f"puppetlabs.rbac/{kind}"
            assert answer["msg"]
        asked = await sim.raw("POST", "/rbac-api/v2/auth/token/authenticate", json={"token": sent})
        assert asked.status_code == of_rbac
        expected = "invalid-token" if kind == "user-unauthenticated" else kind
        assert asked.json()["kind"] == f"puppetlabs.rbac/{expected}"


@pytest.mark.parametrize("status", [401, 503])
async def test_while_the_console_services_start_their_error_comes_with_more_than_one_status(status):
    async with playing("quiet", auth_fault=f"server-error-{status}") as sim:
        for path in DOORS:
            assert (await sim.get(path, ok=status))["kind"] == "puppetlabs.rbac/server-error"
