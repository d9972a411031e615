"""Each knob has an effect that a client can see; the name of a knob opens the name of its test."""

import json
import ssl
import sys
import time

import httpx
import pytest

from orchbridge.core.errors import ConfigError
from orchbridge.sim.knobs import RULES, Knobs
from orchbridge.sim.serve import served
from orchbridge.sim.tls import make_tls
from orchbridge.sim.world import World
from tests.sim.playing import TOKEN, playing
from tests.sim.test_schedules import NEW, clock, made, order

EVENTS = [9301, 9302, 9304, 9310, 9311, 9312]
OVER = 40.0


def test_every_knob_is_tested_here():
    tests = [name.removeprefix("test_") for name in vars(sys.modules[__name__]) if name.startswith("test_")]
    assert [knob for knob in RULES if not any(test.startswith(knob) for test in tests)] == []


# Values


def test_values_are_checked_and_the_message_names_the_choices():
    with pytest.raises(ConfigError, match="default_order does not take 'up'") as caught:
        Knobs(default_order="up")
    assert caught.value.hint == "one of asc-timestamp, desc-name"
    for bad in (
        "faults=reset,q=1",
        "faults=504",
        "latency=soon",
        "no_such=1",
        "latency",
        "limit_max=clamp:",
        "prune=-1",
    ):
        with pytest.raises(ConfigError):
            Knobs.parse([bad])


def test_values_are_parsed_from_text():
    knobs = Knobs().turned(
        Knobs.parse(["faults=reset,p=0.1+503,retry-after=2,on=jobs", "latency=0.2", "event_visibility=ids:3"])
    )
    reset, busy = knobs.all_doses("faults")
    assert (reset.form, reset.p, busy.form, busy.p, busy.retry_after_s, busy.on) == (
        "reset",
        0.1,
        "503",
        1.0,
        2.0,
        "jobs",
    )
    assert knobs.dose("latency").amount == 0.2
    assert knobs.dose("event_visibility").form == "ids"


# Section 18.2: each uncertainty, and the values it can take; the text is how the knob is set to it.
UNCERTAIN = {
    "shape_version": "2016.4 2017.3 2018.1 2019.8 2021.0 2021.6 2021.7.1 2025",
    "default_order": "asc-timestamp desc-name",
    "timestamps_key": "created_timestamp started_timestamp both",
    "duration_type": "number string",
    "finished_when_running": "null absent",
    "empty_total": "null 0",
    "next_events": "last+1 echo-start first-item global-next missing event-key-missing",
    "start_past_end": "empty-200 404 400",
    "event_visibility": "in-order ids:3 seconds:2",
    "job_finished_event": "always missing,p=0.5 job_aborted",
    "event_lag_after_terminal": "polls:0 polls:3",
    "id_gaps": "some,p=0.2",
    "id_restart": "at:10",
    "prune": "after:60",
    "limit_max": "none clamp:50 400:50",
    "unknown_query_params": "ignore 400",
    "validation_kind": "orchestrator validators",
    "error_body": "with-details without-details html empty",
    "auth_fault": "expired revoked server-error-401 server-error-503",
    "auth_modes": "header header-or-query cert-accepted cert-rejected",
    "id_host": "authority localhost wrong-port",
    "inventory": "connected-only false-rows unknown-404 blank 500 flapping stale-true:30",
    "nodes": "big:2 null-result error-string no-latest-event-id",
    "owner": "full id+login changing",
    "scheduled": "new old old-empty",
    "latency": "seconds:0.2",
    "faults": "reset truncated 502 503",
}


def test_there_is_a_knob_for_each_uncertainty_with_each_of_its_values():
    for name, values in UNCERTAIN.items():
        for value in values.split():
            assert getattr(Knobs(**{name: value}), name) == value


async def test_knobs_can_be_turned_while_it_runs():
    async with playing("reference", at=OVER) as sim:
        await sim.turn(duration_type="string")
        assert (await sim.get("jobs/420"))["duration"] == "32.0"
        assert (await sim.get("/sim/knobs"))["duration_type"] == "string"
        refused = await sim.raw("POST", "/sim/knobs", json={"duration_type": "roman"})
        assert refused.status_code == 400
        assert "number, string" in refused.json()["msg"]


# Shape


@pytest.mark.parametrize(("version", "has"), [("2018.1", False), ("2021.0", True)])
async def test_shape_version(version, has):
    async with playing("reference", at=OVER, shape_version=version) as sim:
        assert ("created_timestamp" in await sim.get("jobs/420")) is has  # all of it: test_shapes.py


@pytest.mark.parametrize(("value", "first"), [("asc-timestamp", 420), ("desc-name", 421)])
async def test_default_order(value, first):
    async with playing("reference", at=1.0, default_order=value) as sim:
        assert (await sim.ids("jobs"))[0] == first
        echo = (await sim.get("jobs"))["pagination"]
        assert f"{echo['order']}-{echo['order_by']}" == value


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("created_timestamp", {"created_timestamp"}),
        ("started_timestamp", {"started_timestamp"}),
        ("both", {"created_timestamp", "started_timestamp"}),
    ],
)
async def test_timestamps_key(value, keys):
    async with playing("reference", at=OVER, timestamps_key=value) as sim:
        job = await sim.get("jobs/420")
        assert {"created_timestamp", "started_timestamp"} & set(job) == keys
        assert {job[key] for key in keys} == {"2025-03-09T10:15:40Z"}


@pytest.mark.parametrize(("value", "kind"), [("number", float), ("string", str)])
async def test_duration_type(value, kind):
    async with playing("reference", at=OVER, duration_type=value) as sim:
        assert isinstance((await sim.get("jobs/420"))["duration"], kind)


async def test_finished_when_running_absent():
    async with playing("reference", at=5.0, finished_when_running="absent") as sim:
        assert "finished_timestamp" not in await sim.get("jobs/420")
        assert "finished_timestamp" in await sim.get("jobs/420", at=OVER)


@pytest.mark.parametrize(
    ("version", "value", "total"),
    [("2025", "auto", 0), ("2021.6", "auto", None), ("2025", "null", None), ("2019.8", "0", 0)],
)
async def test_empty_total(version, value, total):
    async with playing("empty", shape_version=version, empty_total=value) as sim:
        assert (await sim.get("jobs"))["pagination"]["total"] == total


# Events


@pytest.mark.parametrize(
    ("value", "event"), [("last+1", "9313"), ("echo-start", "9304"), ("first-item", "9304"), ("global-next", "9313")]
)
async def test_next_events(value, event):
    async with playing("reference", at=OVER, next_events=value) as sim:
        link = (await sim.get("jobs/420/events?start=9304"))["next-events"]
        assert link == {"id": f"https://pe.test:8143/orchestrator/v1/jobs/420/events?start={event}", "event": event}


async def test_next_events_global_next_is_ahead_of_the_job():
    async with playing("reference", at=OVER, next_events="global-next") as sim:
        assert (await sim.get("jobs/421/events"))["next-events"]["event"] == "9313"


@pytest.mark.parametrize("path", ["jobs/420/events", "jobs/420/nodes"])
async def test_next_events_may_be_missing(path):
    async with playing("reference", at=OVER, next_events="missing") as sim:
        assert set(await sim.get(path)) == {"items"}
        await sim.turn(next_events="event-key-missing")
        assert set((await sim.get(path))["next-events"]) == {"id"}


@pytest.mark.parametrize(("value", "status"), [("empty-200", 200), ("404", 404), ("400", 400)])
async def test_start_past_end(value, status):
    async with playing("reference", at=OVER, start_past_end=value) as sim:
        await sim.get("jobs/420/events?start=9313", ok=status)
        await sim.get("jobs/420/events?start=9312")


async def test_event_visibility_by_seconds():
    async with playing("reference", event_visibility="seconds:3") as sim:
        assert await sim.ids("jobs/420/events", at=34.8) == EVENTS[:4]
        assert await sim.ids("jobs/420/events", at=35.0) == EVENTS
        assert [f["at"] for f in sim.facts if f.get("id") == 9312] == [32.0]


async def test_event_visibility_by_ids():
    async with playing("reference", event_visibility="ids:2") as sim:
        assert await sim.ids("jobs/420/events", at=0.4) == [9301, 9302]
        assert await sim.ids("jobs/420/events", at=32.0) == [9301, 9302, 9304, 9310]
        assert await sim.ids("jobs/420/events", at=42.0) == EVENTS


async def test_event_visibility_of_some_events_leaves_holes():
    async with playing("storm:jobs=30", event_visibility="seconds:5,p=0.2", at=3.0) as sim:
        holes = 0
        for job in await sim.ids("jobs?limit=100"):
            truth = [fact["id"] for fact in sim.facts if fact["fact"] == "job_event" and fact["job"] == job]
            seen = await sim.ids(f"jobs/{job}/events")
            assert set(seen) <= set(truth)
            holes += any(number not in seen for number in truth if seen and number < seen[-1])
        assert holes > 5


async def test_event_visibility_concerns_plan_events_too():
    async with playing("empty", event_visibility="seconds:30") as sim:
        await sim.post("command/plan_run", {"plan_name": "rollout::web", "params": {}})
        assert await sim.ids("plan_jobs/1/events", at=20.0) == []
        await sim.get("plan_jobs/1/event/1", ok=404)
        assert await sim.ids("plan_jobs/1/events", at=60.0) == [1, 2, 3, 4, 5, 6, 7]


async def test_job_visibility():
    async with playing("reference", job_visibility="seconds:2") as sim:
        assert await sim.ids("jobs", at=1.9) == []
        await sim.get("jobs/420", ok=404)
        assert await sim.ids("jobs", at=2.0) == [420, 421]


@pytest.mark.parametrize(
    ("value", "last"), [("always", "job_finished"), ("missing", "node_failed"), ("job_aborted", "job_aborted")]
)
async def test_job_finished_event(value, last):
    async with playing("reference", at=OVER, job_finished_event=value) as sim:
        assert (await sim.get("jobs/420/events"))["items"][-1]["type"] == last
        assert [f["type"] for f in sim.facts if f["fact"] == "job_event" and f["job"] == 420][-1] == last


async def test_job_finished_event_missing_sometimes():
    async with playing("storm:jobs=40", at=60.0, job_finished_event="missing,p=0.5") as sim:
        await sim.get("jobs")
        finished = sum(fact.get("type") == "job_finished" for fact in sim.facts)
        assert 10 < finished < 30


async def test_event_lag_after_terminal():
    async with playing("reference", at=OVER, event_lag_after_terminal="2") as sim:
        assert await sim.ids("jobs/420/events") == EVENTS[:-1]
        assert await sim.ids("jobs/420/events?start=9311") == [9311]
        assert await sim.ids("jobs/420/events") == EVENTS


# Ids and retention


async def test_id_gaps():
    async with playing("storm:jobs=40", at=60.0, id_gaps="some,p=0.3") as sim:
        jobs = await sim.ids("jobs?limit=100&order_by=name&order=asc")
        assert len(jobs) == 40
        assert jobs[-1] > 45
        assert jobs == sorted(set(jobs))


async def test_id_restart_at_a_time():
    async with playing("storm:jobs=40,rate=2", id_restart="at:10,back=3") as sim:
        before = {j["name"]: j["created_timestamp"] for j in (await sim.get("jobs?limit=100", at=9.99))["items"]}
        after = {j["name"]: j["created_timestamp"] for j in (await sim.get("jobs?limit=100", at=14.0))["items"]}
        again = [name for name in before if before[name] != after[name]]
        assert len(again) == 3
        (fact,) = [fact for fact in sim.facts if fact["fact"] == "restored"]
        assert sorted(map(str, fact["jobs"])) == sorted(again)


async def test_id_restart_that_is_called_off():
    async with playing("storm:jobs=40,rate=2", id_restart="at:10") as sim:
        await sim.get("jobs", at=5.0)
        await sim.turn(id_restart="never")
        await sim.get("jobs", at=15.0)
        assert not [fact for fact in sim.facts if fact["fact"] == "restored"]


async def test_prune_after_a_while():
    async with playing("reference", prune="after:10") as sim:
        assert await sim.ids("jobs", at=12.5) == [420, 421]
        assert await sim.ids("jobs", at=12.6) == [420]
        await sim.get("jobs/420", at=42.0, ok=404)
        assert [fact["jobs"] for fact in sim.facts if fact["fact"] == "pruned"] == [[421], [420]]


# Manners


async def test_limit_max():
    async with playing("backlog:jobs=30", limit_max="clamp:10") as sim:
        page = await sim.get("jobs?limit=25")
        assert (len(page["items"]), page["pagination"]["limit"]) == (10, 10)
        await sim.turn(limit_max="400:10")
        await sim.get("jobs?limit=25", ok=400)
        await sim.get("jobs?limit=10")


async def test_unknown_query_params():
    async with playing("quiet") as sim:
        await sim.get("jobs?colour=red")
        await sim.turn(unknown_query_params="400")
        await sim.get("jobs?colour=red", ok=400)
        await sim.get("jobs?limit=1")


@pytest.mark.parametrize(
    ("value", "prefix"), [("orchestrator", "puppetlabs.orchestrator"), ("validators", "puppetlabs.validators")]
)
async def test_validation_kind(value, prefix):
    async with playing("quiet", validation_kind=value) as sim:
        assert (await sim.get("jobs/x", ok=400))["kind"] == f"{prefix}/validation-error"
        assert (await sim.get("jobs/99", ok=404))["kind"] == "puppetlabs.orchestrator/unknown-job"


async def test_error_body():
    async with playing("quiet") as sim:
        assert "details" in await sim.get("jobs/99", ok=404)
        await sim.turn(error_body="without-details")
        assert set(await sim.get("jobs/99", ok=404)) == {"kind", "msg"}
        await sim.turn(error_body="html")
        assert (await sim.raw("GET", "jobs/99")).headers["content-type"] == "text/html"
        await sim.turn(error_body="empty")
        assert (await sim.raw("GET", "jobs/99")).content == b""


@pytest.mark.parametrize(
    ("value", "status", "kind"),
    [
        ("expired", 401, "token-expired"),
        ("revoked", 401, "token-revoked"),
        ("timed-out", 401, "token-timed-out"),
        ("invalid", 401, "invalid-token"),
        ("user-revoked", 401, "user-revoked"),
        ("unauthenticated", 401, "user-unauthenticated"),
        ("server-error-401", 401, "server-error"),
        ("server-error-503", 503, "server-error"),
    ],
)
async def test_auth_fault(value, status, kind):
    async with playing("quiet", token=TOKEN, auth_fault=value) as sim:
        assert (await sim.get("jobs", ok=status))["kind"] == f"puppetlabs.rbac/{kind}"
        await sim.turn(auth_fault="none")
        await sim.get("jobs")


async def test_auth_modes_query_token():
    async with playing("quiet", token=TOKEN, sent=None) as sim:
        await sim.get(f"jobs?token={TOKEN}", ok=401)
        await sim.turn(auth_modes="header-or-query")
        await sim.get(f"jobs?token={TOKEN}")


@pytest.mark.parametrize(("value", "status"), [("cert-accepted", 200), ("cert-rejected", 401)])
async def test_auth_modes_client_certificate(tmp_path, value, status):
    tls = make_tls(tmp_path)
    world = World("quiet", knobs=Knobs(auth_modes=value))
    async with (
        served(world, token=TOKEN, tls=tls) as address,
        httpx.AsyncClient(verify=_context(tls), trust_env=False) as with_certificate,
        httpx.AsyncClient(verify=_context(tls, certificate=False), trust_env=False) as without,
    ):
        assert (await with_certificate.get(f"{address}/orchestrator/v1/jobs")).status_code == status
        assert (await without.get(f"{address}/orchestrator/v1/jobs")).status_code == 401


def _context(tls, *, certificate=True):
    context = ssl.create_default_context(cafile=str(tls.ca))
    if certificate:
        context.load_cert_chain(tls.client_cert, tls.client_key)
    return context


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("authority", "https://pe.test:8143/"),
        ("localhost", "https://localhost:8143/"),
        ("wrong-port", "https://pe.test:8143:8143/"),
    ],
)
async def test_id_host(value, base):
    async with playing("reference", id_host=value) as sim:
        job = await sim.get("jobs/420")
        assert job["id"] == f"{base}orchestrator/v1/jobs/420"
        assert (await sim.get("jobs"))["items"][0]["id"].startswith(base)


# Inventory


async def test_inventory_false_rows_blank_and_unknown():
    async with playing("quiet") as sim:
        await sim.post("/sim/inventory", {"node": "web01.example.com", "connected": False}, ok=200)
        assert len((await sim.get("inventory"))["items"]) == 3
        await sim.turn(inventory="false-rows")
        rows = {row["name"]: row for row in (await sim.get("inventory"))["items"]}
        assert rows["web01.example.com"] == {"name": "web01.example.com", "connected": False}
        await sim.turn(inventory="false-rows+blank+unknown-404")
        rows = {row["name"]: row for row in (await sim.get("inventory"))["items"]}
        assert rows["web01.example.com"]["broker"] == ""
        await sim.get("inventory/stranger.example.com", ok=404)
        await sim.turn(inventory="connected-only")
        assert (await sim.get("inventory/stranger.example.com"))["connected"] is False


async def test_inventory_500_and_empty():
    async with playing("quiet", inventory="500") as sim:
        await sim.get("inventory", ok=500)
        await sim.get("inventory/web01.example.com", ok=500)
        await sim.post("inventory", {"nodes": []}, ok=500)
        status = await sim.get("/status/v1/services/broker-service", ok=503)
        assert status["broker-service"]["state"] == "error"
        await sim.turn(inventory="empty")
        assert await sim.get("inventory") == {"items": []}


async def test_inventory_flapping_never_twice_in_a_row():
    async with playing("fleet:nodes=200", inventory="flapping,p=0.1") as sim:
        absent = [200 - len((await sim.get("inventory"))["items"]) for _ in range(10)]
        assert absent[1::2] == [0] * 5
        assert all(5 < count < 40 for count in absent[0::2])


async def test_inventory_stale_true():
    async with playing("quiet", inventory="stale-true:60") as sim:
        await sim.post("/sim/inventory", {"node": "web01.example.com", "connected": False}, ok=200)
        asked = {"nodes": ["web01.example.com"]}
        assert (await sim.post("inventory", asked, ok=200))["items"][0]["connected"] is True
        sim.now = 61.0
        assert (await sim.post("inventory", asked, ok=200))["items"][0]["connected"] is False


async def test_inventory_malformed_timestamp():
    async with playing("reference", inventory="malformed-timestamp") as sim:
        assert (await sim.get("inventory"))["items"][0]["timestamp"] == "2025-003-09T10:05:40.000Z"


async def test_broker_status():
    async with playing("quiet", broker_status="starting") as sim:
        status = await sim.get("/status/v1/services", ok=503)
        assert status["broker-service"]["state"] == "starting"
        assert (await sim.raw("GET", "/status/v1/simple")).text == "unknown"


# Nodes, owners, schedules


async def test_nodes_big_results():
    async with playing("empty", nodes="big:2") as sim:
        scope = {"nodes": ["web01.example.com"]}
        await sim.post("command/task", {"task": "service::restart", "params": {}, "scope": scope})
        answer = await sim.raw("GET", "jobs/1/nodes", at=20.0)
        assert 2_000_000 < len(answer.content) < 2_100_000
        assert len((await sim.raw("GET", "jobs/1/events")).content) > 2_000_000


async def test_nodes_odd_results():
    async with playing("reference", at=OVER, nodes="error-string+no-latest-event-id") as sim:
        rows = {row["name"]: row for row in (await sim.get("jobs/420/nodes"))["items"]}
        assert isinstance(rows["b.test"]["result"]["_error"], str)
        assert not any("latest-event-id" in row for row in rows.values())
    async with playing("reference", at=OVER, nodes="null-result") as sim:
        assert {row["result"] for row in (await sim.get("jobs/420/nodes"))["items"]} == {None}


@pytest.mark.parametrize(("value", "state"), [("as-they-were", "running"), ("stopped", "stopped")])
async def test_stopped_nodes(value, state):
    async with playing("reference-b", at=OVER, stopped_nodes=value) as sim:
        assert (await sim.get("jobs/420"))["node_states"] == {state: 2, "errored": 1}


async def test_owner():
    async with playing("reference", at=OVER, owner="id+login") as sim:
        assert set((await sim.get("jobs/420"))["owner"]) == {"id", "login"}
        await sim.turn(owner="changing")
        first = (await sim.get("jobs"))["items"][0]["owner"]
        second = (await sim.get("jobs", at=OVER + 1))["items"][0]["owner"]
        assert first["last_login"] != second["last_login"]
        assert first["id"] == second["id"]


async def test_scheduled():
    async with playing("quiet") as sim:
        assert await sim.ids("scheduled_jobs/environment_jobs") == [32, 31]
        assert (await sim.get("scheduled_jobs/environment_jobs/31"))["last_run"]["job"]["name"] == 1
        assert (await sim.get("scheduled_jobs/environment_jobs/9", ok=400))[
            "kind"
        ] == "puppetlabs.orchestrator/query-error"
        assert (await sim.raw("GET", "scheduled_jobs")).status_code == 404
        await sim.turn(scheduled="old")
        assert await sim.ids("scheduled_jobs") == [31, 32]
        await sim.turn(scheduled="old-empty")
        assert await sim.get("scheduled_jobs") == {"items": []}


async def test_scheduler():
    async with playing("empty", scheduler="skips") as sim:
        every, once = await made(sim, order(every=60)), await made(sim, order())
        assert await sim.ids("jobs", at=61.0) == []
        assert [(await sim.get(f"{NEW}/{name}"))["last_run"] for name in (every, once)] == [None, None]
        assert [(await sim.get(f"{NEW}/{name}"))["next_run"] for name in (every, once)] == [{"time": clock(120)}, None]
        await sim.turn(scheduler="runs")
        assert await sim.ids("jobs", at=121.0) == [1]


async def test_forbidden():
    async with playing("reference", at=OVER, forbidden="job:420") as sim:
        assert (await sim.get("jobs/420", ok=403))["kind"] == "puppetlabs.orchestrator/not-permitted"
        await sim.get("jobs/420/events", ok=403)
        assert await sim.ids("jobs") == [421, 420]
        await sim.get("jobs/421")


# On the wire


async def test_latency():
    async with playing("quiet", latency="1.0,on=events") as sim:
        begun = time.monotonic()
        await sim.get("jobs")
        assert time.monotonic() - begun < 0.9
        await sim.get("jobs/1/events")
        assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_faults_with_a_status(status):
    async with playing("quiet", faults=f"{status},retry-after=2") as sim:
        answer = await sim.raw("GET", "jobs")
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "2")
        await sim.turn(faults=f"{status}")
        assert "retry-after" not in (await sim.raw("GET", "jobs")).headers


async def test_faults_html_with_200():
    async with playing("quiet", faults="html-200") as sim:
        answer = await sim.raw("GET", "jobs")
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()


async def test_faults_by_chance_follow_from_the_seed():
    async def statuses(seed):
        async with playing("quiet", seed=seed, faults="502,p=0.3") as sim:
            return [(await sim.raw("GET", "jobs")).status_code for _ in range(100)]

    one = await statuses(1)
    assert one == await statuses(1)
    assert one != await statuses(2)
    assert 15 < one.count(502) < 45


async def test_faults_on_one_route_only():
    async with playing("reference", faults="503,on=jobs/{id}/events") as sim:
        await sim.get("jobs")
        assert (await sim.raw("GET", "jobs/420/events")).status_code == 503


async def test_faults_reset_stall_and_truncated_over_a_real_connection():
    world = World("quiet", knobs=Knobs(faults="stall:0.2"))
    async with served(world, token=None) as address, httpx.AsyncClient(trust_env=False) as http:
        begun = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{address}/orchestrator/v1/jobs")
        assert time.monotonic() - begun >= 0.2
        for fault in ("reset", "truncated"):
            world.turn({"faults": fault}, 0.0)
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(f"{address}/orchestrator/v1/jobs")
        world.turn({"faults": "none"}, 0.0)
        assert (await http.get(f"{address}/orchestrator/v1/jobs")).status_code == 200


# What RBAC tells of a token

RBAC = "/rbac-api/v2/auth/token/authenticate"


@pytest.mark.parametrize(
    ("value", "ends", "superuser"),
    [
        ("days:10", "2025-03-19T", False),
        ("superuser:365", "2026-03-09T", True),
        ("endless", None, False),
        ("untold", "absent", False),
    ],
)
async def test_token_life(value, ends, superuser):
    async with playing("quiet", token=TOKEN, sent=None, token_life=value) as sim:
        answer = (await sim.raw("POST", RBAC, json={"token": TOKEN, "update_last_activity?": False})).json()
    told = answer.get("expiration", "absent")
    assert told == ends if told in (None, "absent") else told.startswith(ends)
    assert answer["is_superuser"] is superuser


@pytest.mark.parametrize(
    ("knobs", "sent", "status", "kind"),
    [
        ({}, {"token": "guess"}, 400, "puppetlabs.rbac/invalid-token"),
        ({"auth_fault": "expired"}, {"token": TOKEN}, 403, "puppetlabs.rbac/token-expired"),
        ({"auth_fault": "revoked"}, {"token": TOKEN}, 403, "puppetlabs.rbac/token-revoked"),
        ({"auth_fault": "timed-out"}, {"token": TOKEN}, 403, "puppetlabs.rbac/token-timed-out"),
        ({"auth_fault": "server-error-503"}, {"token": TOKEN}, 500, "puppetlabs.rbac/server-error"),
        ({"token_life": "absent"}, {"token": TOKEN}, 404, None),
        ({}, {}, 400, "puppetlabs.rbac/malformed-request"),
        ({}, ["token"], 400, "puppetlabs.rbac/malformed-request"),
    ],
)
async def test_token_life_is_refused(knobs, sent, status, kind):
    async with playing("quiet", token=TOKEN, sent=None, **knobs) as sim:
        answer = await sim.raw("POST", RBAC, json=sent)
    assert answer.status_code == status
    assert kind is None or answer.json()["kind"] == kind


# Commands, scopes, status, activity

TASK = {"task": "package", "scope": {"nodes": ["web01.example.com"]}}


@pytest.mark.parametrize(("value", "status"), [("ignored", 202), ("400", 400)])
async def test_required_params(value, status):
    async with playing("quiet", required_params=value) as sim:
        await sim.post("command/task", {**TASK, "params": {"name": "openssl"}}, ok=status)
        await sim.post("command/task", {**TASK, "params": {"name": "openssl", "action": "status"}})


@pytest.mark.parametrize("value", ["500", "400", "409"])
async def test_plan_finished_status(value):
    async with playing("empty", plan_finished_status=value) as sim:
        await sim.post("command/plan_start", {"plan_name": "x::y"})
        await sim.post("command/plan_finish", {"plan_job": "1", "status": "success"})
        answer = await sim.post("command/plan_task", {**TASK, "params": {}, "plan_job": "1"}, ok=int(value))
        assert answer["kind"] == "puppetlabs.orchestrator/plan-already-finished"


async def test_puppetdb():
    body = {"environment": "production", "scope": {"query": "nodes {}"}}
    async with playing("quiet", puppetdb="down") as sim:
        answer = await sim.post("command/deploy", body, ok=400)
        assert answer["kind"] == "puppetlabs.orchestrator/puppetdb-error"
        service = (await sim.get("/status/v1/services"))["orchestrator-service"]
        assert (service["status"]["puppetdb_up"], service["status"]["db_up"]) == (False, True)
        await sim.turn(puppetdb="up")
        await sim.post("command/deploy", body)


@pytest.mark.parametrize(("value", "told"), [("bool", True), ("string", "true")])
async def test_all_tasks(value, told):
    async with playing("quiet", all_tasks=value) as sim:
        body = {"display_name": "all", "all_tasks": True, "nodes": [], "node_groups": []}
        await sim.post("command/task_target", body, ok=200)
        assert (await sim.get("scopes/task_targets/1"))["all_tasks"] == told


@pytest.mark.parametrize("value", ["wrapped", "bare"])
async def test_single_service(value):
    async with playing("quiet", single_service=value) as sim:
        answer = await sim.get("/status/v1/services/broker-service")
        assert (answer if value == "bare" else answer["broker-service"])["state"] == "running"


@pytest.mark.parametrize(("value", "at", "state"), [("at-end", 20.0, "finished"), ("at-start", 0.0, "new")])
async def test_activity(value, at, state):
    async with playing("empty", activity=value) as sim:
        await sim.post("command/deploy", {"environment": "production"})
        early = (await sim.get("/activity-api/v2/events"))["commits"]
        assert len(early) == (1 if value == "at-start" else 0)
        (commit,) = (await sim.get("/activity-api/v2/events", at=20.0))["commits"]
        assert commit["events"][0]["state"] == state
        assert ("duration" in commit["events"][0]) is (state == "finished")


@pytest.mark.parametrize(("value", "total"), [("int", 0), ("string", "0")])
async def test_activity_totals(value, total):
    async with playing("empty", activity_totals=value) as sim:
        assert (await sim.get("/activity-api/v2/events"))["pagination"]["total"] == total
